#include "image/credentials.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/base64.h"
#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::image {
namespace {

Result<std::optional<Credentials>> no_helper(const std::string&, const std::string&) {
  return std::optional<Credentials>();
}

TEST(DockerConfig, FindsAuthsByHostHoweverWritten) {
  auto config = DockerConfig::parse(
      R"({"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYXNz"},"https://r.lan:5000/v2/":{"username":"a","password":"b"}}})",
      "x", no_helper);
  ASSERT_TRUE(config);
  EXPECT_EQ((*config->find("docker.io"))->password, "pass");
  EXPECT_EQ((*config->find("r.lan:5000"))->username, "a");
  EXPECT_FALSE((*config->find("other.lan")).has_value());
}

TEST(DockerConfig, APasswordMayContainColons) {
  auto config =
      DockerConfig::parse(cat(R"({"auths":{"h":{"auth":")", base64_encode("u:p:q"), R"("}}})"), "x", no_helper);
  ASSERT_TRUE(config);
  EXPECT_EQ((*config->find("h"))->password, "p:q");
}

TEST(DockerConfig, HelpersComeBeforeTheStoreAndTheFile) {
  std::vector<std::string> asked;
  auto config = DockerConfig::parse(
      R"({"auths":{"a":{"auth":"dXNlcjpwYXNz"}},"credsStore":"store","credHelpers":{"a":"special"}})", "x",
      [&](const std::string& name, const std::string& server) -> Result<std::optional<Credentials>> {
        asked.push_back(name + " " + server);
        return std::optional<Credentials>();
      });
  ASSERT_TRUE(config);
  EXPECT_EQ((*config->find("a"))->password, "pass");
  EXPECT_EQ(asked, (std::vector<std::string>{"special a", "store a"}));
}

TEST(DockerConfig, DamagedAuthIsAnErrorThatNamesTheServer) {
  auto config = DockerConfig::parse(R"({"auths":{"h.lan":{"auth":"!!"}}})", "/d/config.json", no_helper);
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().message().find("h.lan"), std::string::npos);
}

// A helper on PATH for the length of a test.
class HelperProgram : public testing::Test {
 protected:
  void SetUp() override {
    old_path_ = std::getenv("PATH");
    ::setenv("PATH", (directory_->path() + ":" + old_path_).c_str(), 1);
  }
  void TearDown() override { ::setenv("PATH", old_path_.c_str(), 1); }
  Result<TempDir> directory_ = TempDir::create();
  std::string old_path_;
};

TEST_F(HelperProgram, AnswersForTheServerOnItsStdin) {
  ASSERT_TRUE(write_file_atomic(
      directory_->path() + "/docker-credential-fake",
      "#!/bin/sh\nread -r server\n[ \"$1 $server\" = 'get r.lan' ] && echo '{\"Username\":\"u\",\"Secret\":\"s\"}'\n",
      0755));
  ASSERT_TRUE(write_file_atomic(directory_->path() + "/config.json", R"({"credsStore":"fake"})"));
  auto config = DockerConfig::load(directory_->path());
  ASSERT_TRUE(config);
  auto found = config->find("r.lan");
  ASSERT_TRUE(found) << found.error().to_string();
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->username, "u");
  EXPECT_EQ((*found)->password, "s");
}

TEST_F(HelperProgram, AFailingHelperMeansNoCredentials) {
  ASSERT_TRUE(write_file_atomic(directory_->path() + "/docker-credential-fake",
                                "#!/bin/sh\necho 'credentials not found in native keychain'; exit 1\n", 0755));
  ASSERT_TRUE(write_file_atomic(directory_->path() + "/config.json", R"({"credsStore":"fake"})"));
  auto found = DockerConfig::load(directory_->path())->find("r.lan");
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_FALSE(found->has_value());
}

TEST_F(HelperProgram, AMissingHelperIsNamed) {
  ASSERT_TRUE(write_file_atomic(directory_->path() + "/config.json", R"({"credsStore":"absent"})"));
  auto found = DockerConfig::load(directory_->path())->find("r.lan");
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message().find("docker-credential-absent"), std::string::npos);
}

TEST_F(HelperProgram, TheOrderIsCallThenSettingsThenDocker) {
  ASSERT_TRUE(write_file_atomic(directory_->path() + "/config.json",
                                R"({"auths":{"h":{"username":"docker","password":"1"}}})"));
  RegistrySettings settings;
  settings.hosts["h"] = {.insecure = false, .username = "settings", .password_env = "MSB_TEST_REGISTRY_PASSWORD"};
  EXPECT_EQ((*find_credentials("h", RegistryAuth{"call", "2"}, settings, directory_->path()))->username, "call");
  ::unsetenv("MSB_TEST_REGISTRY_PASSWORD");
  auto unset = find_credentials("h", std::nullopt, settings, directory_->path());
  ASSERT_FALSE(unset);
  EXPECT_NE(unset.error().message().find("MSB_TEST_REGISTRY_PASSWORD"), std::string::npos);
  ::setenv("MSB_TEST_REGISTRY_PASSWORD", "3", 1);
  EXPECT_EQ((*find_credentials("h", std::nullopt, settings, directory_->path()))->password, "3");
  settings.hosts.clear();
  EXPECT_EQ((*find_credentials("h", std::nullopt, settings, directory_->path()))->username, "docker");
}

}  // namespace
}  // namespace msb::image
