#include "base/temp_dir.h"
#include "sandbox/store.h"
#include "state/log_reader.h"
#include "state/network_event.h"

namespace msb {

Result<> Sandbox::logs(const std::string& name, const LogQuery& query,
                       const std::function<bool(const LogEntry&)>& deliver) {
  MSB_CHECK(validate_sandbox_name(name));
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto row, state::find_sandbox(store.database, name));
  // A sandbox that failed to come up has no row any more, but its logs are kept.
  if (!row && !path_exists(store.home.sandbox_logs_dir(name)))
    return state::get_sandbox(store.database, name).map([](const auto&) {});
  // What the sandbox's process says stands in the log of the commands, what the guest's console says in its own.
  std::vector<std::string> logs{store.home.exec_log(name)};
  if (query.system) logs.push_back(store.home.kernel_log(name));
  if (query.network) logs.push_back(store.home.network_log(name));
  Fd ended;
  if (query.follow && row) {
    MSB_TRY(ended, state::watch_sandbox_end(store.home, store.database, name));
  }
  return state::read_logs(logs, query, deliver, ended.get());
}

Result<> Sandbox::network_events(const std::string& name, LogQuery query,
                                 const std::function<bool(const NetworkEvent&)>& deliver) {
  query.stdout_stream = query.stderr_stream = query.system = false;
  query.network = true;
  return logs(name, query, [&](const LogEntry& entry) {
    const auto event = state::parse_network_event(entry.data);
    return !event || deliver(*event);
  });
}

}  // namespace msb
