#include "cli/app.h"

#include <gmock/gmock.h>

namespace msb::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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
