#include "kvm/running_machine.h"

#include <algorithm>

#include "base/units.h"

namespace msb::kvm {

Result<std::unique_ptr<RunningMachine>> RunningMachine::start(Reactor& reactor, Mailbox& device_thread,
                                                              std::unique_ptr<Machine> machine, Events events) {
  std::unique_ptr<RunningMachine> running(
      new RunningMachine(reactor, device_thread, std::move(machine), std::move(events)));
  MSB_CHECK(running->start_threads());
  return running;
}

Result<> RunningMachine::start_threads() {
  machine_->reset_requested = [this] { device_thread_.post([this] { end({VcpuEnd::Cause::guest}); }); };
  // Threads come to rest by themselves at first.
  steps_.push_back({Step::Kind::pause, [this] { events_.ready(); }});
  for (auto& vcpu : machine_->vcpus()) {
    Vcpu::Events events;
    events.prepare = events_.prepare_thread;
    events.rested = [this] { device_thread_.post([this] { on_rested(); }); };
    events.ended = [this](VcpuEnd why) {
      device_thread_.post([this, why = std::move(why)]() mutable { end(std::move(why)); });
    };
    events.finished = [this] { device_thread_.post([this] { on_finished(); }); };
    ++unrested_;
    MSB_CHECK(vcpu->start(std::move(events)));
    ++unfinished_;
  }
  return {};
}

RunningMachine::~RunningMachine() {
  reported_ = true;  // to nobody
  for (auto& vcpu : machine_->vcpus()) vcpu->stop();
  while (unfinished_ > 0 && reactor_.run_once()) {
  }
}

void RunningMachine::pause(Done done) {
  ask({Step::Kind::pause, std::move(done)});
}

void RunningMachine::resume(Done done) {
  ask({Step::Kind::resume, std::move(done)});
}

void RunningMachine::ask(Step step) {
  if (end_) return;
  steps_.push_back(std::move(step));
  if (steps_.size() == 1) proceed();
}

// One step after the other: a processor told to run before it has rested would never say that it has.
void RunningMachine::proceed() {
  while (!steps_.empty() && !end_) {
    if (steps_.front().kind == Step::Kind::pause) {
      unrested_ = machine_->vcpus().size();
      for (auto& vcpu : machine_->vcpus()) vcpu->pause();
      return;
    }
    for (auto& vcpu : machine_->vcpus()) vcpu->resume();
    finish_step();
  }
}

void RunningMachine::finish_step() {
  Done done = std::move(steps_.front().done);
  steps_.pop_front();
  done();
}

void RunningMachine::set_balloon(uint64_t mib) {
  virtio::BalloonDevice& balloon = machine_->balloon();
  uint64_t limit = balloon.pages();
  constexpr uint64_t kPagesPerMib = kMiB / virtio::BalloonDevice::kPage;
  balloon.set_target(static_cast<uint32_t>(mib > limit / kPagesPerMib ? limit : mib * kPagesPerMib));
}

void RunningMachine::on_rested() {
  if (unrested_ == 0 || --unrested_ > 0 || end_) return;
  finish_step();
  proceed();
}

void RunningMachine::end(VcpuEnd why) {
  if (end_) return;
  end_ = std::move(why);
  for (auto& vcpu : machine_->vcpus()) vcpu->stop();
}

void RunningMachine::on_finished() {
  if (--unfinished_ > 0 || reported_) return;
  for (auto& vcpu : machine_->vcpus()) vcpu->join();
  // The last words are the most important ones.
  machine_->serial().when_drained([this] { report_end(); });
  if (machine_->serial().flush()) report_end();
}

void RunningMachine::report_end() {
  if (std::exchange(reported_, true)) return;
  auto handler = std::move(events_.ended);
  handler(*end_);
}

}  // namespace msb::kvm
