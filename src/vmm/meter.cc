#include "vmm/meter.h"

#include "vmm/network.h"

namespace msb::vmm {
namespace {

wire::NetworkMeasured to_message(const net::GatewayCounters& counters) {
  return {.rx_bytes = counters.stack.sent_bytes,
          .tx_bytes = counters.stack.received_bytes,
          .rx_frames = counters.stack.sent_frames,
          .tx_frames = counters.stack.received_frames,
          .dropped_frames = counters.stack.dropped,
          .connections = counters.connections,
          .denials = counters.denials};
}

}  // namespace

Result<std::unique_ptr<Meter>> Meter::create(Machine& machine, Answer on_answer) {
  MSB_TRY(auto process, ProcessMeter::open(machine.pid()));
  return std::unique_ptr<Meter>(new Meter(machine, std::move(process), std::move(on_answer)));
}

void Meter::measure() {
  if (missing_ > 0) return;
  measured_ = {};
  // Answers may come inside the questions: the last is this function's own.
  missing_ = 2;
  machine_.measure_disks([this](Result<disk::DiskTraffic> traffic) {
    if (!traffic) {
      note(traffic.error());
    } else {
      measured_.disk_read_bytes = traffic->read_bytes;
      measured_.disk_written_bytes = traffic->written_bytes;
    }
    answered();
  });
  if (const Network* network = machine_.network()) {
    ++missing_;
    network->measure([this](const net::GatewayCounters& counters) {
      measured_.network = to_message(counters);
      answered();
    });
  }
  answered();
}

void Meter::answered() {
  if (--missing_ > 0) return;
  // Last, so that what it took to find out the rest is no part of the next rate.
  read_process();
  on_answer_(measured_);
}

void Meter::read_process() {
  measured_.uptime_ns =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start_).count());
  measured_.resident_bytes = process_.resident_bytes();
  auto time = process_.cpu_time_ns();
  if (time)
    measured_.cpu_time_ns = *time;
  else
    note(time.error());
}

void Meter::note(const Error& error) {
  if (measured_.error.empty()) measured_.error = error.to_string();
}

}  // namespace msb::vmm
