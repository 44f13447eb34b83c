#include "vmm/run_record.h"

#include <unistd.h>

namespace msb::vmm {

void RunRecord::update(std::string_view attempt, const std::function<Result<>(state::Database&)>& change) {
  auto database = state::Database::open(home_);
  Result<> outcome = database ? change(*database) : Result<>(fail(std::move(database).error()));
  if (!outcome) log_.error(cat("could not record ", attempt, ": ", outcome.error().to_string()));
}

void RunRecord::began() {
  ::unlink(home_.boot_error(name_).c_str());
  // The machine has it open. Whatever ends an ephemeral sandbox, its disk is gone with it, at nobody's expense.
  if (ephemeral_) ::unlink(home_.upper(name_).c_str());
  update("the process", [&](auto& database) {
    auto recorded = state::record_pid(database, name_, ::getpid());
    // The guest boots meanwhile: nothing better to do here.
    database.checkpoint();
    return recorded;
  });
}

void RunRecord::running(const state::RunFacts& facts) {
  update("the start", [&](auto& database) { return state::mark_running(database, name_, facts); });
}

void RunRecord::draining() {
  update("the shutdown", [&](auto& database) -> Result<> {
    MSB_CHECK(state::mark_draining(database, name_));
    return {};
  });
}

void RunRecord::boot_failed(const state::StartupReport& report) {
  auto written = write_file_atomic(home_.boot_error(name_), report.to_json() + "\n", 0600);
  if (!written) log_.error(written.error().to_string());
}

void RunRecord::ended(const state::EndFacts& facts) {
  update("the end", [&](auto& database) {
    return ephemeral_ ? state::remove_sandbox(home_, database, name_) : state::mark_ended(database, name_, facts);
  });
}

}  // namespace msb::vmm
