#include "state/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::state {
namespace {

class NetworkSettingsTest : public ::testing::Test {
 protected:
  Result<NetworkSettings> load(std::string_view text) {
    const std::string path = directory_.path() + "/config.json";
    EXPECT_TRUE(write_file_atomic(path, text));
    return NetworkSettings::load(path);
  }
  TempDir directory_ = TempDir::create().value();
};

TEST_F(NetworkSettingsTest, TheProxyIsRead) {
  EXPECT_EQ(load(R"({"network":{"proxy":"http://u:p@proxy:1"},"registries":{}})")->proxy, "http://u:p@proxy:1");
  EXPECT_EQ(load(R"({"network":{"proxy":"none"}})")->proxy, "none");
  EXPECT_EQ(load(R"({"network":{}})")->proxy, "");
  EXPECT_EQ(load("{}")->proxy, "");
  EXPECT_EQ(NetworkSettings::load("/nonexistent/config.json")->proxy, "");
}

TEST_F(NetworkSettingsTest, MistakesNameFileAndKey) {
  for (const auto& [text, phrase] : std::vector<std::pair<const char*, const char*>>{
           {"{", "must be a JSON object"},
           {R"({"network":[]})", "network must be an object"},
           {R"({"network":{"proxy":1}})", "network.proxy must be a string"},
           {R"({"network":{"proxy":"ftp://u:secret@proxy:1"}})", "network.proxy: 'ftp://***@proxy:1' is no proxy"}}) {
    const auto settings = load(text);
    ASSERT_FALSE(settings) << text;
    EXPECT_EQ(settings.error().kind(), ErrorKind::invalid_config);
    EXPECT_THAT(settings.error().to_string(),
                ::testing::AllOf(::testing::HasSubstr("/config.json: "), ::testing::HasSubstr(phrase)));
  }
}

}  // namespace
}  // namespace msb::state
