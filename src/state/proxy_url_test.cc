#include "state/proxy_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace msb::state {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ProxyUrlTest, EveryPartIsTakenApart) {
  const auto proxy = ProxyUrl::parse("HTTP://me:p%40s%3As@proxy.lan:3128/").value();
  EXPECT_EQ(proxy.kind(), ProxyUrl::Kind::http);
  EXPECT_EQ(proxy.host, "proxy.lan");
  EXPECT_EQ(proxy.port, 3128);
  EXPECT_EQ(proxy.login->username, "me");
  EXPECT_EQ(proxy.login->password, "p@s:s");
}

TEST(ProxyUrlTest, LoginSchemeAndBracketsAreOptional) {
  EXPECT_EQ(ProxyUrl::parse("proxy:8080")->kind(), ProxyUrl::Kind::http);
  EXPECT_FALSE(ProxyUrl::parse("proxy:8080")->login);
  EXPECT_EQ(ProxyUrl::parse("socks5://10.0.0.1:1080")->kind(), ProxyUrl::Kind::socks5);
  EXPECT_EQ(ProxyUrl::parse("socks5h://u@[::1]:1080")->host, "::1");
  EXPECT_EQ(ProxyUrl::parse("socks5h://u@[::1]:1080")->login->password, "");
  // The last '@' ends the login, as browsers and curl have it.
  EXPECT_EQ(ProxyUrl::parse("http://u:a@b@proxy:1")->login->password, "a@b");
}

TEST(ProxyUrlTest, ThePasswordIsNeverShown) {
  EXPECT_EQ(ProxyUrl::parse("http://me:secret@proxy:1")->shown(), "http://me:***@proxy:1");
  EXPECT_EQ(ProxyUrl::parse("socks5://[::1]:1")->shown(), "socks5://[::1]:1");
  EXPECT_EQ(ProxyUrl::parse("http://%1b[m:x@proxy:1")->shown(), "http://***:***@proxy:1");
  EXPECT_EQ(shown_proxy(""), "");
  EXPECT_EQ(shown_proxy("none"), "none");
  EXPECT_EQ(shown_proxy("ftp://me:secret@proxy:1"), "ftp://***@proxy:1");
  EXPECT_EQ(shown_proxy("me:secret@proxy"), "***@proxy");
}

TEST(ProxyUrlTest, MistakesSayWhatIsWrongAndNotThePassword) {
  for (const auto& [text, why] : std::vector<std::pair<std::string, const char*>>{
           {"https://me:secret@proxy:1", "TLS to the proxy"},
           {"socks4://me:secret@proxy:1", "only http://"},
           {"http://me:secret@proxy", "no port"},
           {"http://me:secret@[::1]", "no port"},
           {"http://me:secret@proxy:0", "port is no number"},
           {"http://me:secret@proxy:65536", "port is no number"},
           {"http://me:secret@:1", "host is neither"},
           {"http://me:secret@proxy:1/path:2", "host is neither"},
           {"http://me:secret%4@proxy:1", "two hex digits"},
           {"http://me%3ayou:secret@proxy:1", "':'"},
           {"http://me:secret@pro xy:1", "spaces"},
           {"http://me:secret" + std::string(256, 'x') + "@proxy:1", "255"},
           {"http://me:secret@" + std::string(4096, 'x') + ":1", "too long"}}) {
    const auto proxy = ProxyUrl::parse(text);
    ASSERT_FALSE(proxy) << text;
    EXPECT_EQ(proxy.error().kind(), ErrorKind::invalid_config);
    EXPECT_THAT(proxy.error().message(), AllOf(HasSubstr(why), Not(HasSubstr("secret"))));
  }
}

}  // namespace
}  // namespace msb::state
