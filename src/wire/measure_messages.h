// The messages that ask what a sandbox uses. Nobody samples: an answer is found out when it is asked for.
//
// Two questions, because two answer: the VMM process says what it and the host see (a guest can neither ask it nor
// answer for it: the relay keeps both from it), the agent what only the guest knows. docs/format/agent-protocol.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "wire/codec.h"

namespace msb::wire {

// A client to the VMM process; one at a time for each client.
struct MeasureMachine {
  static constexpr std::string_view kType = "core.machine.measure";
  static void fields(auto&, auto&&) {}
};

// The guest's network card, as the gateway sees it.
struct NetworkMeasured {
  uint64_t rx_bytes = 0;  // to the guest, of Ethernet frames
  uint64_t tx_bytes = 0;  // from it
  uint64_t rx_frames = 0;
  uint64_t tx_frames = 0;
  uint64_t dropped_frames = 0;  // of those from the guest: malformed, spoofed, over a limit
  uint32_t connections = 0;     // of TCP, now
  uint64_t denials = 0;         // what the policy or a limit refused
  static void fields(auto& self, auto&& field) {
    field("rx_bytes", self.rx_bytes);
    field("tx_bytes", self.tx_bytes);
    field("rx_frames", self.rx_frames);
    field("tx_frames", self.tx_frames);
    field("dropped_frames", self.dropped_frames);
    field("connections", self.connections);
    field("denials", self.denials);
  }
};

// The VMM process to that client, terminal. All counts are since the machine's start.
struct MachineMeasured {
  static constexpr std::string_view kType = "core.machine.measured";
  std::string error = {};                       // empty: the rest is true
  uint64_t uptime_ns = 0;                       // of the machine; rates are differences over differences of this
  uint64_t cpu_time_ns = 0;                     // of the machine's process, all its threads
  std::optional<uint64_t> resident_bytes = {};  // of the machine's process; absent where /proc does not tell
  uint64_t disk_read_bytes = 0;
  uint64_t disk_written_bytes = 0;
  std::optional<NetworkMeasured> network = {};  // absent: there is no network card
  static void fields(auto& self, auto&& field) {
    field("error", self.error);
    field("uptime_ns", self.uptime_ns);
    field("cpu_time_ns", self.cpu_time_ns);
    field("resident_bytes", self.resident_bytes);
    field("disk_read_bytes", self.disk_read_bytes);
    field("disk_written_bytes", self.disk_written_bytes);
    field("network", self.network);
  }
};

// H>G, and like ping no activity for the idle timeout.
struct MeasureGuest {
  static constexpr std::string_view kType = "core.guest.measure";
  static void fields(auto&, auto&&) {}
};

// G>H. What the guest's kernel does not tell is absent.
struct GuestMeasured {
  static constexpr std::string_view kType = "core.guest.measured";
  std::optional<uint64_t> memory_total = {};      // MemTotal, bytes
  std::optional<uint64_t> memory_available = {};  // MemAvailable, bytes
  std::optional<uint64_t> root_used = {};         // of the file system that `/` writes to, bytes
  std::optional<uint64_t> root_free = {};         // of it, for anybody
  static void fields(auto& self, auto&& field) {
    field("memory_total", self.memory_total);
    field("memory_available", self.memory_available);
    field("root_used", self.root_used);
    field("root_free", self.root_free);
  }
};

}  // namespace msb::wire
