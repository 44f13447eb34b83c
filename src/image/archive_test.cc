#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/temp_dir.h"
#include "image/archive_files.h"
#include "image/image_store.h"
#include "image/json.h"
#include "image/testing/sample_image.h"

namespace msb::image {
namespace {

using ::testing::HasSubstr;
using testing::make_blob;
using testing::make_image;
using testing::make_layer;
using testing::make_tar;
using testing::SampleFile;

class ArchiveTest : public ::testing::Test {
 protected:
  std::unique_ptr<ImageStore> store(const std::string& name = "home") {
    StoreOptions options;
    options.settings_path = directory_->path() + "/config.json";
    options.docker_directory = directory_->path() + "/docker";
    auto opened = ImageStore::open(*state::Home::at(directory_->path() + "/" + name), std::move(options));
    EXPECT_TRUE(opened) << opened.error().to_string();
    return std::move(*opened);
  }
  std::string write(const std::string& name, std::string_view text) {
    const std::string path = directory_->path() + "/" + name;
    EXPECT_TRUE(make_dirs(path.substr(0, path.rfind('/'))));
    EXPECT_TRUE(write_file_atomic(path, text));
    return path;
  }
  // As `docker save` of old writes it: layers plain, the second a link to the first.
  std::vector<SampleFile> docker_archive(const std::string& config_name = "config.json") {
    const auto layer = make_layer({{"etc/motd", "hello"}});
    const auto image = make_image({layer});
    Json manifest = Json::array();
    manifest.push_back({{"Config", config_name}, {"RepoTags", {"app:1"}}, {"Layers", {"l1/layer.tar"}}});
    return {{"l1/layer.tar", make_tar({{"etc/motd", "hello"}})},
            {"config.json", image.config.bytes},
            {"manifest.json", manifest.dump()}};
  }
  std::vector<SampleFile> oci_layout(const testing::SampleImage& image, const std::string& name) {
    Json entry{{"mediaType", image.manifest.media_type},
               {"digest", image.manifest.digest},
               {"size", image.manifest.bytes.size()}};
    if (!name.empty()) entry["annotations"] = {{"org.opencontainers.image.ref.name", name}};
    const auto blob = [](const testing::SampleBlob& b) {
      return SampleFile{"blobs/sha256/" + b.digest.substr(7), b.bytes};
    };
    std::vector<SampleFile> out{{"oci-layout", R"({"imageLayoutVersion":"1.0.0"})"},
                                {"index.json", Json{{"schemaVersion", 2}, {"manifests", {entry}}}.dump()},
                                blob(image.manifest),
                                blob(image.config)};
    for (const auto& layer : image.layers) out.push_back(blob(layer.blob));
    return out;
  }
  std::string error_of(const std::string& path) {
    auto loaded = store()->load(path, {}, {});
    return loaded ? "" : loaded.error().to_string();
  }

  Result<TempDir> directory_ = TempDir::create();
};

TEST_F(ArchiveTest, ADockerArchiveBringsItsTags) {
  auto loaded = store()->load(write("a.tar", make_tar(docker_archive())), {"extra:2"}, {});
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  ASSERT_EQ(loaded->size(), 2u);
  EXPECT_EQ((*loaded)[0].reference, "docker.io/library/app:1");
  EXPECT_EQ((*loaded)[1].reference, "docker.io/library/extra:2");
  EXPECT_EQ((*loaded)[0].manifest_digest, (*loaded)[1].manifest_digest);
  auto resolved = store()->resolve("app:1", {.policy = PullPolicy::never});
  ASSERT_TRUE(resolved) << resolved.error().to_string();
  EXPECT_EQ(resolved->detail.config.cmd, std::vector<std::string>{"true"});
  EXPECT_TRUE(path_exists(resolved->tree));
}

TEST_F(ArchiveTest, ACompressedArchiveAndACompressedLayerAreReadToo) {
  auto files = docker_archive();
  files[0].contents = testing::gzip(files[0].contents);
  auto loaded = store()->load(write("a.tar.gz", testing::gzip(make_tar(files))), {}, {});
  ASSERT_TRUE(loaded) << loaded.error().to_string();
}

TEST_F(ArchiveTest, AnOciLayoutIsLoadedFromATarAndFromADirectory) {
  const auto image = make_image({make_layer({{"a", "b"}}), make_layer({{"c", "d"}})});
  auto from_tar = store()->load(write("oci.tar", make_tar(oci_layout(image, "app:1"))), {}, {});
  ASSERT_TRUE(from_tar) << from_tar.error().to_string();
  EXPECT_EQ((*from_tar)[0].manifest_digest, image.manifest.digest);
  for (const auto& file : oci_layout(image, "app:1")) write("layout/" + file.name, file.contents);
  auto from_directory = store("other")->load(directory_->path() + "/layout", {}, {});
  ASSERT_TRUE(from_directory) << from_directory.error().to_string();
  EXPECT_EQ((*from_directory)[0].manifest_digest, image.manifest.digest);
}

TEST_F(ArchiveTest, ANamelessImageNeedsATag) {
  const std::string path = write("oci.tar", make_tar(oci_layout(make_image({make_layer({{"a", "b"}})}), "latest")));
  auto nameless = store()->load(path, {}, {});
  ASSERT_FALSE(nameless);
  EXPECT_EQ(nameless.error().kind(), ErrorKind::invalid_config);
  auto named = store()->load(path, {"mine"}, {});
  ASSERT_TRUE(named) << named.error().to_string();
  EXPECT_EQ((*named)[0].reference, "docker.io/library/mine:latest");
}

TEST_F(ArchiveTest, NamesThatLeaveTheArchiveAreRefused) {
  write("secret", "x");
  EXPECT_THAT(error_of(write("a.tar", make_tar(docker_archive("../secret")))), HasSubstr("outside"));
  EXPECT_THAT(error_of(write("b.tar", make_tar(docker_archive("/etc/passwd")))), HasSubstr("outside"));
}

TEST_F(ArchiveTest, ADirectoryIsNotLeftThroughASymlink) {
  auto files = docker_archive();
  for (const auto& file : files) write("dir/" + file.name, file.contents);
  const std::string config = directory_->path() + "/dir/config.json";
  ASSERT_EQ(::rename(config.c_str(), (directory_->path() + "/outside.json").c_str()), 0);
  ASSERT_EQ(::symlink("../outside.json", config.c_str()), 0);
  EXPECT_THAT(error_of(directory_->path() + "/dir"), HasSubstr("outside"));
}

TEST_F(ArchiveTest, DamageIsFound) {
  const auto image = make_image({make_layer({{"a", std::string(5000, 'a')}})});
  auto files = oci_layout(image, "app:1");
  files[3].contents[10] ^= 1;
  EXPECT_THAT(error_of(write("a.tar", make_tar(files))), HasSubstr("does not match"));
  files = oci_layout(image, "app:1");
  files[4].contents[30] ^= 1;
  EXPECT_NE(error_of(write("b.tar", make_tar(files))), "");
  const std::string whole = make_tar(oci_layout(image, "app:1"));
  EXPECT_NE(error_of(write("c.tar", whole.substr(0, 700))), "");
  EXPECT_THAT(error_of(write("d.tar", "")), HasSubstr("empty"));
  EXPECT_NE(error_of(write("e.tar", std::string(3000, 'j'))), "");
  EXPECT_TRUE(store()->list()->empty());
}

TEST_F(ArchiveTest, WhatIsNoArchiveGetsHints) {
  auto loaded = store()->load(write("a.tar", make_tar({{"hello", "x"}})), {}, {});
  ASSERT_FALSE(loaded);
  EXPECT_FALSE(loaded.error().hints().empty());
  EXPECT_EQ(store()->load("/nonexistent.tar", {}, {}).error().kind(), ErrorKind::path_not_found);
}

TEST_F(ArchiveTest, LayersOfManifestAndConfigMustAgree) {
  auto files = docker_archive();
  files[2].contents = R"([{"Config":"config.json","RepoTags":["a:1"],"Layers":[]}])";
  EXPECT_THAT(error_of(write("a.tar", make_tar(files))), HasSubstr("names 0 layers but the config 1"));
}

class SaveTest : public ArchiveTest, public ::testing::WithParamInterface<ArchiveFormat> {};

TEST_P(SaveTest, WhatIsSavedLoadsAgainWithTheSameConfig) {
  const auto image = make_image({make_layer({{"a", std::string(100'000, 'a')}}), make_layer({{"b", "c"}})});
  auto images = store();
  ASSERT_TRUE(images->load(write("oci.tar", make_tar(oci_layout(image, "app:1"))), {}, {}));
  const std::string saved = directory_->path() + "/saved.tar";
  auto result = images->save({"app:1"}, saved, GetParam());
  ASSERT_TRUE(result) << result.error().to_string();
  auto other = store("other");
  auto loaded = other->load(saved, {}, {});
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ((*loaded)[0].reference, "docker.io/library/app:1");
  EXPECT_EQ(other->inspect("app:1")->config.env, std::vector<std::string>{"A=b"});

  const std::string first = *read_file(saved);
  ASSERT_TRUE(images->save({"app:1"}, saved, GetParam()));
  EXPECT_EQ(*read_file(saved), first);
}
INSTANTIATE_TEST_SUITE_P(Formats, SaveTest, ::testing::Values(ArchiveFormat::docker, ArchiveFormat::oci));

TEST_F(ArchiveTest, SavingAnUnknownImageFailsAndWritesNothing) {
  const std::string saved = directory_->path() + "/saved.tar";
  auto result = store()->save({"nothing"}, saved, ArchiveFormat::oci);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::image_not_found);
  EXPECT_FALSE(path_exists(saved));
}

}  // namespace
}  // namespace msb::image
