#include "sandbox/lifecycle.h"

namespace msb {

std::string_view to_string(SandboxStatus status) {
  return state::status_name(status);
}

std::string version() {
  return MSB_VERSION;
}

Result<SandboxInfo> Sandbox::get(const std::string& name) {
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto row, state::get_sandbox(store.database, name));
  return to_info(row);
}

Result<std::vector<SandboxInfo>> Sandbox::list() {
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto rows, state::list_sandboxes(store.database));
  std::vector<SandboxInfo> infos;
  for (const auto& row : rows) infos.push_back(to_info(row));
  return infos;
}

Result<LiveSandbox> connect_sandbox(const std::string& name) {
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto row, state::get_sandbox(store.database, name));
  if (row.status != SandboxStatus::running && row.status != SandboxStatus::draining)
    return fail(Error(ErrorKind::sandbox_not_running,
                      cat("sandbox '", name, "' is not running (", state::status_name(row.status), ")"))
                    .hint(cat("start it with `msb start ", name, "`")));
  LiveSandbox live;
  live.name = name;
  live.id = row.id;
  MSB_TRY(live.stored, stored_config_from_json(row.config_json));
  if (row.pid) live.process.pid = *row.pid;
  return live;
}

Result<AgentConnection> open_agent(const std::string& name) {
  MSB_TRY(auto home, state::Home::resolve());
  auto connection = AgentConnection::connect(home.relay_socket(name), deadline_after(kConnectTimeout));
  if (connection || connection.error().kind() != ErrorKind::sandbox_not_running) return connection;
  return fail(Error(ErrorKind::sandbox_not_running, cat("sandbox '", name, "' is not running"))
                  .hint(cat("start it with `msb start ", name, "`")));
}

}  // namespace msb
