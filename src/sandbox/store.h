// Store: this user's home and database, opened for one call. Opening costs about a millisecond, and makes
// every function safe to call from any thread.
#pragma once

#include <microsandbox/sandbox.h>

#include "base/deadline.h"
#include "state/sandboxes.h"

namespace msb {

struct Store {
  state::Home home;
  state::Database database;

  // Repairs what crashed processes have left, so that what is read afterwards is true.
  static Result<Store> open();
};

// A sandbox that does not run, and nobody else starts, changes or removes as long as this lives.
struct StoppedSandbox {
  state::SandboxRow row;
  FileLock lock;
};
// Failures: sandbox_not_found; sandbox_still_running, with that hint.
Result<StoppedSandbox> hold_stopped(Store& store, const std::string& name, std::string hint);

SandboxInfo to_info(const state::SandboxRow& row);

}  // namespace msb
