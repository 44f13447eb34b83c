#include "image/image_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "base/temp_dir.h"
#include "image/testing/fake_registry.h"

namespace msb::image {
namespace {

using testing::FakeAnswer;
using testing::FakeRegistry;
using testing::FakeTransport;
using ::testing::HasSubstr;
using testing::make_image;
using testing::make_layer;
using testing::Seen;

class ImageStoreTest : public ::testing::Test {
 protected:
  ImageStoreTest() {
    base_ = make_layer({{"base", std::string(30'000, 'b')}});
    top_ = make_layer({{"top", "t"}});
    image_ = make_image({base_, top_});
    registry_.add("app", "1", image_);
  }

  std::unique_ptr<ImageStore> store() {
    StoreOptions options;
    options.make_transport = [this]() -> Result<std::unique_ptr<RegistryTransport>> {
      return std::make_unique<FakeTransport>(registry_);
    };
    options.settings_path = directory_->path() + "/config.json";
    options.docker_directory = directory_->path() + "/docker";
    options.retry.first_delay = std::chrono::milliseconds(0);
    auto opened = ImageStore::open(home_, std::move(options));
    EXPECT_TRUE(opened) << opened.error().to_string();
    return std::move(*opened);
  }
  std::vector<std::string> files(const std::string& directory) const {
    std::vector<std::string> out;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(directory, none))
      out.push_back(entry.path().filename());
    return out;
  }
  // Makes a row as the sandbox library does.
  void add_sandbox(const std::string& name, const std::string& manifest) {
    auto database = state::Database::open(home_);
    ASSERT_TRUE(
        database->run("INSERT INTO sandbox (name, id, config_json, image, image_manifest, status, cpus, memory_mib, "
                      "created_at, updated_at) "
                      "VALUES (?, ?, '{}', 'x', ?, 'stopped', 1, 512, 1, 1)",
                      {name, name, manifest}));
  }

  Result<TempDir> directory_ = TempDir::create();
  state::Home home_ = *state::Home::at(directory_->path() + "/home");
  testing::SampleLayer base_;
  testing::SampleLayer top_;
  testing::SampleImage image_;
  FakeRegistry registry_;
  const std::string name_ = "registry.lan/app:1";
};

TEST_F(ImageStoreTest, APulledImageHasItsFilesAndConfig) {
  auto resolved = store()->resolve(name_, {});
  ASSERT_TRUE(resolved) << resolved.error().to_string();
  EXPECT_EQ(resolved->detail.info.reference, name_);
  EXPECT_EQ(resolved->detail.info.manifest_digest, image_.manifest.digest);
  EXPECT_EQ(resolved->detail.config.cmd, std::vector<std::string>{"true"});
  ASSERT_EQ(resolved->layers.size(), 2u);
  EXPECT_EQ(resolved->layers[0], home_.layer(base_.diff_id));
  EXPECT_TRUE(path_exists(resolved->layers[0]));
  EXPECT_TRUE(path_exists(resolved->layers[1]));
  EXPECT_TRUE(path_exists(resolved->tree));
  EXPECT_EQ(*read_file(home_.image_manifest(image_.manifest.digest)), image_.manifest.bytes);
  EXPECT_TRUE(files(home_.tmp_dir()).empty());
}

TEST_F(ImageStoreTest, EventsComeInOrder) {
  std::vector<PullEvent> events;
  PullOptions options;
  options.progress = [&](const PullEvent& event) { events.push_back(event); };
  ASSERT_TRUE(store()->pull(name_, options));
  ASSERT_GE(events.size(), 8u);
  EXPECT_EQ(events[0].kind, PullEvent::Kind::resolving);
  EXPECT_EQ(events[1].kind, PullEvent::Kind::resolved);
  EXPECT_EQ(events[1].layer_count, 2u);
  EXPECT_EQ(events[1].total_bytes, base_.blob.bytes.size() + top_.blob.bytes.size());
  EXPECT_EQ(events[events.size() - 2].kind, PullEvent::Kind::stitch_complete);
  EXPECT_EQ(events.back().kind, PullEvent::Kind::complete);
  EXPECT_EQ(events.back().manifest_digest, image_.manifest.digest);
}

TEST_F(ImageStoreTest, ACachedImageAsksNobody) {
  ASSERT_TRUE(store()->pull(name_, {}));
  const size_t before = registry_.seen().size();
  auto again = store()->resolve(name_, {});
  ASSERT_TRUE(again);
  EXPECT_EQ(registry_.seen().size(), before);
}

TEST_F(ImageStoreTest, AlwaysAsksForTheManifestButKeepsTheLayers) {
  ASSERT_TRUE(store()->pull(name_, {}));
  PullOptions always;
  always.policy = PullPolicy::always;
  ASSERT_TRUE(store()->pull(name_, always));
  EXPECT_EQ(registry_.count("/manifests/"), 2);
  EXPECT_EQ(registry_.count(base_.blob.digest), 1);
}

TEST_F(ImageStoreTest, ForceDownloadsAgain) {
  ASSERT_TRUE(store()->pull(name_, {}));
  PullOptions force;
  force.force = true;
  ASSERT_TRUE(store()->pull(name_, force));
  EXPECT_EQ(registry_.count(base_.blob.digest), 2);
}

TEST_F(ImageStoreTest, ForceRepairsADamagedLayerAndTheTreesThatUseIt) {
  const auto other = make_image({base_});
  registry_.add("other", "1", other);
  ASSERT_TRUE(store()->pull(name_, {}));
  ASSERT_TRUE(store()->pull("registry.lan/other:1", {}));
  const std::string path = home_.layer(base_.diff_id);
  const std::string good = *read_file(path);
  std::string bad = good;
  bad.back() = static_cast<char>(bad.back() ^ 1);
  ASSERT_TRUE(write_file_atomic(path, bad));
  PullOptions force;
  force.force = true;
  ASSERT_TRUE(store()->pull(name_, force));
  EXPECT_EQ(*read_file(path), good);
  EXPECT_FALSE(path_exists(home_.image_tree(other.manifest.digest)));
  ASSERT_TRUE(store()->resolve("registry.lan/other:1", {}));
  EXPECT_TRUE(path_exists(home_.image_tree(other.manifest.digest)));
}

TEST_F(ImageStoreTest, LayersAreSharedByDiffIdAcrossImages) {
  ASSERT_TRUE(store()->pull(name_, {}));
  registry_.add("other", "1", make_image({base_, make_layer({{"x", "y"}})}));
  std::vector<PullEvent> events;
  PullOptions options;
  options.progress = [&](const PullEvent& event) {
    if (event.kind == PullEvent::Kind::layer_materialize_complete) events.push_back(event);
  };
  ASSERT_TRUE(store()->pull("registry.lan/other:1", options));
  EXPECT_EQ(registry_.count(base_.blob.digest), 1);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].cached + events[1].cached, 1);
}

TEST_F(ImageStoreTest, TheSameLayerTwiceInAnImageIsDownloadedOnce) {
  registry_.add("twice", "1", make_image({base_, top_, base_}));
  auto resolved = store()->resolve("registry.lan/twice:1", {});
  ASSERT_TRUE(resolved) << resolved.error().to_string();
  EXPECT_EQ(resolved->layers.size(), 3u);
  EXPECT_EQ(registry_.count(base_.blob.digest), 1);
}

TEST_F(ImageStoreTest, ConcurrentPullsDownloadEachLayerOnce) {
  std::vector<int> results(4, 0);
  {
    std::vector<std::jthread> threads;
    for (int& result : results) threads.emplace_back([&] { result = store()->pull(name_, {}).has_value() ? 1 : 0; });
  }
  EXPECT_EQ(results, std::vector<int>(4, 1));
  EXPECT_EQ(registry_.count(base_.blob.digest), 1);
}

TEST_F(ImageStoreTest, NeverDoesNotAskTheRegistry) {
  PullOptions never;
  never.policy = PullPolicy::never;
  auto resolved = store()->resolve(name_, never);
  ASSERT_FALSE(resolved);
  EXPECT_EQ(resolved.error().kind(), ErrorKind::image_not_found);
  EXPECT_TRUE(registry_.seen().empty());
}

TEST_F(ImageStoreTest, ALostLayerIsPulledAgain) {
  ASSERT_TRUE(store()->pull(name_, {}));
  ASSERT_TRUE(remove_tree(home_.cache_dir()));
  auto resolved = store()->resolve(name_, {});
  ASSERT_TRUE(resolved) << resolved.error().to_string();
  EXPECT_TRUE(path_exists(home_.layer(base_.diff_id)));
}

TEST_F(ImageStoreTest, ACutOffLayerIsPulledAgain) {
  ASSERT_TRUE(store()->pull(name_, {}));
  ASSERT_EQ(::truncate(home_.layer(base_.diff_id).c_str(), 4096), 0);
  ASSERT_TRUE(store()->resolve(name_, {}));
  struct stat status{};
  ASSERT_EQ(::stat(home_.layer(base_.diff_id).c_str(), &status), 0);
  EXPECT_GT(status.st_size, 4096);
}

TEST_F(ImageStoreTest, ALostLayerWithPolicyNeverIsATypedError) {
  ASSERT_TRUE(store()->pull(name_, {}));
  ASSERT_TRUE(remove_tree(home_.layer(base_.diff_id)));
  PullOptions never;
  never.policy = PullPolicy::never;
  auto resolved = store()->resolve(name_, never);
  ASSERT_FALSE(resolved);
  EXPECT_EQ(resolved.error().kind(), ErrorKind::image_not_found);
  EXPECT_THAT(resolved.error().message(), HasSubstr("missing from the cache"));
}

TEST_F(ImageStoreTest, ALostTreeIsMadeAgainWithoutTheRegistry) {
  ASSERT_TRUE(store()->pull(name_, {}));
  ASSERT_TRUE(remove_tree(home_.images_dir()));
  const size_t before = registry_.seen().size();
  auto resolved = store()->resolve(name_, {});
  ASSERT_TRUE(resolved) << resolved.error().to_string();
  EXPECT_TRUE(path_exists(resolved->tree));
  EXPECT_EQ(registry_.seen().size(), before);
}

TEST_F(ImageStoreTest, ABlobWithTheWrongDigestLeavesNothing) {
  registry_.intercept([&](const Seen& request) -> std::optional<FakeAnswer> {
    if (request.target.find(top_.blob.digest) == std::string::npos) return std::nullopt;
    std::string body = testing::gzip(testing::make_tar({{"top", "X"}}));
    body.resize(top_.blob.bytes.size());
    return FakeAnswer{.status = 200, .headers = {}, .body = body, .break_after = {}};
  });
  auto resolved = store()->resolve(name_, {});
  ASSERT_FALSE(resolved);
  EXPECT_EQ(resolved.error().kind(), ErrorKind::corrupt) << resolved.error().to_string();
  EXPECT_FALSE(path_exists(home_.layer(top_.diff_id)));
  EXPECT_TRUE(files(home_.tmp_dir()).empty());
  EXPECT_TRUE(files(home_.images_dir()).empty());
  EXPECT_TRUE(store()->list()->empty());
}

TEST_F(ImageStoreTest, ALayerWithTheWrongDiffIdIsRefused) {
  auto lying = top_;
  lying.diff_id = "sha256:" + std::string(64, 'd');
  registry_.add("lying", "1", make_image({base_, lying}));
  auto resolved = store()->resolve("registry.lan/lying:1", {});
  ASSERT_FALSE(resolved);
  EXPECT_EQ(resolved.error().kind(), ErrorKind::corrupt);
  // Whether the honest layer was finished before the lie was found is a matter of time.
  EXPECT_FALSE(path_exists(home_.layer(lying.diff_id)));
  EXPECT_FALSE(path_exists(home_.layer(top_.diff_id)));
  EXPECT_TRUE(files(home_.tmp_dir()).empty());
}

TEST_F(ImageStoreTest, AnIndexLeadsToTheHostsManifest) {
  const Platform host = host_platform();
  const std::string other = "sha256:" + std::string(64, '5');
  const std::string index =
      cat(R"({"schemaVersion":2,"mediaType":")", media_type::kOciIndex,
          R"(","manifests":[{"mediaType":"x","size":1,"digest":")", other,
          R"(","platform":{"os":"plan9","architecture":"mips"}},{"mediaType":"y","size":1,"digest":")",
          image_.manifest.digest, R"(","platform":{"os":")", host.os, R"(","architecture":")", host.architecture,
          R"("}}]})");
  registry_.add_manifest("multi", "latest", testing::make_blob(index, media_type::kOciIndex));
  registry_.add_manifest("multi", "platform", image_.manifest);
  auto detail = store()->pull("registry.lan/multi", {});
  ASSERT_TRUE(detail) << detail.error().to_string();
  EXPECT_EQ(detail->info.manifest_digest, image_.manifest.digest);
}

TEST_F(ImageStoreTest, MirrorsAreAskedFirstAndTheRegistryLast) {
  ASSERT_TRUE(write_file_atomic(directory_->path() + "/config.json",
                                R"({"registries":{"mirrors":{"registry.lan":["down.lan","mirror.lan"]}}})"));
  registry_.intercept([](const Seen& request) -> std::optional<FakeAnswer> {
    if (request.host != "https://down.lan") return std::nullopt;
    return FakeAnswer{.status = 404, .headers = {}, .body = {}, .break_after = {}};
  });
  ASSERT_TRUE(store()->pull(name_, {}));
  EXPECT_EQ(registry_.seen().front().host, "https://down.lan");
  EXPECT_EQ(registry_.seen().back().host, "https://mirror.lan");
}

TEST_F(ImageStoreTest, WhatAMirrorSaidBeatsARegistryOutOfReach) {
  ASSERT_TRUE(write_file_atomic(directory_->path() + "/config.json",
                                R"({"registries":{"mirrors":{"registry.lan":["mirror.lan"]}}})"));
  registry_.intercept([](const Seen& request) -> std::optional<FakeAnswer> {
    if (request.host == "https://mirror.lan") return std::nullopt;
    return FakeAnswer{.status = 0, .headers = {}, .body = {}, .break_after = 0};
  });
  auto detail = store()->pull("registry.lan/app:2", {});
  ASSERT_FALSE(detail);
  EXPECT_EQ(detail.error().kind(), ErrorKind::image_not_found);
  EXPECT_THAT(detail.error().message(), HasSubstr("no tag '2'"));
}

TEST_F(ImageStoreTest, GivenCredentialsDoNotGoToMirrors) {
  ASSERT_TRUE(write_file_atomic(directory_->path() + "/config.json",
                                R"({"registries":{"mirrors":{"registry.lan":["mirror.lan"]}}})"));
  registry_.intercept([](const Seen& request) -> std::optional<FakeAnswer> {
    if (request.headers.contains("authorization")) return std::nullopt;
    return FakeAnswer{.status = 401, .headers = {{"www-authenticate", "Basic realm=x"}}, .body = {}, .break_after = {}};
  });
  PullOptions options;
  options.registry.auth = RegistryAuth{"me", "secret"};
  ASSERT_TRUE(store()->pull(name_, options));
  for (const Seen& request : registry_.seen()) {
    EXPECT_FALSE(request.host == "https://mirror.lan" && request.headers.contains("authorization"));
  }
}

TEST_F(ImageStoreTest, ListInspectAndRemove) {
  auto images = store();
  ASSERT_TRUE(images->pull(name_, {}));
  auto list = images->list();
  ASSERT_TRUE(list);
  ASSERT_EQ(list->size(), 1u);
  EXPECT_EQ((*list)[0].reference, name_);
  EXPECT_GT((*list)[0].size_bytes, 0u);
  auto detail = images->inspect(name_);
  ASSERT_TRUE(detail);
  EXPECT_EQ(detail->layers[1].diff_id, top_.diff_id);
  ASSERT_TRUE(images->remove(name_, false));
  EXPECT_TRUE(images->list()->empty());
  EXPECT_TRUE(files(home_.layers_dir()).empty());
  EXPECT_TRUE(files(home_.images_dir()).empty());
}

TEST_F(ImageStoreTest, AnUnknownImageCannotBeRemovedAndTheHintNamesANearOne) {
  auto images = store();
  ASSERT_TRUE(images->pull(name_, {}));
  auto removed = images->remove("registry.lan/ap:1", false);
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().kind(), ErrorKind::image_not_found);
  EXPECT_THAT(removed.error().hints().back(), HasSubstr(name_));
}

TEST_F(ImageStoreTest, AnImageInUseIsKeptUnlessForcedAndItsFilesStay) {
  auto images = store();
  ASSERT_TRUE(images->pull(name_, {}));
  add_sandbox("box", image_.manifest.digest);
  auto refused = images->remove(name_, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::image_in_use);
  EXPECT_THAT(refused.error().message(), HasSubstr("box"));
  ASSERT_TRUE(images->remove(name_, true));
  EXPECT_TRUE(path_exists(home_.layer(base_.diff_id)));
}

TEST_F(ImageStoreTest, ASecondReferenceMayGoWhileTheImageIsInUse) {
  auto images = store();
  registry_.add("app", "latest", image_);
  ASSERT_TRUE(images->pull(name_, {}));
  ASSERT_TRUE(images->pull("registry.lan/app", {}));
  add_sandbox("box", image_.manifest.digest);
  EXPECT_TRUE(images->remove("registry.lan/app", false));
}

TEST_F(ImageStoreTest, PruneKeepsWhatSandboxesUse) {
  auto images = store();
  const auto other = make_image({base_, make_layer({{"x", "y"}})});
  registry_.add("other", "1", other);
  ASSERT_TRUE(images->pull(name_, {}));
  ASSERT_TRUE(images->pull("registry.lan/other:1", {}));
  add_sandbox("box", image_.manifest.digest);
  auto report = images->prune();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->image_refs_removed, 1u);
  EXPECT_EQ(report->manifests_removed, 1u);
  EXPECT_EQ(report->layers_removed, 1u);
  EXPECT_GT(report->bytes_reclaimed, 0u);
  EXPECT_TRUE(path_exists(home_.layer(base_.diff_id)));
  EXPECT_FALSE(path_exists(home_.image_dir(other.manifest.digest)));
}

TEST_F(ImageStoreTest, PruneRemovesFilesWithoutARow) {
  auto images = store();
  ASSERT_TRUE(images->pull(name_, {}));
  add_sandbox("box", image_.manifest.digest);
  ASSERT_TRUE(write_file_atomic(home_.layer(std::string(64, 'f')), "stray"));
  ASSERT_TRUE(make_dirs(home_.image_dir(std::string(64, 'f'))));
  ASSERT_TRUE(images->prune());
  EXPECT_EQ(files(home_.layers_dir()).size(), 2u);
  EXPECT_EQ(files(home_.images_dir()).size(), 1u);
}

TEST_F(ImageStoreTest, TheNextPullRemovesTheWorkOfDeadProcesses) {
  ASSERT_TRUE(make_dirs(home_.tmp_dir() + "/pull-dead"));
  ASSERT_TRUE(write_file_atomic(home_.tmp_dir() + "/pull-dead/half.erofs", "half"));
  ASSERT_TRUE(write_file_atomic(home_.tmp_dir() + "/pull-dead.lock", ""));
  ASSERT_TRUE(store()->pull(name_, {}));
  EXPECT_TRUE(files(home_.tmp_dir()).empty());
}

TEST_F(ImageStoreTest, TheWorkOfTheLivingIsLeftAlone) {
  auto work = WorkDir::create(home_);
  ASSERT_TRUE(work);
  ASSERT_TRUE(store()->pull(name_, {}));
  EXPECT_TRUE(path_exists(work->path()));
}

TEST_F(ImageStoreTest, AnImageIsFoundByTheDigestItCameWith) {
  ASSERT_TRUE(store()->pull(name_, {}));
  auto detail = store()->inspect("registry.lan/app@" + image_.manifest.digest);
  ASSERT_TRUE(detail) << detail.error().to_string();
  EXPECT_EQ(detail->info.reference, name_);
}

}  // namespace
}  // namespace msb::image
