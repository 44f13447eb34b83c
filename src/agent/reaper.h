// Reaper: collects every child that ends, our own and the orphans that PID 1 inherits.
#pragma once

#include <functional>

#include "base/reactor.h"

namespace msb::agent {

class Reaper {
 public:
  // `on_exit` gets the wait status of each process; it may start others.
  static Result<std::unique_ptr<Reaper>> create(Reactor& reactor, std::function<void(pid_t, int)> on_exit);

  // Is there any child left, dead or alive?
  static bool has_children();

 private:
  Reaper() = default;
  std::function<void(pid_t, int)> on_exit_;
  std::unique_ptr<SignalWatch> watch_;
};

}  // namespace msb::agent
