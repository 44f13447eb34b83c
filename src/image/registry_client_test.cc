#include "image/registry_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/base64.h"
#include "image/testing/fake_registry.h"
#include "image/testing/fetch.h"

namespace msb::image {
namespace {

using testing::FakeAnswer;
using testing::FakeRegistry;
using testing::FakeTransport;
using ::testing::HasSubstr;
using testing::Seen;

constexpr const char* kHost = "registry.lan";

class RegistryClientTest : public ::testing::Test {
 protected:
  RegistryClientTest() { registry_.add("app", "1", image_); }

  RegistryClient client(std::optional<Credentials> credentials = std::nullopt, Trust trust = Trust::verified) {
    return RegistryClient(transport_, testing::impatient({kHost, trust, {}, std::move(credentials), {}}),
                          *cancellation_);
  }
  Result<std::string> blob(RegistryClient& from) {
    return testing::fetch_blob(from, reference_, image_.layers[0].blob);
  }

  testing::SampleImage image_ =
      testing::make_image({testing::make_layer({{"a", std::string(20'000, 'x') + "tail"}, {"b", "c"}})});
  FakeRegistry registry_;
  FakeTransport transport_{registry_};
  std::unique_ptr<Cancellation> cancellation_ = *Cancellation::create();
  Reference reference_ = *Reference::parse("registry.lan/app:1");
};

TEST_F(RegistryClientTest, AManifestComesWithTheDigestOfItsBytes) {
  auto from = client();
  auto manifest = from.manifest(reference_, "1");
  ASSERT_TRUE(manifest) << manifest.error().to_string();
  EXPECT_EQ(manifest->digest.str(), image_.manifest.digest);
  EXPECT_EQ(registry_.seen()[0].host, "https://registry.lan");
}

TEST_F(RegistryClientTest, AManifestOtherThanAskedForIsRefused) {
  const std::string wanted = "sha256:" + std::string(64, 'e');
  registry_.add_manifest("app", wanted, image_.manifest);
  auto from = client();
  auto manifest = from.manifest(reference_, wanted);
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind(), ErrorKind::corrupt);
}

// Bearer for everything, with a token service on another host.
FakeRegistry::Intercept bearer(const std::string& token) {
  return [token](const Seen& request) -> std::optional<FakeAnswer> {
    if (request.host == "https://auth.lan")
      return FakeAnswer{.status = 200, .headers = {}, .body = R"({"token":")" + token + R"("})", .break_after = {}};
    const auto header = request.headers.find("authorization");
    if (header != request.headers.end() && header->second == "Bearer " + token) return std::nullopt;
    return FakeAnswer{
        .status = 401,
        .headers = {{"www-authenticate",
                     R"(Bearer realm="https://auth.lan/token",service="s s",scope="repository:app:pull")"}},
        .body = {},
        .break_after = {}};
  };
}

TEST_F(RegistryClientTest, ATokenIsFetchedOnceAndUsedForAll) {
  registry_.intercept(bearer("T"));
  auto from = client(Credentials{"me", "secret", ""});
  ASSERT_TRUE(from.manifest(reference_, "1"));
  auto text = blob(from);
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(registry_.count("/token"), 1);
  const auto seen = registry_.seen();
  EXPECT_EQ(seen[1].target, "/token?service=s%20s&scope=repository%3Aapp%3Apull");
  EXPECT_EQ(seen[1].headers.at("authorization"), "Basic " + base64_encode("me:secret"));
}

TEST_F(RegistryClientTest, AnIdentityTokenIsExchanged) {
  registry_.intercept(bearer("T"));
  auto from = client(Credentials{"", "", "refresh/me"});
  ASSERT_TRUE(from.manifest(reference_, "1"));
  const auto seen = registry_.seen();
  EXPECT_EQ(seen[1].method, "POST");
  EXPECT_THAT(seen[1].body, HasSubstr("refresh_token=refresh%2Fme"));
  EXPECT_EQ(seen[1].headers.count("authorization"), 0u);
}

TEST_F(RegistryClientTest, AnExpiredTokenIsRenewed) {
  registry_.intercept(bearer("first"));
  auto from = client();
  ASSERT_TRUE(from.manifest(reference_, "1"));
  registry_.intercept(bearer("second"));
  EXPECT_TRUE(blob(from));
  EXPECT_EQ(registry_.count("/token"), 2);
}

TEST_F(RegistryClientTest, CredentialsNeverGoToAPlainHttpTokenService) {
  registry_.intercept([](const Seen&) {
    return FakeAnswer{.status = 401,
                      .headers = {{"www-authenticate", R"(Bearer realm="http://auth.lan/token")"}},
                      .body = {},
                      .break_after = {}};
  });
  auto from = client(Credentials{"me", "secret", ""});
  auto manifest = from.manifest(reference_, "1");
  ASSERT_FALSE(manifest);
  EXPECT_THAT(manifest.error().message(), HasSubstr("plain http"));
  EXPECT_EQ(registry_.count("/token"), 0);
}

TEST_F(RegistryClientTest, BasicAuthenticationIsAnsweredWithCredentials) {
  registry_.intercept([](const Seen& request) -> std::optional<FakeAnswer> {
    if (request.headers.contains("authorization")) return std::nullopt;
    return FakeAnswer{.status = 401, .headers = {{"www-authenticate", "Basic realm=x"}}, .body = {}, .break_after = {}};
  });
  auto from = client(Credentials{"me", "secret", ""});
  ASSERT_TRUE(from.manifest(reference_, "1"));
  EXPECT_EQ(registry_.seen()[1].headers.at("authorization"), "Basic " + base64_encode("me:secret"));
}

TEST_F(RegistryClientTest, RefusedAccessAdvisesALogin) {
  registry_.intercept([](const Seen&) {
    return FakeAnswer{.status = 403,
                      .headers = {},
                      .body = R"({"errors":[{"code":"DENIED","message":"no\u001b[31m entry"}]})",
                      .break_after = {}};
  });
  auto from = client();
  auto manifest = from.manifest(reference_, "1");
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind(), ErrorKind::image_pull_failed);
  EXPECT_THAT(manifest.error().message(), HasSubstr("no[31m entry"));
  EXPECT_THAT(manifest.error().hints().back(), HasSubstr("docker login registry.lan"));
}

TEST_F(RegistryClientTest, AnUnknownTagNamesTheNearestTags) {
  registry_.add("app", "1.2", image_);
  registry_.add("app", "nightly", image_);
  auto from = client();
  auto manifest = from.manifest(reference_, "1.3");
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind(), ErrorKind::image_not_found);
  EXPECT_THAT(manifest.error().hints()[0], HasSubstr("1.2"));
}

TEST_F(RegistryClientTest, AnUnknownImageIsToldFromAnUnknownTag) {
  auto from = client();
  auto manifest = from.manifest(*Reference::parse("registry.lan/nothing"), "latest");
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind(), ErrorKind::image_not_found);
  EXPECT_THAT(manifest.error().message(), HasSubstr("there is no image registry.lan/nothing"));
}

// Answers like this until `times` requests have been refused.
FakeRegistry::Intercept refuse(int times, FakeAnswer answer) {
  return [times, answer](const Seen&) mutable -> std::optional<FakeAnswer> {
    if (times-- > 0) return answer;
    return std::nullopt;
  };
}

TEST_F(RegistryClientTest, ServerErrorsAreTriedAgain) {
  registry_.intercept(refuse(4, {.status = 503, .headers = {}, .body = {}, .break_after = {}}));
  auto from = client();
  EXPECT_TRUE(from.manifest(reference_, "1"));
  EXPECT_EQ(registry_.count("/manifests/"), 5);
}

TEST_F(RegistryClientTest, ServerErrorsThatStayAreReported) {
  registry_.intercept(refuse(1000, {.status = 500, .headers = {}, .body = {}, .break_after = {}}));
  auto from = client();
  auto manifest = from.manifest(reference_, "1");
  ASSERT_FALSE(manifest);
  EXPECT_THAT(manifest.error().message(), HasSubstr("status 500"));
  EXPECT_EQ(registry_.count("/manifests/"), 5);
}

TEST_F(RegistryClientTest, RateLimitsAreWaitedOutAsAsked) {
  registry_.intercept(refuse(2, {.status = 429, .headers = {{"retry-after", "0"}}, .body = {}, .break_after = {}}));
  auto from = client();
  EXPECT_TRUE(from.manifest(reference_, "1"));
}

TEST_F(RegistryClientTest, ALongRateLimitIsReportedAtOnce) {
  registry_.intercept(refuse(1, {.status = 429, .headers = {{"retry-after", "3600"}}, .body = {}, .break_after = {}}));
  auto from = client();
  auto manifest = from.manifest(reference_, "1");
  ASSERT_FALSE(manifest);
  EXPECT_THAT(manifest.error().message(), HasSubstr("429"));
  EXPECT_EQ(registry_.count("/manifests/"), 1);
}

TEST_F(RegistryClientTest, ABrokenBlobGoesOnAtTheByteWhereItStopped) {
  const std::string& bytes = image_.layers[0].blob.bytes;
  registry_.intercept([&, times = 2](const Seen& request) mutable -> std::optional<FakeAnswer> {
    if (request.target.find("/blobs/") == std::string::npos || times-- != 2) return std::nullopt;
    return FakeAnswer{.status = 200, .headers = {}, .body = bytes, .break_after = 70};
  });
  auto from = client();
  auto text = blob(from);
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(*text, bytes);
  EXPECT_EQ(registry_.seen().back().headers.at("range"), "bytes=70-");
}

TEST_F(RegistryClientTest, AServerWithoutRangesStartsOverAndNothingIsDoubled) {
  const std::string& bytes = image_.layers[0].blob.bytes;
  registry_.intercept([&, first = true](const Seen&) mutable -> std::optional<FakeAnswer> {
    FakeAnswer answer{.status = 200, .headers = {}, .body = bytes, .break_after = {}};
    if (std::exchange(first, false)) answer.break_after = 50;
    return answer;
  });
  auto from = client();
  auto text = blob(from);
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(*text, bytes);
}

TEST_F(RegistryClientTest, AResumeAtAnotherByteIsRefused) {
  const std::string& bytes = image_.layers[0].blob.bytes;
  registry_.intercept([&, first = true](const Seen&) mutable -> std::optional<FakeAnswer> {
    if (std::exchange(first, false)) return FakeAnswer{.status = 200, .headers = {}, .body = bytes, .break_after = 50};
    return FakeAnswer{
        .status = 206, .headers = {{"content-range", "bytes 49-99/100"}}, .body = bytes, .break_after = {}};
  });
  auto from = client();
  auto text = blob(from);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().kind(), ErrorKind::protocol);
}

TEST_F(RegistryClientTest, ABlobLargerThanItsSizeIsCutOff) {
  registry_.intercept([&](const Seen&) {
    return FakeAnswer{.status = 200, .headers = {}, .body = std::string(1 << 20, 'x'), .break_after = {}};
  });
  auto from = client();
  auto text = blob(from);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().kind(), ErrorKind::corrupt);
}

TEST_F(RegistryClientTest, ABlobThatStaysShortIsReported) {
  registry_.intercept([&](const Seen& request) -> std::optional<FakeAnswer> {
    if (request.headers.contains("range"))
      return FakeAnswer{.status = 206, .headers = {{"content-range", "bytes 10-10/11"}}, .body = {}, .break_after = {}};
    return FakeAnswer{.status = 200, .headers = {}, .body = std::string(10, 'x'), .break_after = {}};
  });
  auto from = client();
  auto text = blob(from);
  ASSERT_FALSE(text);
  EXPECT_THAT(text.error().message(), HasSubstr("ended after 10 of"));
}

TEST_F(RegistryClientTest, ARedirectToAnotherHostDoesNotCarryTheToken) {
  const std::string& bytes = image_.layers[0].blob.bytes;
  registry_.intercept([&](const Seen& request) -> std::optional<FakeAnswer> {
    if (request.host == "https://storage.lan")
      return FakeAnswer{.status = 200, .headers = {}, .body = bytes, .break_after = {}};
    if (auto refused = bearer("T")(request)) return refused;
    return FakeAnswer{
        .status = 307, .headers = {{"location", "https://storage.lan/signed?x=1"}}, .body = {}, .break_after = {}};
  });
  auto from = client();
  auto text = blob(from);
  ASSERT_TRUE(text) << text.error().to_string();
  const Seen last = registry_.seen().back();
  EXPECT_EQ(last.target, "/signed?x=1");
  EXPECT_EQ(last.headers.count("authorization"), 0u);
}

TEST_F(RegistryClientTest, ARedirectOnTheSameHostKeepsTheToken) {
  const std::string& bytes = image_.layers[0].blob.bytes;
  registry_.intercept([&](const Seen& request) -> std::optional<FakeAnswer> {
    if (auto refused = bearer("T")(request)) return refused;
    if (request.target == "/elsewhere")
      return FakeAnswer{.status = 200, .headers = {}, .body = bytes, .break_after = {}};
    return FakeAnswer{.status = 302, .headers = {{"location", "/elsewhere"}}, .body = {}, .break_after = {}};
  });
  auto from = client();
  EXPECT_TRUE(blob(from));
  EXPECT_EQ(registry_.seen().back().headers.at("authorization"), "Bearer T");
}

TEST_F(RegistryClientTest, ARedirectFromHttpsToHttpIsRefused) {
  registry_.intercept([](const Seen&) {
    return FakeAnswer{.status = 302, .headers = {{"location", "http://registry.lan/x"}}, .body = {}, .break_after = {}};
  });
  auto from = client();
  auto text = blob(from);
  ASSERT_FALSE(text);
  EXPECT_THAT(text.error().message(), HasSubstr("plain http"));
}

TEST_F(RegistryClientTest, RedirectsInCirclesEnd) {
  registry_.intercept([](const Seen& request) {
    return FakeAnswer{.status = 302, .headers = {{"location", request.target}}, .body = {}, .break_after = {}};
  });
  auto from = client();
  EXPECT_FALSE(blob(from));
}

TEST_F(RegistryClientTest, AnInsecureRegistryThatRefusesTlsIsAskedInPlainHttp) {
  registry_.intercept([](const Seen& request) -> std::optional<FakeAnswer> {
    if (request.host.starts_with("https")) return FakeAnswer{.status = 0, .headers = {}, .body = {}, .break_after = 0};
    return std::nullopt;
  });
  auto from = client(std::nullopt, Trust::insecure);
  EXPECT_TRUE(from.manifest(reference_, "1"));
  EXPECT_EQ(registry_.seen().back().host, "http://registry.lan");
}

TEST_F(RegistryClientTest, CancellationEndsABackOff) {
  registry_.intercept(refuse(1000, {.status = 500, .headers = {}, .body = {}, .break_after = {}}));
  Endpoint endpoint{kHost, Trust::verified, {}, std::nullopt, {}};
  endpoint.retry.first_delay = std::chrono::hours(1);
  endpoint.retry.longest_delay = std::chrono::hours(1);
  RegistryClient from(transport_, std::move(endpoint), *cancellation_);
  cancellation_->cancel();
  auto manifest = from.manifest(reference_, "1");
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind(), ErrorKind::cancelled);
}

}  // namespace
}  // namespace msb::image
