// msb metrics: what running sandboxes use, once or again and again.
#include <poll.h>

#include <algorithm>
#include <cstdio>

#include "base/deadline.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/metrics_rows.h"
#include "cli/signal_fd.h"

namespace msb::cli {
namespace {

// Between the two looks that the first rates are from.
constexpr std::chrono::milliseconds kFirstInterval{200};
constexpr std::chrono::milliseconds kShortestInterval{100};

bool has_ended(const Error& error) {
  return error.kind() == ErrorKind::sandbox_not_running || error.kind() == ErrorKind::sandbox_not_found;
}

struct MetricsCommand {
  std::vector<std::string> names;
  bool watch = false, follow = false, all = false;
  std::string interval = "1s", sort = "name", format;

  Result<int> run() const;
};

// The looks, one after the other.
class Looks {
 public:
  Looks(const MetricsCommand& command, MetricsOrder order)
      : names_(command.names), all_(command.all), order_(order), watch_(command.names) {}

  // A sandbox that was named and does not run is a row when ended ones are shown, and else in errors().
  enum class Ended { shown, told };
  Result<std::vector<MetricsRow>> next(Ended ended);
  const std::vector<Error>& errors() const { return errors_; }

 private:
  bool wanted(const std::string& name) const {
    return names_.empty() || std::ranges::find(names_, name) != names_.end();
  }

  const std::vector<std::string>& names_;
  bool all_;
  MetricsOrder order_;
  MetricsWatch watch_;
  std::map<std::string, SandboxMetrics> before_;
  std::vector<Error> errors_;
};

Result<std::vector<MetricsRow>> Looks::next(Ended ended) {
  MSB_TRY(auto look, watch_.look());
  MSB_TRY(auto sandboxes, Sandbox::list());
  errors_.clear();
  std::vector<MetricsRow> rows;
  std::map<std::string, SandboxMetrics> seen;
  for (const auto& info : sandboxes) {
    if (!wanted(info.name)) continue;
    MetricsRow row{.name = info.name, .cpus = info.cpus};
    auto found = look.find(info.name);
    if (found != look.end() && found->second) {
      row.state = "running";
      row.now = *found->second;
      if (auto earlier = before_.find(info.name); earlier != before_.end()) row.before = earlier->second;
      seen.emplace(info.name, *row.now);
    } else if (found != look.end() && !has_ended(found->second.error())) {
      row.state = "stalled";
      errors_.push_back(found->second.error());
    } else if (ended == Ended::told && !all_) {
      if (found != look.end() && !names_.empty()) errors_.push_back(found->second.error());
      continue;
    }
    rows.push_back(std::move(row));
  }
  for (const auto& [name, outcome] : look)
    if (!outcome && outcome.error().kind() == ErrorKind::sandbox_not_found && !names_.empty())
      errors_.push_back(outcome.error());
  before_ = std::move(seen);
  sort_rows(rows, order_);
  return rows;
}

enum class Header { yes, no };

void print_table(const std::vector<MetricsRow>& rows, Header header) {
  Table table(header == Header::yes ? metrics_header() : std::vector<std::string>());
  for (const auto& row : rows) table.row(metrics_cells(row));
  std::string text = table.to_string();
  if (header == Header::no) text.erase(0, text.find('\n') + 1);
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void print_lines(const std::vector<MetricsRow>& rows) {
  for (const auto& row : rows) print_line(metrics_json(row).dump(-1, ' ', false, Json::error_handler_t::replace));
}

bool runs(const MetricsRow& row) {
  return row.state != "exited";
}

// Until `until`; false when somebody wants it to end.
Result<bool> pass(const SignalFd& signals, Deadline until) {
  MSB_TRY(bool interrupted, wait_for(signals.fd(), POLLIN, until));
  return !interrupted || signals.take() == 0;
}

Result<int> once(Looks& looks, Format format) {
  MSB_CHECK(looks.next(Looks::Ended::told));
  MSB_CHECK(poll_until({}, deadline_after(kFirstInterval)));
  MSB_TRY(auto rows, looks.next(Looks::Ended::told));
  if (format == Format::json) {
    Json objects = Json::array();
    for (const auto& row : rows) objects.push_back(metrics_json(row));
    print_line(json_text(objects));
  } else if (!rows.empty() || looks.errors().empty()) {
    print_table(rows, Header::yes);
  }
  std::fflush(stdout);
  int exit_code = 0;
  for (const auto& error : looks.errors()) exit_code = report(error);
  return exit_code;
}

enum class Screen { cleared, scrolls };

// Until ctrl-c, until nobody reads it, or until those that were named have all ended.
Result<int> again_and_again(Looks& looks, Format format, Screen screen, std::chrono::milliseconds interval,
                            bool named) {
  MSB_TRY(auto signals, SignalFd::create());
  MSB_CHECK(looks.next(Looks::Ended::told));
  for (const auto& error : looks.errors())
    if (has_ended(error)) return report(error);
  MSB_TRY(bool go_on, pass(signals, deadline_after(std::min(interval, kFirstInterval))));
  Header header = Header::yes;
  for (auto next = Clock::now(); go_on;) {
    MSB_TRY(auto rows, looks.next(named ? Looks::Ended::shown : Looks::Ended::told));
    if (screen == Screen::cleared) std::fputs("\x1b[H\x1b[J", stdout);
    if (format == Format::json) {
      print_lines(rows);
    } else {
      print_table(rows, screen == Screen::cleared ? Header::yes : std::exchange(header, Header::no));
    }
    if (std::fflush(stdout) != 0) return 0;
    if (named && std::ranges::none_of(rows, runs)) return 0;
    next = std::max(next + interval, Clock::now());
    MSB_TRY(go_on, pass(signals, next));
  }
  return 0;
}

Result<int> MetricsCommand::run() const {
  MSB_TRY(auto form, parse_format(format));
  MSB_TRY(auto order, parse_metrics_order(sort));
  MSB_TRY(auto every, usage(parse_duration(interval)));
  MSB_CHECK(check_names(names));
  Looks looks(*this, order);
  if (!watch && !follow) return once(looks, form);
  const bool clear = watch && !follow && form == Format::table && stdout_is_terminal();
  return again_and_again(looks, form, clear ? Screen::cleared : Screen::scrolls, std::max(every, kShortestInterval),
                         !names.empty());
}

}  // namespace

void add_metrics(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("metrics", "Show what sandboxes use: processor, memory, disks, network");
  auto state = std::make_shared<MetricsCommand>();
  command->add_option("NAMES", state->names, "Sandboxes; without: all that run");
  command->add_flag("-w,--watch", state->watch, "Look again and again, until ctrl-c");
  command->add_flag("-f,--follow", state->follow, "The same, each look below the one before");
  command->add_option("--interval", state->interval, "From one look to the next (1s; 100ms at least)");
  command->add_flag("-a,--all", state->all, "Also those that do not run");
  command->add_option("--sort", state->sort, "name, cpu or mem (name)");
  command->add_option("--format", state->format, "table or json; again and again: an object a line");
  on_run(*command, invocation, [state] { return state->run(); });
}

}  // namespace msb::cli
