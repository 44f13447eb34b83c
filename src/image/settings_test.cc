#include "image/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace msb::image {
namespace {

std::string mistake(std::string_view text) {
  auto settings = RegistrySettings::parse(text, "/home/config.json");
  return settings ? "" : settings.error().message();
}

TEST(RegistrySettings, ReadsMirrorsHostsAndAuthorities) {
  auto settings = RegistrySettings::parse(
      R"({"log_level":"info","registries":{"mirrors":{"docker.io":["127.0.0.1:5000",{"host":"m.lan","insecure":true},"http://h.lan:80/"]},
          "hosts":{"r.lan:5000":{"insecure":true,"auth":{"username":"u","password_env":"P"}}},"ca_certs":["/a.pem"]}})",
      "x");
  ASSERT_TRUE(settings) << settings.error().message();
  const auto& mirrors = settings->mirrors.at("docker.io");
  ASSERT_EQ(mirrors.size(), 3u);
  EXPECT_EQ(mirrors[0].host, "127.0.0.1:5000");
  EXPECT_TRUE(mirrors[1].insecure);
  EXPECT_EQ(mirrors[2].host, "h.lan:80");
  EXPECT_TRUE(mirrors[2].insecure);
  EXPECT_EQ(settings->trust_of("r.lan:5000"), Trust::insecure);
  EXPECT_EQ(settings->trust_of("127.0.0.1:5000"), Trust::loopback);
  EXPECT_EQ(settings->trust_of("docker.io"), Trust::verified);
  EXPECT_EQ(settings->ca_certs, std::vector<std::string>{"/a.pem"});
}

TEST(RegistrySettings, AMissingFileMeansNoSettings) {
  auto settings = RegistrySettings::load("/nonexistent/config.json");
  ASSERT_TRUE(settings);
  EXPECT_TRUE(settings->mirrors.empty());
}

TEST(RegistrySettings, MistakesNameFileAndKey) {
  EXPECT_THAT(mistake("{"), testing::HasSubstr("/home/config.json is not valid JSON"));
  EXPECT_THAT(mistake(R"({"registries":[]})"), testing::HasSubstr("registries must be an object"));
  EXPECT_THAT(mistake(R"({"registries":{"mirrors":{"docker.io":"x"}}})"),
              testing::HasSubstr("registries.mirrors.\"docker.io\" must be a list"));
  EXPECT_THAT(mistake(R"({"registries":{"mirrors":{"docker.io":["a b"]}}})"),
              testing::HasSubstr("mirrors.\"docker.io\"[0]"));
  EXPECT_THAT(mistake(R"({"registries":{"hosts":{"h":{"insecure":1}}}})"),
              testing::HasSubstr("hosts.\"h\".insecure must be true or false"));
  EXPECT_THAT(mistake(R"({"registries":{"hosts":{"h":{"auth":{"username":"u"}}}}})"),
              testing::HasSubstr("\"password_env\""));
  EXPECT_THAT(mistake(R"({"registries":{"ca_certs":[1]}})"), testing::HasSubstr("ca_certs"));
}

}  // namespace
}  // namespace msb::image
