// Machine: the Guest that PID 1 has.
#pragma once

#include "agent/guest.h"
#include "agent/root.h"

namespace msb::agent {

class Machine final : public Guest {
 public:
  explicit Machine(uint64_t start_time_ns) : start_time_ns_(start_time_ns) {}

  std::optional<wire::BootFailed> set_up(const wire::Bootstrap& bootstrap) override;
  void after_ready(const wire::Bootstrap& bootstrap) override;
  uint64_t start_time_ns() const override { return start_time_ns_; }
  std::vector<Limit> base_limits() const override;
  void set_clock(uint64_t unix_time_nanos) override;
  void signal_all(int signal) override;
  [[noreturn]] void power_off() override;

 private:
  uint64_t start_time_ns_;
  Root root_;
  std::vector<wire::MountSpec> mounts_;
};

// Room for the descriptors of a thousand sessions. Processes get base_limits() instead.
Result<> raise_own_limits();

// One line in the kernel's log, which the host keeps.
void kernel_log(std::string_view message);

}  // namespace msb::agent
