#include "image/curl_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "base/base64.h"
#include "base/temp_dir.h"
#include "image/registry_client.h"
#include "image/testing/fetch.h"
#include "image/testing/http_server.h"

namespace msb::image {
namespace {

using testing::FakeAnswer;
using testing::FakeRegistry;
using ::testing::HasSubstr;
using testing::HttpServer;
using testing::Seen;

class CurlTransportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    auto transport = CurlTransport::create({.connect = std::chrono::seconds(5), .stall = std::chrono::seconds(1)});
    ASSERT_TRUE(transport) << transport.error().to_string();
    transport_ = std::move(*transport);
    server_ = *HttpServer::start([this](const Seen& request) { return registry_.handle(request); });
    registry_.add("app", "1", image_);
  }

  RegistryClient client() {
    return RegistryClient(*transport_, testing::impatient({server_->host(), Trust::loopback, {}, std::nullopt, {}}),
                          *cancellation_);
  }
  Result<std::string> layer(RegistryClient& from) {
    return testing::fetch_blob(from, reference_, image_.layers[0].blob);
  }
  Result<> get(const std::string& url, const std::string& proxy = "") {
    const HttpRequest request{.url = *Url::parse(url), .headers = {}, .body = {}, .ca_files = {}, .proxy = proxy};
    return transport_->perform(
        request, {[](const HttpHead&) { return Result<>(); }, [](ByteView) { return Result<>(); }}, *cancellation_);
  }

  testing::SampleImage image_ = testing::make_image({testing::make_layer({{"a", std::string(50'000, 'x')}})});
  FakeRegistry registry_;
  std::unique_ptr<CurlTransport> transport_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<Cancellation> cancellation_ = *Cancellation::create();
  Reference reference_ = *Reference::parse("127.0.0.1:1/app:1");
};

TEST_F(CurlTransportTest, ManifestAndBlobComeOverOneConnection) {
  auto from = client();
  auto manifest = from.manifest(reference_, "1");
  ASSERT_TRUE(manifest) << manifest.error().to_string();
  EXPECT_EQ(manifest->content_type, media_type::kOciManifest);
  auto text = layer(from);
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(*text, image_.layers[0].blob.bytes);
}

TEST_F(CurlTransportTest, LoopbackIsReachedPastAProxy) {
  ::setenv("http_proxy", "http://127.0.0.1:1", 1);
  auto result = get(cat("http://", server_->host(), "/v2/"));
  ::unsetenv("http_proxy");
  EXPECT_TRUE(result) << result.error().to_string();
}

// The server is a proxy here: of plain HTTP it gets the whole address as a target.
class ProxiedTransportTest : public CurlTransportTest {
 protected:
  void SetUp() override {
    CurlTransportTest::SetUp();
    registry_.intercept([](const Seen& request) -> std::optional<FakeAnswer> {
      const bool known = request.headers.contains("proxy-authorization");
      return FakeAnswer{.status = known ? 200 : 407, .headers = {}, .body = {}, .break_after = {}};
    });
  }
  void TearDown() override {
    for (const char* name : {"http_proxy", "https_proxy", "no_proxy"}) ::unsetenv(name);
  }
  std::string proxy() const { return cat("http://me:p%40ss@", server_->host()); }
};

TEST_F(ProxiedTransportTest, AGivenProxyIsAskedWithItsLogin) {
  ASSERT_TRUE(get("http://registry.invalid/v2/", proxy()));
  ASSERT_EQ(registry_.seen().size(), 1u);
  EXPECT_EQ(registry_.seen()[0].target, "http://registry.invalid/v2/");
  EXPECT_EQ(registry_.seen()[0].headers.at("proxy-authorization"), "Basic " + base64_encode("me:p@ss"));
}

TEST_F(ProxiedTransportTest, TheEnvironmentsProxyIsAskedUnlessThereIsToBeNone) {
  ::setenv("http_proxy", proxy().c_str(), 1);
  EXPECT_TRUE(get("http://registry.invalid/v2/"));
  EXPECT_EQ(registry_.seen().size(), 1u);
  EXPECT_FALSE(get("http://registry.invalid/v2/", "none"));
  EXPECT_EQ(registry_.seen().size(), 1u);
}

TEST_F(ProxiedTransportTest, ExceptionsAndLoopbackAreReachedWithoutIt) {
  ::setenv("no_proxy", ".invalid", 1);
  EXPECT_FALSE(get("http://registry.invalid/v2/", proxy()));
  EXPECT_TRUE(get(cat("http://", server_->host(), "/v2/"), "http://127.0.0.1:1"));
  ASSERT_EQ(registry_.seen().size(), 1u);
  EXPECT_EQ(registry_.seen()[0].target, "/v2/");
}

TEST_F(ProxiedTransportTest, ARefusalIsTheProxysAndHasNoPassword) {
  const auto wrong = get("https://registry.invalid/v2/", cat("http://", server_->host()));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(registry_.seen().at(0).method, "CONNECT");
  ASSERT_NE(wrong.error().detail_as<TransportFailure>(), nullptr);
  EXPECT_EQ(wrong.error().detail_as<TransportFailure>()->cause, TransportFailure::Cause::unreachable);
  EXPECT_THAT(wrong.error().message(), HasSubstr("the proxy does not lead to the registry registry.invalid"));
  EXPECT_THAT(wrong.error().message(), HasSubstr("407"));
  const auto dead = get("https://registry.invalid/v2/", "http://me:secret@127.0.0.1:1");
  ASSERT_FALSE(dead);
  EXPECT_THAT(dead.error().to_string(), ::testing::Not(HasSubstr("secret")));
}

TEST_F(CurlTransportTest, ATruncatedBlobIsResumed) {
  const std::string& bytes = image_.layers[0].blob.bytes;
  registry_.intercept([&, first = true](const Seen& request) mutable -> std::optional<FakeAnswer> {
    if (request.target.find("/blobs/") == std::string::npos || !std::exchange(first, false)) return std::nullopt;
    return FakeAnswer{.status = 200, .headers = {}, .body = bytes, .break_after = 60};
  });
  auto from = client();
  auto text = layer(from);
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(*text, bytes);
  EXPECT_EQ(registry_.seen().back().headers.at("range"), "bytes=60-");
}

TEST_F(CurlTransportTest, AStalledBlobIsResumed) {
  const std::string& bytes = image_.layers[0].blob.bytes;
  registry_.intercept([&, first = true](const Seen& request) mutable -> std::optional<FakeAnswer> {
    if (request.target.find("/blobs/") == std::string::npos || !std::exchange(first, false)) return std::nullopt;
    return FakeAnswer{.status = 200, .headers = {{testing::kStall, "1"}}, .body = bytes, .break_after = 60};
  });
  auto from = client();
  auto text = layer(from);
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(*text, bytes);
}

TEST_F(CurlTransportTest, CancellationEndsAStalledTransfer) {
  registry_.intercept([&](const Seen& request) -> std::optional<FakeAnswer> {
    if (request.target.find("/blobs/") == std::string::npos) return std::nullopt;
    cancellation_->cancel();
    return FakeAnswer{.status = 200, .headers = {{testing::kStall, "1"}}, .body = "abc", .break_after = 1};
  });
  auto from = client();
  auto text = layer(from);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().kind(), ErrorKind::cancelled);
}

TEST_F(CurlTransportTest, ARedirectToAnotherPortDoesNotCarryTheToken) {
  FakeRegistry storage;
  storage.intercept([&](const Seen&) {
    return FakeAnswer{.status = 200, .headers = {}, .body = image_.layers[0].blob.bytes, .break_after = {}};
  });
  auto storage_server = *HttpServer::start([&](const Seen& request) { return storage.handle(request); });
  registry_.intercept([&](const Seen& request) -> std::optional<FakeAnswer> {
    if (request.target == "/token")
      return FakeAnswer{.status = 200, .headers = {}, .body = R"({"token":"T"})", .break_after = {}};
    if (request.target.starts_with("/token?"))
      return FakeAnswer{.status = 200, .headers = {}, .body = R"({"token":"T"})", .break_after = {}};
    if (!request.headers.contains("authorization")) {
      return FakeAnswer{.status = 401,
                        .headers = {{"WWW-Authenticate", cat("Bearer realm=\"http://", server_->host(), "/token\"")}},
                        .body = {},
                        .break_after = {}};
    }
    return FakeAnswer{.status = 307,
                      .headers = {{"Location", cat("http://", storage_server->host(), "/signed")}},
                      .body = {},
                      .break_after = {}};
  });
  auto from = client();
  auto text = layer(from);
  ASSERT_TRUE(text) << text.error().to_string();
  ASSERT_EQ(storage.seen().size(), 1u);
  EXPECT_EQ(storage.seen()[0].headers.count("authorization"), 0u);
  EXPECT_EQ(registry_.seen().back().headers.at("authorization"), "Bearer T");
}

TEST_F(CurlTransportTest, ARefusedConnectionIsUnreachableAndNamesTheHost) {
  const std::string host = server_->host();
  server_.reset();
  auto result = get(cat("http://", host, "/v2/"));
  ASSERT_FALSE(result);
  const auto* failure = result.error().detail_as<TransportFailure>();
  ASSERT_NE(failure, nullptr);
  EXPECT_EQ(failure->cause, TransportFailure::Cause::unreachable);
  EXPECT_THAT(result.error().message(), HasSubstr(host));
}

TEST_F(CurlTransportTest, AnUnknownNameIsUnreachable) {
  auto result = get("http://no-such-host.invalid/v2/");
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message(), HasSubstr("cannot be resolved"));
  const auto next = get(cat("http://", server_->host(), "/v2/"));
  EXPECT_TRUE(next) << next.error().to_string();
}

TEST_F(CurlTransportTest, TlsWithAPlainServerIsATlsFailure) {
  auto result = get(cat("https://", server_->host(), "/v2/"));
  ASSERT_FALSE(result);
  ASSERT_NE(result.error().detail_as<TransportFailure>(), nullptr);
  EXPECT_NE(result.error().detail_as<TransportFailure>()->cause, TransportFailure::Cause::unreachable);
}

TEST_F(CurlTransportTest, AFileWithoutCertificatesIsNamed) {
  auto directory = TempDir::create();
  ASSERT_TRUE(write_file_atomic(directory->path() + "/ca.pem", "nothing"));
  HttpRequest request{.url = *Url::parse("https://127.0.0.1:1/"),
                      .headers = {},
                      .body = {},
                      .ca_files = {directory->path() + "/ca.pem"}};
  auto result = transport_->perform(
      request, {[](const HttpHead&) { return Result<>(); }, [](ByteView) { return Result<>(); }}, *cancellation_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::invalid_config);
  EXPECT_THAT(result.error().message(), HasSubstr("ca.pem"));
}

}  // namespace
}  // namespace msb::image
