#include <algorithm>
#include <iterator>

#include "base/temp_dir.h"
#include "sandbox/store.h"
#include "state/log_reader.h"

namespace msb {
namespace {

using Deliver = std::function<bool(const LogEntry&)>;

Result<std::vector<LogEntry>> entries(const std::string& path, const LogQuery& query) {
  std::vector<LogEntry> found;
  MSB_CHECK(state::read_log(path, query, [&](const LogEntry& entry) { return found.push_back(entry), true; }));
  return found;
}

// What the sandbox's process says stands in the log of the commands, what the guest's console says in a file of its
// own. Asked for `system`, they are told as one story, in order of time. Both files are bounded, so both fit in memory.
Result<bool> deliver_with_console(const state::Home& home, const std::string& name, LogQuery query,
                                  const Deliver& deliver) {
  query.follow = false;
  LogQuery of_console = query;
  of_console.stdout_stream = of_console.stderr_stream = false;
  MSB_TRY(auto said, entries(home.exec_log(name), query));
  MSB_TRY(auto console, entries(home.kernel_log(name), of_console));
  std::vector<LogEntry> merged;
  std::merge(std::make_move_iterator(said.begin()), std::make_move_iterator(said.end()),
             std::make_move_iterator(console.begin()), std::make_move_iterator(console.end()),
             std::back_inserter(merged),
             [](const LogEntry& a, const LogEntry& b) { return a.timestamp_ms < b.timestamp_ms; });
  size_t skip = query.tail && *query.tail < merged.size() ? merged.size() - *query.tail : 0;
  return std::all_of(merged.begin() + static_cast<ptrdiff_t>(skip), merged.end(), deliver);
}

}  // namespace

Result<> Sandbox::logs(const std::string& name, const LogQuery& query, const Deliver& deliver) {
  MSB_CHECK(validate_sandbox_name(name));
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto row, state::find_sandbox(store.database, name));
  // A sandbox that failed to come up has no row any more, but its logs are kept.
  if (!row && !path_exists(store.home.sandbox_logs_dir(name)))
    return state::get_sandbox(store.database, name).map([](const auto&) {});
  if (query.system && !query.follow) return deliver_with_console(store.home, name, query, deliver).map([](bool) {});
  Fd ended;
  if (query.follow && row) {
    MSB_TRY(ended, state::watch_sandbox_end(store.home, store.database, name));
  }
  return state::read_log(store.home.exec_log(name), query, deliver, ended.get());
}

}  // namespace msb
