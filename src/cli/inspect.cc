// msb inspect: everything known of one sandbox; msb ping: whether its agent answers.
#include <cstdio>

#include <microsandbox/sandbox.h>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/network_flags.h"
#include "cli/output.h"
#include "sandbox/config_json.h"

namespace msb::cli {
namespace {

struct NetworkText {
  std::string policy;
  std::string proxy;  // of the sandbox's own; what the host has is looked up at each start
};
NetworkText network_of(const SandboxInfo& info) {
  const auto stored = stored_config_from_json(info.config_json);
  if (!stored) return {};
  return {describe_policy(stored->config.network), stored->config.network.proxy};
}

Json to_json(const SandboxInfo& info) {
  Json walls = Json::array();
  for (const auto& wall : info.walls) walls.push_back({{"name", wall.name}, {"up", wall.up}, {"detail", wall.detail}});
  Json json = {{"id", info.id},
               {"name", info.name},
               {"image", info.image},
               {"status", to_string(info.status)},
               {"created_at", rfc3339(info.created_at_ms)},
               {"updated_at", rfc3339(info.updated_at_ms)},
               {"cpus", info.cpus},
               {"memory_mib", info.memory_mib},
               {"ephemeral", info.ephemeral},
               {"labels", info.labels},
               {"command", info.command},
               {"machine", info.machine},
               {"isolation", info.isolation},
               {"walls", std::move(walls)}};
  if (info.started_at_ms) json["started_at"] = rfc3339(*info.started_at_ms);
  if (info.pid) json["pid"] = *info.pid;
  if (!info.termination_reason.empty()) json["termination_reason"] = info.termination_reason;
  if (info.exit_code) json["exit_code"] = *info.exit_code;
  json["ports"] = info.ports;
  const NetworkText network = network_of(info);
  json["network"] = {{"policy", network.policy}};
  if (!network.proxy.empty()) json["network"]["proxy"] = network.proxy;
  json["config"] = Json::parse(info.config_json, nullptr, /*allow_exceptions=*/false);
  return json;
}

void print_field(const std::string& name, const std::string& value) {
  if (!value.empty()) print_line(cat(name, std::string(name.size() < 14 ? 14 - name.size() : 1, ' '), value));
}

void print_text(const SandboxInfo& info) {
  print_field("Name", info.name);
  print_field("Image", printable(info.image));
  print_field("Status", std::string(to_string(info.status)));
  print_field("Machine", info.machine);
  print_field("Isolation", info.isolation);
  print_field("CPUs", cat(info.cpus));
  print_field("Memory", cat(info.memory_mib, " MiB"));
  const NetworkText network = network_of(info);
  print_field("Network", network.policy);
  print_field("Proxy", network.proxy);
  for (const auto& port : info.ports) print_field("Port", port);
  print_field("Created", local_time(info.created_at_ms));
  if (info.started_at_ms) print_field("Started", local_time(*info.started_at_ms));
  if (info.pid) print_field("Process", cat(*info.pid));
  print_field("Ended by", info.termination_reason);
  if (info.exit_code) print_field("Exit code", cat(*info.exit_code));
  for (const auto& [key, value] : info.labels) print_field("Label", printable(cat(key, "=", value)));
  for (const auto& wall : info.walls)
    print_field("Wall", cat(wall.name, wall.up ? ": up" : ": DOWN", wall.detail.empty() ? "" : ", ", wall.detail));
}

}  // namespace

void add_inspect(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("inspect", "Show everything about a sandbox");
  auto name = std::make_shared<std::string>();
  auto format = std::make_shared<std::string>();
  command->add_option("NAME", *name, "Sandbox")->required();
  command->add_option("--format", *format, "table or json");
  on_run(*command, invocation, [name, format]() -> Result<int> {
    MSB_TRY(auto form, parse_format(*format));
    MSB_CHECK(check_names({*name}));
    MSB_TRY(auto info, Sandbox::get(*name));
    if (form == Format::json) {
      print_line(json_text(to_json(info)));
    } else {
      print_text(info);
    }
    return 0;
  });
}

void add_ping(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("ping", "Check that sandboxes answer");
  auto names = std::make_shared<std::vector<std::string>>();
  auto quiet = std::make_shared<bool>(false);
  command->add_option("NAMES", *names, "Sandboxes")->required();
  command->add_flag("-q,--quiet", *quiet, "Only the exit code");
  on_run(*command, invocation, [names, quiet]() -> Result<int> {
    MSB_CHECK(check_names(*names));
    int exit_code = 0;
    for (const auto& name : *names) {
      auto latency = Sandbox::connect(name).and_then([](Sandbox sandbox) { return sandbox.ping(); });
      if (!latency) {
        exit_code = kExitFailure;
        report(latency.error());
        continue;
      }
      char text[32];
      std::snprintf(text, sizeof(text), "%.2fms", static_cast<double>(latency->count()) / 1e6);
      if (!*quiet) print_line(cat("Reachable ", name, " (", text, ")"));
    }
    return exit_code;
  });
}

}  // namespace msb::cli
