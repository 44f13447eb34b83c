// DirectGuest: carries out a scenario without a processor: its accesses are calls of the buses a vCPU would make, from
// this thread. Needs no /dev/kvm.
#pragma once

#include <thread>

#include "hostile_bed.h"
#include "scenarios.h"

namespace msb::hostile {

class DirectGuest {
 public:
  explicit DirectGuest(HostileBed& bed);
  DirectGuest(const DirectGuest&) = delete;
  DirectGuest& operator=(const DirectGuest&) = delete;
  // The order lies in the bed's memory. Returns when it is carried out.
  void run() { run_scenario(&hardware_, &bed_.orders()); }
  HostileBed& bed() { return bed_; }

 private:
  HostileBed& bed_;
  hardware hardware_{};
  uint32_t stop_scribbling_ = 0;
  std::thread second_;  // the other processor
};

}  // namespace msb::hostile
