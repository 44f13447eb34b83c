// msb ls: every sandbox there is. msb ps: those that run, with what they were given.
#include <microsandbox/sandbox.h>

#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/sandbox_flags.h"

namespace msb::cli {
namespace {

// The original product writes "Running" in its listings' JSON.
std::string capitalised(SandboxStatus status) {
  std::string text(to_string(status));
  if (!text.empty()) text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

struct Filter {
  std::vector<std::string> labels;
  void add_to(CLI::App& command) { add_repeatable(command, "--label", labels, "Only those with this label"); }
  bool matches(const SandboxInfo& info) const { return has_labels(info, labels); }
};

bool is_live(SandboxStatus status) {
  return status == SandboxStatus::running || status == SandboxStatus::draining || status == SandboxStatus::starting;
}

std::string quoted_command(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) {
    if (!text.empty()) text += ' ';
    bool plain = !word.empty() && word.find_first_of(" \t\n'\"$\\") == std::string::npos;
    text += plain ? word : "'" + word + "'";
  }
  return text;
}

struct ListCommand {
  bool running = false, stopped = false, quiet = false;
  Filter filter;
  std::string format;

  bool wanted(const SandboxInfo& info) const {
    if (running && !is_live(info.status)) return false;
    if (stopped && is_live(info.status)) return false;
    return filter.matches(info);
  }

  Result<int> run() const {
    MSB_TRY(auto form, parse_format(format));
    MSB_TRY(auto sandboxes, Sandbox::list());
    Listing listing({"NAME", "IMAGE", "STATUS", "CREATED"});
    for (const auto& info : sandboxes) {
      if (!wanted(info)) continue;
      listing.add(
          info.name,
          {info.name, printable(info.image, 48), std::string(to_string(info.status)), local_time(info.created_at_ms)},
          {{"name", info.name},
           {"status", capitalised(info.status)},
           {"created_at", rfc3339(info.created_at_ms)},
           {"image", info.image}});
    }
    listing.print(form, quiet ? Quiet::yes : Quiet::no);
    return 0;
  }
};

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& text : texts) out += cat(out.empty() ? "" : ", ", text);
  return out;
}

struct StatusCommand {
  std::string name;
  bool all = false, quiet = false;
  Filter filter;
  std::string format;

  static Json to_json(const SandboxInfo& info) {
    return {{"name", info.name},
            {"image", info.image},
            {"command", info.command},
            {"status", capitalised(info.status)},
            {"cpus", info.cpus},
            {"max_cpus", info.cpus},
            {"memory_mib", info.memory_mib},
            {"max_memory_mib", info.memory_mib},
            {"machine", info.machine},
            {"isolation", info.isolation},
            {"created_at", rfc3339(info.created_at_ms)},
            {"ports", info.ports}};
  }

  Result<std::vector<SandboxInfo>> chosen() const {
    if (!name.empty()) {
      MSB_CHECK(check_names({name}));
      MSB_TRY(auto info, Sandbox::get(name));
      return std::vector<SandboxInfo>{std::move(info)};
    }
    MSB_TRY(auto sandboxes, Sandbox::list());
    std::erase_if(sandboxes,
                  [&](const auto& info) { return (!all && !is_live(info.status)) || !filter.matches(info); });
    return sandboxes;
  }

  Result<int> run() const {
    MSB_TRY(auto form, parse_format(format));
    MSB_TRY(auto sandboxes, chosen());
    Listing listing({"NAME", "IMAGE", "COMMAND", "CPUS", "MEM", "STATUS", "MACHINE", "ISOLATION", "PORTS"});
    for (const auto& info : sandboxes)
      listing.add(info.name,
                  {info.name, printable(info.image, 36), printable(quoted_command(info.command), 40), cat(info.cpus),
                   cat(info.memory_mib, " MiB"), std::string(to_string(info.status)), info.machine, info.isolation,
                   printable(joined(info.ports), 32)},
                  to_json(info));
    listing.print(form, quiet ? Quiet::yes : Quiet::no);
    return 0;
  }
};

}  // namespace

void add_list(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("list", "List sandboxes");
  command->alias("ls");
  auto state = std::make_shared<ListCommand>();
  auto* running = command->add_flag("--running", state->running, "Only running ones");
  command->add_flag("--stopped", state->stopped, "Only stopped ones")->excludes(running);
  state->filter.add_to(*command);
  command->add_option("--format", state->format, "table or json");
  command->add_flag("-q,--quiet", state->quiet, "Only the names");
  on_run(*command, invocation, [state] { return state->run(); });
}

void add_status(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("status", "Show running sandboxes");
  command->alias("ps");
  auto state = std::make_shared<StatusCommand>();
  command->add_option("NAME", state->name, "Only this sandbox, whatever its state");
  command->add_flag("-a,--all", state->all, "Also those that do not run");
  state->filter.add_to(*command);
  command->add_option("--format", state->format, "table or json");
  command->add_flag("-q,--quiet", state->quiet, "Only the names");
  on_run(*command, invocation, [state] { return state->run(); });
}

}  // namespace msb::cli
