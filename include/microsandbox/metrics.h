// Metrics: what running sandboxes use. Found out when asked for; a sandbox that nobody asks about does nothing for it.
//
//   auto metrics = sandbox->metrics();              // takes 200 ms, which cpu_percent is of
//   std::cout << metrics->cpu_percent << " %, " << metrics->memory_bytes / 1048576 << " MiB\n";
//
//   msb::Sandbox::metrics_stream("demo", std::chrono::seconds(1), [](const msb::SandboxMetrics& now) {
//     std::cout << now.net_rx_bytes << "\n";        // counts are since the start: rates are differences
//     return true;                                  // false ends the stream
//   });
//
// Each number says where it is from: host (its kernel, or a process of ours outside the guest) or guest. What comes
// from the guest is what the guest chooses to say. A number that cannot be known is nullopt, never 0.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <microsandbox/export.h>
#include <microsandbox/result.h>

namespace msb {

// The network card, as the gateway on the host sees it (docs/network.md). Since the start, but for `connections`.
struct NetworkMetrics {
  uint64_t rx_frames = 0;       // Ethernet frames to the guest
  uint64_t tx_frames = 0;       // from the guest
  uint64_t dropped_frames = 0;  // of those from the guest: malformed, with an address not its own, over a limit
  uint32_t connections = 0;     // TCP connections, of either side's making, that exist now
  uint64_t denials = 0;         // what rules or limits refused; Sandbox::network_events() has most of them one by one
};

struct SandboxMetrics {
  // 100 is one processor of the host in full use; a sandbox of 2 cpus reaches 200, and a little more with what the host
  // does for its devices. Of the time since the look before; at a first look, since the start. Host.
  double cpu_percent = 0;
  uint64_t vcpu_time_ns = 0;  // processor time of the machine's process: the guest, and the work for its devices. Host.

  // In use in the guest: all memory but the available. Guest; when that does not answer (then memory_available_bytes is
  // nullopt), memory_host_resident_bytes.
  uint64_t memory_bytes = 0;
  std::optional<uint64_t> memory_available_bytes = {};  // what programs could still get. Guest.
  std::optional<uint64_t> memory_host_resident_bytes =
      {};                           // of the machine's process, caches of the guest included. Host.
  uint64_t memory_limit_bytes = 0;  // what the sandbox was given

  // Of all disks, the image's included, as the guest's driver asked for them (its cache is before that). Host.
  uint64_t disk_read_bytes = 0;
  uint64_t disk_write_bytes = 0;

  // Of Ethernet frames to (rx) and from (tx) the guest; 0 without a network card. Host.
  uint64_t net_rx_bytes = 0;
  uint64_t net_tx_bytes = 0;
  std::optional<NetworkMetrics> network = {};  // nullopt: there is no network card

  // Of the file system that "/" writes to.
  std::optional<uint64_t> upper_used_bytes = {};            // Guest.
  std::optional<uint64_t> upper_free_bytes = {};            // Guest.
  std::optional<uint64_t> upper_host_allocated_bytes = {};  // what its file takes on the host; nullopt in memory. Host.

  uint64_t uptime_ms = 0;    // of the machine. Host.
  int64_t timestamp_ms = 0;  // when this was found out, Unix time
};

// Looks at several sandboxes together, as often as it is told to, over connections that it keeps.
//
//   msb::MetricsWatch watch;   // of all that run
//   auto first = watch.look();
//   ... a second later ...
//   auto second = watch.look();   // cpu_percent of that second
class MSB_API MetricsWatch {
 public:
  // Without names: of all that run at the time of a look.
  explicit MetricsWatch(std::vector<std::string> names = {});
  ~MetricsWatch();
  MetricsWatch(MetricsWatch&&) noexcept;
  MetricsWatch& operator=(MetricsWatch&&) noexcept;

  // For each sandbox what it uses, or why that is not known: it does not run (sandbox_not_running), does not exist
  // (sandbox_not_found), or its process does not answer within 3 s (runtime). A guest that does not answer within a
  // second only leaves its own numbers out.
  using Look = std::map<std::string, Result<SandboxMetrics>>;
  Result<Look> look();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Of all that run, by name; takes 200 ms. One that cannot be asked is left out.
MSB_API Result<std::map<std::string, SandboxMetrics>> all_sandbox_metrics();

}  // namespace msb
