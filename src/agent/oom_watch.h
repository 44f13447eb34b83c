// OomWatch: tells whether the kernel killed something for lack of memory since we last asked.
#pragma once

#include <cstdint>
#include <string>

namespace msb::agent {

class OomWatch {
 public:
  explicit OomWatch(std::string vmstat = "/proc/vmstat") : vmstat_(std::move(vmstat)) {
    (void)killed_since_last_time();
  }

  bool killed_since_last_time();

 private:
  std::string vmstat_;
  uint64_t seen_ = 0;
};

}  // namespace msb::agent
