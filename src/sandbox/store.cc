#include "sandbox/store.h"

#include "sandbox/config_json.h"

namespace msb {

Result<Store> Store::open() {
  MSB_TRY(auto home, state::Home::resolve());
  MSB_TRY(auto database, state::Database::open(home));
  MSB_CHECK(state::reconcile(home, database));
  return Store{std::move(home), std::move(database)};
}

Result<StoppedSandbox> hold_stopped(Store& store, const std::string& name, std::string hint) {
  MSB_TRY(auto transaction, store.database.begin());
  MSB_TRY(auto row, state::get_sandbox(store.database, name));
  MSB_TRY(auto lock, state::try_lock_sandbox(store.home, name));
  if (!lock || state::claims_to_be_alive(row.status))
    return fail(Error(ErrorKind::sandbox_still_running, cat("sandbox '", name, "' is running")).hint(std::move(hint)));
  MSB_CHECK(transaction.commit());
  return StoppedSandbox{std::move(row), std::move(*lock)};
}

SandboxInfo to_info(const state::SandboxRow& row) {
  SandboxInfo info;
  info.id = row.id;
  info.name = row.name;
  info.image = row.image;
  info.status = row.status;
  info.created_at_ms = row.created_at_ms;
  info.updated_at_ms = row.updated_at_ms;
  info.started_at_ms = row.started_at_ms;
  info.pid = row.pid;
  info.cpus = row.cpus;
  info.memory_mib = row.memory_mib;
  info.ephemeral = row.ephemeral;
  info.labels = row.labels;
  info.command = row.command;
  info.machine = row.machine;
  info.isolation = row.isolation;
  info.walls = row.walls;
  if (state::claims_to_be_alive(row.status)) info.ports = row.ports;
  info.termination_reason = row.termination_reason;
  info.exit_code = row.exit_code;
  info.config_json = shown_config(row.config_json);
  return info;
}

}  // namespace msb
