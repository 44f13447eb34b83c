#include "cli/sandbox_flags.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace msb::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

Result<SandboxConfig> parse(std::vector<std::string> words) {
  CLI::App app;
  auto* command = app.add_subcommand("run");
  SandboxFlags flags;
  flags.add_to(*command);
  words.insert(words.begin(), "run");
  std::reverse(words.begin(), words.end());
  app.parse(words);
  return flags.config();
}

TEST(SandboxFlags, defaults_are_those_of_the_documentation) {
  auto config = parse({"alpine"});
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->cpus, 1u);
  EXPECT_EQ(config->memory_mib, 512u);
  EXPECT_EQ(config->shell, "/bin/sh");
  EXPECT_FALSE(config->replace_grace);
  EXPECT_FALSE(config->entrypoint);
}

TEST(SandboxFlags, repeatable_options_do_not_swallow_the_image) {
  auto config = parse({"-e", "A=1", "-e", "B=2", "--label", "team=x", "alpine"});
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_THAT(config->env, ElementsAre(Pair("A", "1"), Pair("B", "2")));
  EXPECT_THAT(config->labels, ElementsAre(Pair("team", "x")));
  EXPECT_EQ(config->image.reference, "alpine");
}

TEST(SandboxFlags, replace_with_timeout_implies_replace) {
  auto config = parse({"--replace-with-timeout", "250ms", "alpine"});
  ASSERT_TRUE(config);
  EXPECT_EQ(config->replace_grace, std::chrono::milliseconds(250));
}

TEST(SandboxFlags, an_empty_entrypoint_clears_it) {
  auto config = parse({"--entrypoint", "", "alpine"});
  ASSERT_TRUE(config);
  ASSERT_TRUE(config->entrypoint);
  EXPECT_TRUE(config->entrypoint->empty());
}

TEST(SandboxFlags, patches_stand_in_the_order_of_the_command_line) {
  auto config = parse({"--rm", "/a", "--copy", "/etc:/b", "--mkdir", "/c", "--rm", "/d", "--copy", "/etc/passwd:/e",
                       "--copy-file", "x:y:/f", "--copy-dir", "z:/g", "alpine"});
  ASSERT_TRUE(config) << config.error().to_string();
  std::vector<std::pair<Patch::Kind, std::string>> patches;
  for (const auto& patch : config->patches) patches.emplace_back(patch.kind, patch.path);
  using Kind = Patch::Kind;
  EXPECT_THAT(patches, ElementsAre(Pair(Kind::remove, "/a"), Pair(Kind::copy_dir, "/b"), Pair(Kind::mkdir, "/c"),
                                   Pair(Kind::remove, "/d"), Pair(Kind::copy_file, "/e"), Pair(Kind::copy_file, "/f"),
                                   Pair(Kind::copy_dir, "/g")));
  EXPECT_EQ(config->patches[5].source, "x:y");
  EXPECT_FALSE(parse({"--copy", "file", "alpine"}));
  EXPECT_FALSE(parse({"--copy", ":/x", "alpine"}));
  EXPECT_FALSE(parse({"--mkdir", "relative", "alpine"}));
}

TEST(SandboxFlags, scripts_get_a_first_line_and_an_end) {
  auto config = parse(
      {"--shell", "/bin/bash", "--script", R"(one=echo \"1\"\n\techo \2)", "--script-raw", R"(two=a\nb)", "alpine"});
  ASSERT_TRUE(config) << config.error().to_string();
  ASSERT_EQ(config->scripts.size(), 2u);
  EXPECT_EQ(config->scripts[0].name, "one");
  EXPECT_EQ(config->scripts[0].text, "#!/bin/bash\necho \"1\"\n\techo \\2\n");
  EXPECT_EQ(config->scripts[1].text, "a\\nb");
}

TEST(SandboxFlags, scripts_that_cannot_be_are_refused) {
  EXPECT_FALSE(parse({"--script", "nothing", "alpine"}));
  EXPECT_FALSE(parse({"--script", "=x", "alpine"}));
  EXPECT_FALSE(parse({"--script", "a=x", "--script-raw", "a=y", "alpine"}));
  EXPECT_FALSE(parse({"--script-raw", "a/b=y", "alpine"}));
  auto missing = parse({"--script-path", "a:/none/such", "alpine"});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::path_not_found);
}

TEST(SandboxFlags, no_image_is_an_error_that_shows_an_example) {
  auto config = parse({});
  ASSERT_FALSE(config);
  EXPECT_FALSE(config.error().hints().empty());
}

TEST(SandboxFlags, hardware_isolation_is_kept_with_any_machine) {
  auto config = parse({"--isolation", "hardware", "alpine"});
  ASSERT_TRUE(config);
  EXPECT_EQ(config->isolation, Isolation::hardware);
  EXPECT_EQ(config->machine, MachineChoice::automatic);
  EXPECT_FALSE(parse({"--isolation", "hope", "alpine"}));
}

TEST(SandboxFlags, unset_host_variable_is_an_error) {
  EXPECT_FALSE(parse({"-e", "MSB_SURELY_NOT_SET", "alpine"}));
}

TEST(HasLabels, a_key_alone_takes_any_value_and_an_empty_value_only_that) {
  SandboxInfo info;
  info.labels = {{"team", "a"}, {"bare", ""}};
  EXPECT_TRUE(has_labels(info, {}));
  EXPECT_TRUE(has_labels(info, {"team", "team=a", "bare="}));
  EXPECT_FALSE(has_labels(info, {"team="}));
  EXPECT_FALSE(has_labels(info, {"team=a", "other"}));
}

TEST(SandboxFlags, bad_memory_is_an_error) {
  EXPECT_FALSE(parse({"-m", "12X", "alpine"}));
}

}  // namespace
}  // namespace msb::cli
