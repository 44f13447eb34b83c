// start, stop, restart, kill, rm: each takes several sandboxes, by name or label, goes through all
// of them and fails at the end when any failed.
#include <functional>

#include <microsandbox/sandbox.h>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/sandbox_flags.h"

namespace msb::cli {
namespace {

struct BulkCommand {
  std::vector<std::string> names;
  std::vector<std::string> labels;
  bool quiet = false;
  bool force = false;
  std::string timeout = "10";

  void add_to(CLI::App& command) {
    command.add_option("NAMES", names, "Sandboxes");
    add_repeatable(command, "--label", labels, "Also all sandboxes with this label");
    command.add_flag("-q,--quiet", quiet, "No ticks");
  }

  Result<std::vector<std::string>> targets() const {
    auto chosen = names;
    if (!labels.empty()) {
      MSB_TRY(auto all, Sandbox::list());
      for (const auto& info : all) {
        if (has_labels(info, labels)) chosen.push_back(info.name);
      }
      return chosen;
    }
    if (chosen.empty()) return fail(wrong_usage("no sandbox named").hint("`msb ls` shows those there are"));
    return chosen;
  }

  Result<int> for_each(std::string_view verb, const std::function<Result<>(const std::string&)>& action) const {
    MSB_CHECK(usage(parse_duration(timeout)));
    MSB_CHECK(check_names(names));
    MSB_TRY(auto chosen, targets());
    return for_each_name(chosen, verb, quiet ? Quiet::yes : Quiet::no, action);
  }
};

Result<> stop_one(const BulkCommand& state, const std::string& name) {
  if (state.force) return Sandbox::kill(name);
  MSB_TRY(auto grace, parse_duration(state.timeout));
  return Sandbox::stop(name, grace);
}

Result<> start_one(const std::string& name) {
  MSB_TRY(auto sandbox, Sandbox::start(name, /*detached=*/true));
  sandbox.detach();
  return {};
}

CLI::App* add_bulk(CLI::App& root, Invocation& invocation, const std::string& name, const std::string& description,
                   const std::string& verb, const std::shared_ptr<BulkCommand>& state,
                   std::function<Result<>(const std::string&)> action) {
  auto* command = root.add_subcommand(name, description);
  state->add_to(*command);
  on_run(*command, invocation, [state, verb, action = std::move(action)] { return state->for_each(verb, action); });
  return command;
}

void add_stop_flags(CLI::App& command, BulkCommand& state) {
  command.add_flag("-f,--force", state.force, "Kill at once");
  command.add_option("-t,--timeout", state.timeout, "Seconds for an orderly shutdown (10)");
}

}  // namespace

void add_start(CLI::App& root, Invocation& invocation) {
  auto state = std::make_shared<BulkCommand>();
  add_bulk(root, invocation, "start", "Start stopped sandboxes", "Started", state, start_one);
}

void add_stop(CLI::App& root, Invocation& invocation) {
  auto state = std::make_shared<BulkCommand>();
  auto* command = add_bulk(root, invocation, "stop", "Shut sandboxes down", "Stopped", state,
                           [state](const std::string& name) { return stop_one(*state, name); });
  add_stop_flags(*command, *state);
}

void add_restart(CLI::App& root, Invocation& invocation) {
  auto state = std::make_shared<BulkCommand>();
  auto* command = add_bulk(root, invocation, "restart", "Stop and start sandboxes", "Restarted", state,
                           [state](const std::string& name) -> Result<> {
                             MSB_CHECK(stop_one(*state, name));
                             return start_one(name);
                           });
  add_stop_flags(*command, *state);
}

void add_kill(CLI::App& root, Invocation& invocation) {
  auto state = std::make_shared<BulkCommand>();
  add_bulk(root, invocation, "kill", "Kill sandboxes without a shutdown", "Killed", state,
           [](const std::string& name) { return Sandbox::kill(name); });
}

void add_remove(CLI::App& root, Invocation& invocation) {
  auto state = std::make_shared<BulkCommand>();
  auto* command = add_bulk(root, invocation, "remove", "Remove stopped sandboxes and their disks", "Removed", state,
                           [state](const std::string& name) -> Result<> {
                             if (state->force) MSB_CHECK(Sandbox::kill(name));
                             return Sandbox::remove(name);
                           });
  command->alias("rm");
  command->add_flag("-f,--force", state->force, "Kill it first when it runs");
}

}  // namespace msb::cli
