#include "sandbox/metrics_probe.h"

#include <sys/stat.h>

#include "base/units.h"
#include "sandbox/lifecycle.h"
#include "sandbox/machine_plan.h"

namespace msb {
namespace {

constexpr std::chrono::seconds kMachineTime{3};
constexpr std::chrono::seconds kGuestTime{1};

MetricsFacts facts_of(const state::Home& home, const StoredConfig& stored) {
  MetricsFacts facts{.memory_limit_bytes = stored.config.memory_mib * kMiB, .upper = {}};
  // The root's writable disk, if it has one, is its last.
  const state::DiskSpec last = plan_machine(home, stored).disks.back();
  if (!last.read_only) facts.upper = last.files.front();
  return facts;
}

double percent(const wire::MachineMeasured& now, const wire::MachineMeasured& before) {
  if (now.uptime_ns <= before.uptime_ns || now.cpu_time_ns < before.cpu_time_ns) return 0;
  return 100.0 * static_cast<double>(now.cpu_time_ns - before.cpu_time_ns) /
         static_cast<double>(now.uptime_ns - before.uptime_ns);
}

std::optional<uint64_t> allocated(const std::string& file) {
  struct stat found{};
  if (file.empty() || ::stat(file.c_str(), &found) < 0) return std::nullopt;
  return static_cast<uint64_t>(found.st_blocks) * 512;
}

int64_t unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Result<SandboxMetrics> to_metrics(const wire::MachineMeasured& machine, const wire::GuestMeasured& guest,
                                  const std::optional<wire::MachineMeasured>& before, const MetricsFacts& facts) {
  if (!machine.error.empty()) return fail(ErrorKind::runtime, machine.error);
  SandboxMetrics metrics;
  metrics.cpu_percent = percent(machine, before.value_or(wire::MachineMeasured{}));
  metrics.vcpu_time_ns = machine.cpu_time_ns;
  metrics.memory_limit_bytes = facts.memory_limit_bytes;
  metrics.memory_host_resident_bytes = machine.resident_bytes;
  // Numbers that no honest guest could mean are as good as none.
  if (guest.memory_total && guest.memory_available && *guest.memory_total <= facts.memory_limit_bytes &&
      *guest.memory_available <= *guest.memory_total) {
    metrics.memory_available_bytes = guest.memory_available;
    metrics.memory_bytes = *guest.memory_total - *guest.memory_available;
  } else if (machine.resident_bytes) {
    metrics.memory_bytes = *machine.resident_bytes;
  } else {
    return fail(Error(ErrorKind::runtime, "neither the guest nor /proc says how much memory is in use")
                    .hint("mount /proc without hidepid"));
  }
  metrics.disk_read_bytes = machine.disk_read_bytes;
  metrics.disk_write_bytes = machine.disk_written_bytes;
  if (const auto& network = machine.network) {
    metrics.net_rx_bytes = network->rx_bytes;
    metrics.net_tx_bytes = network->tx_bytes;
    metrics.network = NetworkMetrics{.rx_frames = network->rx_frames,
                                     .tx_frames = network->tx_frames,
                                     .dropped_frames = network->dropped_frames,
                                     .connections = network->connections,
                                     .denials = network->denials};
  }
  metrics.upper_used_bytes = guest.root_used;
  metrics.upper_free_bytes = guest.root_free;
  metrics.upper_host_allocated_bytes = allocated(facts.upper);
  metrics.uptime_ms = machine.uptime_ns / 1'000'000;
  metrics.timestamp_ms = unix_ms();
  return metrics;
}

Result<MetricsProbe> MetricsProbe::open(const std::string& name) {
  MSB_TRY(auto home, state::Home::resolve());
  MSB_TRY(auto live, connect_sandbox(name));
  MSB_TRY(auto connection, open_agent(name));
  return MetricsProbe(name, facts_of(home, live.stored), std::move(connection));
}

uint32_t MetricsProbe::take_id() {
  uint32_t id = next_id_;
  next_id_ = id + 1 == connection_.end_id() ? connection_.first_id() : id + 1;
  return id;
}

Result<> MetricsProbe::ask() {
  machine_.reset();
  machine_id_ = take_id();
  machine_deadline_ = deadline_after(kMachineTime);
  MSB_CHECK(connection_.write(wire::make_frame(machine_id_, wire::kFlagSessionStart, wire::MeasureMachine{}),
                              machine_deadline_));
  wait_for_guest_ = guest_id_ == 0;
  if (!wait_for_guest_) return {};
  guest_ = {};
  guest_id_ = take_id();
  guest_deadline_ = deadline_after(kGuestTime);
  return connection_.write(wire::make_frame(guest_id_, wire::kFlagSessionStart, wire::MeasureGuest{}),
                           machine_deadline_);
}

Result<> MetricsProbe::take(const wire::Frame& frame) {
  MSB_TRY(auto envelope, wire::open_envelope(frame.body));
  if (frame.id == machine_id_ && envelope.type == wire::MachineMeasured::kType) {
    MSB_TRY(machine_, wire::decode<wire::MachineMeasured>(envelope.payload));
  } else if (guest_id_ != 0 && frame.id == guest_id_) {
    guest_id_ = 0;
    // Anything else is the answer of an agent that does not know the question, or of none.
    auto guest = wire::decode<wire::GuestMeasured>(envelope.payload);
    if (envelope.type == wire::GuestMeasured::kType && guest) guest_ = *guest;
  }
  return {};
}

Result<SandboxMetrics> MetricsProbe::collect() {
  while (!machine_ || (wait_for_guest_ && guest_id_ != 0)) {
    const Deadline& until = machine_ ? guest_deadline_ : machine_deadline_;
    // Looked at each time: a guest may send without end what nobody has asked for.
    const bool late = Clock::now() >= *until;
    MSB_TRY(auto frame, connection_.next());
    if (frame) {
      MSB_CHECK(take(*frame));
      if (!late) continue;
    } else if (!late) {
      MSB_TRY(auto filled, connection_.fill());
      if (filled == AgentConnection::Fill::data) continue;
      if (filled == AgentConnection::Fill::end)
        return fail(Error(ErrorKind::sandbox_not_running, cat("sandbox '", name_, "' has just ended"))
                        .hint(cat("see `msb logs ", name_, " --source system`")));
      MSB_CHECK(wait_for(connection_.fd(), POLLIN, until));
      continue;
    }
    if (machine_) break;
    return fail(Error(ErrorKind::runtime, cat("sandbox '", name_, "' does not say what it uses"))
                    .hint("its guest or its machine hangs, or an older msb has started it; `msb restart` helps"));
  }
  auto metrics = to_metrics(*machine_, guest_, before_, facts_);
  if (metrics) before_ = machine_;
  // Of a guest that owes an answer nothing is known until it comes.
  if (guest_id_ != 0) guest_ = {};
  return metrics;
}

}  // namespace msb
