#include "cli/app.h"

#include <gmock/gmock.h>

namespace msb::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

int run_msb(std::vector<std::string> words) {
  Invocation invocation;
  invocation.program = std::move(words);
  invocation.program.insert(invocation.program.begin(), "msb");
  return run_app(invocation);
}

TEST(SplitArguments, the_first_separator_divides) {
  const char* argv[] = {"msb", "run", "alpine", "--", "sh", "--", "-c"};
  auto invocation = split_arguments(7, const_cast<char**>(argv));
  EXPECT_THAT(invocation.program, ElementsAre("msb", "run", "alpine"));
  EXPECT_THAT(invocation.trailing, ElementsAre("sh", "--", "-c"));
  EXPECT_TRUE(invocation.has_separator);
}

TEST(SplitArguments, without_separator_nothing_trails) {
  const char* argv[] = {"msb", "ls"};
  auto invocation = split_arguments(2, const_cast<char**>(argv));
  EXPECT_THAT(invocation.trailing, IsEmpty());
  EXPECT_FALSE(invocation.has_separator);
}

std::vector<std::string> commands_known_to(std::vector<std::string> words) {
  Invocation invocation;
  invocation.program = std::move(words);
  auto app = make_app(invocation);
  std::vector<std::string> names;
  for (const auto* command : app->get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
    for (const auto& alias : command->get_aliases()) names.push_back(alias);
  }
  return names;
}

TEST(MakeApp, every_command_and_alias_is_known_when_the_line_begins_with_it) {
  for (const auto& name : commands_known_to({"msb"}))
    EXPECT_THAT(commands_known_to({"msb", name}), Contains(name)) << name;
}

TEST(MakeApp, only_the_command_of_the_line_is_made) {
  EXPECT_THAT(commands_known_to({"msb", "exec", "box"}), ElementsAre("exec"));
  EXPECT_THAT(commands_known_to({"msb", "ls"}), ElementsAre("list", "ls"));
}

TEST(MakeApp, a_line_that_begins_with_no_command_knows_them_all) {
  auto all = commands_known_to({"msb"});
  EXPECT_THAT(all, IsSupersetOf({"run", "exec", "image", "completion"}));
  EXPECT_EQ(commands_known_to({"msb", "--tree"}), all);
  EXPECT_EQ(commands_known_to({"msb", "frobnicate"}), all);
  EXPECT_EQ(commands_known_to({"msb", "completion", "bash"}), all);
}

TEST(RunApp, unknown_command_is_a_usage_error) {
  EXPECT_EQ(run_msb({"frobnicate"}), kExitUsage);
}

TEST(RunApp, unknown_option_is_a_usage_error) {
  EXPECT_EQ(run_msb({"ls", "--frobnicate"}), kExitUsage);
}

TEST(RunApp, missing_name_is_a_usage_error) {
  EXPECT_EQ(run_msb({"exec"}), kExitUsage);
}

TEST(RunApp, a_name_that_none_can_have_is_a_usage_error_before_anything_is_touched) {
  for (const char* command :
       {"start", "stop", "restart", "kill", "rm", "exec", "shell", "inspect", "ping", "logs", "ps"})
    EXPECT_EQ(run_msb({command, "a b"}), kExitUsage) << command;
  EXPECT_EQ(run_msb({"start", "good", "bad/name"}), kExitUsage);
}

TEST(RunApp, what_is_wrong_with_a_session_is_a_usage_error_before_a_sandbox_starts) {
  for (const char* command : {"exec", "shell", "run"}) {
    EXPECT_EQ(run_msb({command, "--detach-keys", "hyper-x", "box"}), kExitUsage) << command;
    EXPECT_EQ(run_msb({command, "--timeout", "soon", "box"}), kExitUsage) << command;
  }
}

TEST(RunApp, a_copy_without_a_sandbox_is_a_usage_error) {
  EXPECT_EQ(run_msb({"cp", "a", "b"}), kExitUsage);
  EXPECT_EQ(run_msb({"cp", "-", "-"}), kExitUsage);
  EXPECT_EQ(run_msb({"cp", "box:", "b"}), kExitUsage);
  EXPECT_EQ(run_msb({"cp", "a b:/c", "d"}), kExitUsage);
}

TEST(RunApp, version_succeeds) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(run_msb({"--version"}), 0);
  EXPECT_THAT(testing::internal::GetCapturedStdout(), HasSubstr("msb "));
}

TEST(RunApp, tree_of_one_command_shows_only_that) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(run_msb({"image", "prune", "--tree"}), 0);
  auto text = testing::internal::GetCapturedStdout();
  EXPECT_THAT(text, HasSubstr("--yes"));
  EXPECT_THAT(text, testing::Not(HasSubstr("--detach")));
}

TEST(CommandWords, words_after_the_image_are_the_command) {
  CLI::App app;
  Invocation invocation;
  auto* run = app.add_subcommand("run");
  std::string image;
  run->add_option("IMAGE", image);
  run->prefix_command();
  app.parse(std::vector<std::string>{"-c", "sh", "alpine", "run"});
  auto words = command_words(*run, invocation);
  ASSERT_TRUE(words);
  EXPECT_THAT(*words, ElementsAre("sh", "-c"));
  EXPECT_EQ(image, "alpine");
}

TEST(CommandWords, an_unknown_option_before_the_command_is_refused) {
  CLI::App app;
  Invocation invocation;
  auto* run = app.add_subcommand("run");
  std::string image;
  run->add_option("IMAGE", image);
  run->prefix_command();
  app.parse(std::vector<std::string>{"--nmae", "alpine", "run"});
  EXPECT_FALSE(command_words(*run, invocation));
}

}  // namespace
}  // namespace msb::cli
