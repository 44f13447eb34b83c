#include "cli/app.h"

#include <algorithm>
#include <cstdio>

#include <microsandbox/sandbox.h>

#include "cli/commands.h"
#include "cli/output.h"

namespace msb::cli {
namespace {

// What adds commands at the top level, in the order of the help, and all their names, the aliases too.
struct Commands {
  void (*add)(CLI::App&, Invocation&);
  std::initializer_list<std::string_view> names;
};
const Commands kCommands[] = {
    // What runs in a sandbox, its files.
    {add_run, {"run"}},
    {add_create, {"create"}},
    {add_exec, {"exec"}},
    {add_shell, {"shell"}},
    {add_copy, {"copy", "cp"}},
    // Lives.
    {add_start, {"start"}},
    {add_stop, {"stop"}},
    {add_restart, {"restart"}},
    {add_kill, {"kill"}},
    {add_modify, {"modify"}},
    {add_remove, {"remove", "rm"}},
    // Looks.
    {add_list, {"list", "ls"}},
    {add_status, {"status", "ps"}},
    {add_inspect, {"inspect"}},
    {add_logs, {"logs"}},
    {add_metrics, {"metrics"}},
    {add_net, {"net"}},
    {add_ping, {"ping"}},
    // Storage.
    {add_volume, {"volume", "vol"}},
    {add_snapshot, {"snapshot", "snap"}},
    // Images, the host, msb itself.
    {add_image, {"image", "pull", "load", "save", "images", "rmi"}},
    {add_doctor, {"doctor"}},
    {add_version, {"version"}},
    {add_completion, {}},  // looks at all the others
};

const Commands* find_commands(const std::vector<std::string>& words) {
  for (const auto& commands : kCommands)
    for (auto name : commands.names)
      if (words.size() > 1 && words[1] == name) return &commands;
  return nullptr;
}

void append_options(const CLI::App& app, const std::string& indent, std::string& text) {
  for (const auto* option : app.get_options()) {
    if (option->get_group().empty() || option->get_name() == "--help") continue;
    text += indent + option->get_name(false, true);
    if (!option->get_description().empty()) text += "  " + option->get_description();
    text += "\n";
  }
}

void append_tree(const CLI::App& app, const std::string& indent, std::string& text) {
  append_options(app, indent, text);
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_group().empty()) continue;
    text += indent + command->get_name() + "  " + command->get_description() + "\n";
    append_tree(*command, indent + "  ", text);
  }
}

// The command that `--tree` was given with: `msb image ls --tree` prints that part only.
const CLI::App* find_command(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* found = &app;
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i].starts_with("-")) continue;
    auto matches = found->get_subcommands([&](const CLI::App* command) { return command->check_name(words[i]); });
    if (matches.empty()) break;
    found = matches.front();
  }
  return found;
}

}  // namespace

Invocation split_arguments(int argc, char** argv) {
  Invocation invocation;
  int i = 0;
  for (; i < argc && std::string_view(argv[i]) != "--"; ++i) invocation.program.emplace_back(argv[i]);
  invocation.has_separator = i < argc;
  for (++i; i < argc; ++i) invocation.trailing.emplace_back(argv[i]);
  return invocation;
}

std::unique_ptr<CLI::App> make_app(Invocation& invocation) {
  auto app = std::make_unique<CLI::App>("Run untrusted code in microVMs made from OCI images.", "msb");
  app->set_version_flag("-V,--version", cat("msb ", version()));
  app->add_flag("--tree")->description("Print the tree of commands and options");
  app->fallthrough(false);
  app->require_subcommand(0, 1);
  app->option_defaults()->always_capture_default(false);
  app->footer("Run `msb COMMAND --help` for a command, `msb --tree` for all of them.");

  // Telling CLI11 of every option there is takes longer than most commands do.
  if (const auto* named = find_commands(invocation.program)) {
    named->add(*app, invocation);
  } else {
    for (const auto& commands : kCommands) commands.add(*app, invocation);
  }
  return app;
}

std::string command_tree(const CLI::App& app) {
  std::string text = app.get_name() + "\n";
  append_tree(app, "  ", text);
  return text;
}

int run_app(Invocation& invocation) {
  auto app = make_app(invocation);
  const auto& words = invocation.program;
  if (std::find(words.begin(), words.end(), "--tree") != words.end()) {
    std::fputs(command_tree(*find_command(*app, words)).c_str(), stdout);
    return 0;
  }
  if (words.size() < 2) {
    std::fputs(app->help().c_str(), stdout);
    return 0;
  }
  // CLI11 takes the words last to first.
  std::vector<std::string> reversed(words.rbegin(), words.rend() - 1);
  try {
    app->parse(reversed);
  } catch (const CLI::Success& request) {  // --help, --version
    return app->exit(request);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "error: %s\n  → see `msb --help`\n", error.what());
    return kExitUsage;
  }
  if (std::fflush(stdout) != 0) {
    std::fprintf(stderr, "error: could not write the output\n");
    return kExitFailure;
  }
  return invocation.exit_code;
}

}  // namespace msb::cli
