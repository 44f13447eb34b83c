// Pulls from a real registry (Debian's docker-registry) what real tools (umoci, skopeo) made and pushed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/child.h"
#include "base/temp_dir.h"
#include "image/curl_transport.h"
#include "image/image_store.h"

namespace msb::image {
namespace {

using ::testing::HasSubstr;

class RegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    base_ = directory_->path();
    start_registry("");
  }

  // `http` is added to the http section of the registry's settings.
  void start_registry(const std::string& http) {
    MSB_ASSERT(write_file_atomic(base_ + "/registry.yml",
                                 cat("version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: ", base_,
                                     "/registry}}\nhttp: {addr: \"127.0.0.1:0\"", http, "}\n")));
    auto pipe = make_pipe();
    auto child = Child::spawn({.argv = {"docker-registry", "serve", base_ + "/registry.yml"},
                               .env = {},
                               .fds = {{pipe->write.get(), 1}, {pipe->write.get(), 2}},
                               .die_with_parent = true});
    ASSERT_TRUE(child) << child.error().to_string();
    registry_ = std::move(*child);
    pipe->write.reset();
    log_ = std::move(pipe->read);
    // It logs the port that it got: no guessing, no waiting by the clock.
    constexpr std::string_view kListening = "listening on 127.0.0.1:";
    std::string text;
    for (size_t at = std::string::npos; port_.empty();) {
      uint8_t byte = 0;
      auto count = read_some(log_.get(), MutableByteView(&byte, 1));
      ASSERT_TRUE(count && *count == 1) << "docker-registry ended: " << text;
      text.push_back(static_cast<char>(byte));
      if (at == std::string::npos && text.ends_with(kListening)) at = text.size();
      if (at != std::string::npos && text.size() > at && isdigit(byte) == 0)
        port_ = text.substr(at, text.size() - at - 1);
    }
    host_ = "127.0.0.1:" + port_;
    drain_ = std::jthread([fd = log_.get()] {
      Bytes buffer(4096);
      for (auto count = read_some(fd, buffer); count && *count > 0; count = read_some(fd, buffer)) {
      }
    });
    ASSERT_TRUE(write_file_atomic(base_ + "/config.json",
                                  cat(R"({"registries":{"mirrors":{"docker.io":[")", host_, R"("]}}})")));
  }
  void TearDown() override { stop_registry(); }
  void stop_registry() {
    registry_ = Child();
    drain_ = std::jthread();
    port_.clear();
  }

  static void MSB_ASSERT(const Result<>& result) { ASSERT_TRUE(result) << result.error().to_string(); }

  void shell(const std::string& script) {
    auto output = run_capture({"sh", "-ec", "exec 2>&1; cd " + base_ + "\n" + script});
    ASSERT_TRUE(output) << output.error().to_string();
  }
  std::unique_ptr<ImageStore> store() {
    StoreOptions options;
    options.settings_path = base_ + "/config.json";
    options.docker_directory = base_ + "/docker";
    return std::move(*ImageStore::open(*state::Home::at(base_ + "/home"), std::move(options)));
  }

  Result<TempDir> directory_ = TempDir::create();
  std::string base_;
  Child registry_;
  Fd log_;
  std::string port_;
  std::string host_;
  std::jthread drain_;
};

constexpr const char* kMakeImage = R"(
umoci init --layout oci; umoci new --image oci:app
umoci unpack --image oci:app bundle >/dev/null
mkdir -p bundle/rootfs/bin bundle/rootfs/etc
cp /bin/busybox bundle/rootfs/bin/busybox; ln bundle/rootfs/bin/busybox bundle/rootfs/bin/sh
echo one > bundle/rootfs/etc/one; umoci repack --refresh-bundle --image oci:app bundle >/dev/null
rm bundle/rootfs/etc/one; echo two > bundle/rootfs/etc/two; umoci repack --refresh-bundle --image oci:app bundle >/dev/null
umoci config --image oci:app --config.cmd sh --config.env PATH=/bin --config.workingdir /etc
)";

constexpr const char* kCheckOurs = R"sh(
skopeo copy --insecure-policy docker-archive:ours-docker.tar oci:check:docker
skopeo copy --insecure-policy oci-archive:ours-oci.tar oci:check:oci
umoci unpack --image check:docker out1 >/dev/null; umoci unpack --image check:oci out2 >/dev/null
diff -r out1/rootfs out2/rootfs
test "$(cat out1/rootfs/etc/two)" = two; test ! -e out1/rootfs/etc/one; cmp out1/rootfs/bin/busybox /bin/busybox
test out1/rootfs/bin/sh -ef out1/rootfs/bin/busybox
)sh";

TEST_F(RegistryTest, PushedBySkopeoPulledByUsThroughTheMirror) {
  ASSERT_NO_FATAL_FAILURE(
      shell(cat(kMakeImage, "skopeo copy --insecure-policy --dest-tls-verify=false oci:oci:app docker://", host_,
                "/library/app:1\n")));
  auto resolved = store()->resolve("app:1", {});
  ASSERT_TRUE(resolved) << resolved.error().to_string();
  EXPECT_EQ(resolved->detail.info.reference, "docker.io/library/app:1");
  EXPECT_EQ(resolved->layers.size(), 2u);
  EXPECT_EQ(resolved->detail.config.working_dir, "/etc");
  auto missing = store()->resolve("app:2", {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::image_not_found);
  EXPECT_THAT(missing.error().hints()[0], HasSubstr("1"));
}

TEST_F(RegistryTest, DockerSchema2AndZstdLayersArePulledToo) {
  ASSERT_NO_FATAL_FAILURE(shell(
      cat(kMakeImage, "skopeo copy --insecure-policy --dest-tls-verify=false --format v2s2 oci:oci:app docker://",
          host_, "/library/v2:1\n",
          "skopeo copy --insecure-policy --dest-tls-verify=false --dest-compress-format zstd oci:oci:app dir:zstd\n",
          "skopeo copy --insecure-policy --dest-tls-verify=false --dest-compress-format zstd oci:oci:app docker://",
          host_, "/library/zstd:1\n")));
  auto v2 = store()->resolve("v2:1", {});
  ASSERT_TRUE(v2) << v2.error().to_string();
  auto zstd = store()->resolve(host_ + "/library/zstd:1", {});
  ASSERT_TRUE(zstd) << zstd.error().to_string();
  EXPECT_EQ(v2->layers, zstd->layers);
}

TEST_F(RegistryTest, ArchivesOfSkopeoLoadAndOursLoadInSkopeo) {
  ASSERT_NO_FATAL_FAILURE(
      shell(cat(kMakeImage, "skopeo copy --insecure-policy oci:oci:app docker-archive:docker.tar:app:docker\n",
                "skopeo copy --insecure-policy oci:oci:app oci-archive:oci.tar:app:oci\n")));
  auto images = store();
  auto docker = images->load(base_ + "/docker.tar", {}, {});
  ASSERT_TRUE(docker) << docker.error().to_string();
  EXPECT_EQ((*docker)[0].reference, "docker.io/library/app:docker");
  auto oci = images->load(base_ + "/oci.tar", {}, {});
  ASSERT_TRUE(oci) << oci.error().to_string();
  auto saved = images->save({"app:docker"}, base_ + "/ours-docker.tar", ArchiveFormat::docker);
  ASSERT_TRUE(saved) << saved.error().to_string();
  saved = images->save({"app:docker"}, base_ + "/ours-oci.tar", ArchiveFormat::oci);
  ASSERT_TRUE(saved) << saved.error().to_string();
  ASSERT_NO_FATAL_FAILURE(shell(kCheckOurs));
}

// Asks the registry for /v2/ over TLS as if it were anywhere: certificates count.
Result<int> ask_over_tls(const std::string& host, const std::vector<std::string>& ca_files, TlsCheck check) {
  MSB_TRY(auto transport, CurlTransport::create());
  MSB_TRY(auto cancellation, Cancellation::create());
  MSB_TRY(auto url, Url::parse(cat("https://", host, "/v2/")));
  const HttpRequest request{.url = std::move(url), .headers = {}, .body = {}, .tls = check, .ca_files = ca_files};
  int status = 0;
  MSB_CHECK(transport->perform(request,
                               {[&](const HttpHead& head) {
                                  status = head.status;
                                  return Result<>();
                                },
                                [](ByteView) { return Result<>(); }},
                               *cancellation));
  return status;
}

TEST_F(RegistryTest, CertificatesCountUnlessTheirAuthorityIsGivenOrTheyAreWaived) {
  ASSERT_NO_FATAL_FAILURE(
      shell("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=registry -addext subjectAltName=IP:127.0.0.1 "
            "-keyout key.pem -out ca.pem\n"));
  stop_registry();
  ASSERT_NO_FATAL_FAILURE(start_registry(cat(", tls: {certificate: ", base_, "/ca.pem, key: ", base_, "/key.pem}")));
  auto unknown = ask_over_tls(host_, {}, TlsCheck::verify);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind(), ErrorKind::image_pull_failed);
  EXPECT_THAT(unknown.error().message(), HasSubstr("cannot be verified"));
  EXPECT_THAT(unknown.error().hints()[0], HasSubstr("--ca-certs"));
  auto trusted = ask_over_tls(host_, {base_ + "/ca.pem"}, TlsCheck::verify);
  ASSERT_TRUE(trusted) << trusted.error().to_string();
  EXPECT_EQ(*trusted, 200);
  EXPECT_EQ(ask_over_tls(host_, {}, TlsCheck::skip).value_or(0), 200);
  // On loopback TLS is found out, whoever signed it.
  auto missing = store()->resolve("nothing", {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::image_not_found) << missing.error().to_string();
}

}  // namespace
}  // namespace msb::image
