// RunRecord: what is kept of this run for others to see: the database row, boot-error.json, and at the
// end the files that go. Failures to record are logged; they never stop the guest.
//
// The database is opened for each change, so that an idle sandbox does not hold it.
#pragma once

#include <functional>
#include <string>

#include "base/log.h"
#include "state/launch_config.h"
#include "state/sandboxes.h"

namespace msb::vmm {

class RunRecord {
 public:
  RunRecord(state::Home home, const state::LaunchConfig& config, Log& log)
      : home_(std::move(home)), name_(config.name), ephemeral_(config.ephemeral), log_(log) {}

  void began();
  void running(const state::RunFacts& facts);
  void draining();
  void boot_failed(const state::StartupReport& report);
  // The last word. An ephemeral sandbox is removed whole.
  void ended(const state::EndFacts& facts);

 private:
  void update(std::string_view attempt, const std::function<Result<>(state::Database&)>& change);
  state::Home home_;
  std::string name_;
  bool ephemeral_;
  Log& log_;
};

}  // namespace msb::vmm
