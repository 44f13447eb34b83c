// FakeMachine: a machine without a guest. The test holds the far ends of its sockets.
#pragma once

#include "base/fd.h"
#include "vmm/machine.h"
#include "vmm/testing/peer.h"

namespace msb::vmm::testing {

// The test's side, which outlives the machine. end(...) makes the machine end by itself.
struct FakeGuest {
  FakeGuest();
  void print(std::string_view console_text) const { (void)write_full(console.get(), as_bytes(console_text)); }
  void end(MachineEnd::Cause cause) const;

  Peer agent;
  Fd console;
  MachineFactory factory();

 private:
  Fd machine_agent_;
  Fd machine_console_;
  Pipe control_;
};

}  // namespace msb::vmm::testing
