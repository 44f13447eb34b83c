// msb logs: what a sandbox's processes wrote, and what its machine said.
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include <microsandbox/sandbox.h>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/line_pattern.h"
#include "cli/output.h"

namespace msb::cli {
namespace {

std::string_view name_of(LogSource source) {
  switch (source) {
    case LogSource::stdout_stream:
      return "stdout";
    case LogSource::stderr_stream:
      return "stderr";
    case LogSource::system:
      return "system";
    case LogSource::network:
      return "network";
  }
  return "system";
}

// "5m", "2h", "1d" ago, or an RFC 3339 time.
Result<int64_t> parse_point_in_time(const std::string& text) {
  tm parts{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest) {
    int64_t offset_s = 0;
    if (*rest == '.') rest += 1 + std::string_view(rest + 1).find_first_not_of("0123456789");
    int hours = 0, minutes = 0;
    char sign = 0;
    if (std::sscanf(rest, "%c%2d:%2d", &sign, &hours, &minutes) == 3 && (sign == '+' || sign == '-'))
      offset_s = (sign == '+' ? 1 : -1) * (hours * 3600 + minutes * 60);
    return (static_cast<int64_t>(::timegm(&parts)) - offset_s) * 1000;
  }
  auto ago = parse_duration(text);
  if (!ago)
    return fail(ErrorKind::invalid_config,
                cat("'", text, "' is no time; write 2026-11-21T06:30:00Z, or 5m, 2h, 1d for that long ago"));
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count() - ago->count();
}

struct LogsCommand {
  std::string name;
  std::optional<size_t> tail;
  std::string since, until, grep;
  bool follow = false, timestamps = false, json = false;
  std::vector<std::string> sources;

  Result<> choose_sources(LogQuery& query) const {
    if (sources.empty()) return {};
    query.stdout_stream = query.stderr_stream = query.system = false;
    for (const auto& source : sources) {
      bool all = source == "all";
      query.network |= source == "network";
      if (!all && source != "stdout" && source != "stderr" && source != "output" && source != "system" &&
          source != "network")
        return fail(
            wrong_usage(cat("unknown log source '", source, "'; use stdout, stderr, output, system, network or all")));
      query.stdout_stream |= all || source == "stdout" || source == "output";
      query.stderr_stream |= all || source == "stderr" || source == "output";
      query.system |= all || source == "system";
    }
    return {};
  }

  void print(const LogEntry& entry) const {
    if (json) {
      nlohmann::ordered_json line = {
          {"timestamp", rfc3339(entry.timestamp_ms)}, {"source", name_of(entry.source)}, {"data", entry.data}};
      if (entry.session_id) line["session_id"] = *entry.session_id;
      print_line(line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    } else {
      std::string text = timestamps ? rfc3339(entry.timestamp_ms) + " " + entry.data : entry.data;
      if (text.empty() || text.back() != '\n') {
        if (timestamps || entry.source == LogSource::system || entry.source == LogSource::network) text += '\n';
      }
      FILE* out = entry.source == LogSource::stderr_stream ? stderr : stdout;
      std::fwrite(text.data(), 1, text.size(), out);
    }
    if (follow) std::fflush(stdout);
  }

  Result<int> run() const {
    LogQuery query;
    query.tail = tail;
    query.follow = follow;
    MSB_CHECK(check_names({name}));
    MSB_CHECK(choose_sources(query));
    if (!since.empty()) {
      MSB_TRY(query.since_ms, usage(parse_point_in_time(since)));
    }
    if (!until.empty()) {
      MSB_TRY(query.until_ms, usage(parse_point_in_time(until)));
    }
    std::optional<LinePattern> pattern;
    if (!grep.empty()) {
      auto compiled = LinePattern::compile(grep);
      if (!compiled) return fail(wrong_usage(cat("--grep ", compiled.error().message())));
      pattern = std::move(*compiled);
    }
    MSB_CHECK(Sandbox::logs(name, query, [&](const LogEntry& entry) {
      LogEntry shown = entry;
      if (pattern) shown.data = pattern->matching_lines(entry.data);
      if (!pattern || !shown.data.empty()) print(shown);
      return std::ferror(stdout) == 0;
    }));
    return 0;
  }
};

}  // namespace

void add_logs(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("logs", "Show what a sandbox wrote");
  auto state = std::make_shared<LogsCommand>();
  command->add_option("NAME", state->name, "Sandbox")->required();
  command->add_option("--tail", state->tail, "Only the last N entries");
  command->add_option("--since", state->since, "From this time on, or this long ago (5m)");
  command->add_option("--until", state->until, "Up to this time");
  command->add_flag("-f,--follow", state->follow, "Go on until the sandbox stops");
  command->add_flag("--timestamps", state->timestamps, "Begin each entry with its time");
  add_repeatable(*command, "--source", state->sources,
                 "stdout, stderr, output (both), system, all (these), network (what was refused)")
      ->delimiter(',');
  command->add_option("--grep", state->grep, "Only lines that match this expression (as of grep -E)");
  command->add_flag("--json", state->json, "One JSON object a line");
  on_run(*command, invocation, [state] { return state->run(); });
}

}  // namespace msb::cli
