// Borrowed: a sandbox to do something in. One that does not run is started for it, and stopped again.
#pragma once

#include <microsandbox/sandbox.h>

#include "base/result.h"

namespace msb::cli {

struct Borrowed {
  Sandbox sandbox;
  bool started_here = false;

  static Result<Borrowed> get(const std::string& name) {
    auto running = Sandbox::connect(name);
    if (running) return Borrowed{std::move(*running), false};
    if (running.error().kind() != ErrorKind::sandbox_not_running) return fail(std::move(running).error());
    MSB_TRY(auto info, Sandbox::get(name));
    bool ended = info.status == SandboxStatus::stopped || info.status == SandboxStatus::crashed ||
                 info.status == SandboxStatus::created;
    if (!ended) return fail(std::move(running).error());
    MSB_TRY(auto sandbox, Sandbox::start(name, /*detached=*/false));
    return Borrowed{std::move(sandbox), true};
  }

  // After the last use.
  Result<> give_back() { return started_here ? sandbox.stop() : Result<>(); }
};

}  // namespace msb::cli
