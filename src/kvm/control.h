// The control socket between the vmm process and msb-kvm: SOCK_SEQPACKET, one CBOR message a packet, at most
// kMaxControlMessage bytes. Both directions are parsed as hostile: once the guest runs, so is the program beside it.
//
//   H>M Request   pause, resume, balloon, measure (what the disks have moved)
//   M>H Notice    started (once, just before the first guest instruction, all walls up), done (answer to a request),
//                 ended (once, last), warning (a line for the log)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/codec.h"

namespace msb::kvm {

inline constexpr size_t kMaxControlMessage = 16384;
// Of one machine. A guest can bring about as many as it likes. Both ends keep to it: msb-kvm sends no more, and its
// word is not taken for that.
inline constexpr size_t kMaxWarnings = 100;

struct Request {
  uint32_t id = 0;           // echoed in the answer
  std::string kind = {};     // "pause", "resume", "balloon", "measure"
  uint64_t balloon_mib = 0;  // balloon: how much the guest shall give up
  static void fields(auto& self, auto&& field) {
    field("id", self.id);
    field("kind", self.kind);
    field("balloon_mib", self.balloon_mib);
  }
};

struct Notice {
  std::string kind = {};         // "started", "done", "ended", "warning"
  uint32_t id = 0;               // done
  std::string error = {};        // done: empty when it worked
  uint64_t disk_read_bytes = 0;  // done, of measure
  uint64_t disk_written_bytes = 0;
  // ended: "guest" (powered off or reset by the guest), "failed" (message says why; registers when a vCPU did)
  std::string cause = {};
  std::string message = {};
  std::string hint = {};
  std::string registers = {};
  std::vector<std::string> walls = {};  // started: names of the walls this program raised itself
  static void fields(auto& self, auto&& field) {
    field("kind", self.kind);
    field("id", self.id);
    field("error", self.error);
    field("disk_read_bytes", self.disk_read_bytes);
    field("disk_written_bytes", self.disk_written_bytes);
    field("cause", self.cause);
    field("message", self.message);
    field("hint", self.hint);
    field("registers", self.registers);
    field("walls", self.walls);
  }
};

}  // namespace msb::kvm
