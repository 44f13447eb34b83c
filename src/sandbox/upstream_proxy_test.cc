#include "sandbox/upstream_proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace msb {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class FindProxyTest : public ::testing::Test {
 protected:
  Result<std::optional<state::ProxySpec>> find(const std::string& wish = "", const std::string& setting = "") {
    return find_proxy(wish, {.proxy = setting}, [this](const char* name) {
      const auto it = variables_.find(name);
      return it == variables_.end() ? nullptr : it->second.c_str();
    });
  }
  std::string url(const std::string& wish = "", const std::string& setting = "") {
    return find(wish, setting)->value_or(state::ProxySpec{}).url;
  }
  std::map<std::string, std::string> variables_;
};

TEST_F(FindProxyTest, WithoutAnythingThereIsNone) {
  EXPECT_EQ(find().value(), std::nullopt);
  variables_ = {{"HTTPS_PROXY", ""}, {"http_proxy", "http://10.0.0.1:1"}, {"NO_PROXY", "*"}};
  EXPECT_EQ(find().value(), std::nullopt);
}

TEST_F(FindProxyTest, TheSandboxComesBeforeTheSettingsAndThoseBeforeTheEnvironment) {
  variables_ = {{"ALL_PROXY", "socks5://10.0.0.4:4"}};
  EXPECT_EQ(url(), "socks5://10.0.0.4:4");
  variables_["HTTPS_PROXY"] = "http://10.0.0.3:3";
  EXPECT_EQ(url(), "http://10.0.0.3:3");
  variables_["https_proxy"] = "10.0.0.2:2";
  EXPECT_EQ(url(), "10.0.0.2:2");
  EXPECT_EQ(url("", "http://10.0.0.1:1"), "http://10.0.0.1:1");
  EXPECT_EQ(url("http://10.0.0.0:5", "http://10.0.0.1:1"), "http://10.0.0.0:5");
  EXPECT_EQ(url("none", "http://10.0.0.1:1"), "");
  EXPECT_EQ(url("", "none"), "");
}

TEST_F(FindProxyTest, ItsAddressesAndTheExceptionsAreThere) {
  variables_ = {{"NO_PROXY", "10.0.0.0/8"}};
  EXPECT_THAT(find("http://[::1]:1")->value().addresses, ElementsAre("::1"));
  EXPECT_THAT(find("http://127.0.0.1:1")->value().addresses, ElementsAre("127.0.0.1"));
  EXPECT_EQ(find("http://127.0.0.1:1")->value().exceptions, "10.0.0.0/8");
  EXPECT_THAT(find("http://no-such-host.invalid:1")->value().addresses, IsEmpty());
}

TEST_F(FindProxyTest, AMistakeNamesItsSourceAndNotThePassword) {
  variables_ = {{"HTTPS_PROXY", "https://u:secret@proxy:1"}};
  const auto proxy = find();
  ASSERT_FALSE(proxy);
  EXPECT_THAT(proxy.error().to_string(), AllOf(HasSubstr("HTTPS_PROXY"), HasSubstr("TLS"), Not(HasSubstr("secret"))));
  EXPECT_THAT(proxy.error().hints(), ::testing::Contains(HasSubstr("--net-proxy none")));
}

}  // namespace
}  // namespace msb
