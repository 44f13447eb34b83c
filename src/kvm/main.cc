// msb-kvm: one guest on KVM. Started by KvmProcess (kvm_process.h) inside a fence, with a MachineConfig on descriptor 3
// and every file it needs open; it can open nothing itself but what is below its shared directories.
//
// The main thread is the device thread, unless there are shares: then it serves those (jail.h says why), and another
// one is the device thread. Order of the start: build the machine, start the processors' threads, which enter their
// jails and rest; enter the own jail; say "started"; let the processors run.
#include <unistd.h>

#include <csignal>
#include <future>
#include <thread>

#include "kvm/control_channel.h"
#include "kvm/jail.h"
#include "kvm/running_machine.h"

namespace msb::kvm {
namespace {

constexpr size_t kMaxConfig = size_t{1} << 20;

Result<MachineConfig> read_config() {
  Fd file(kConfigFd);
  MSB_TRY(Bytes bytes, read_all(file.get(), kMaxConfig));
  return wire::decode<MachineConfig>(bytes);
}

Notice failure(const Error& error) {
  Notice notice;
  notice.cause = "failed";
  notice.message = error.to_string();
  for (const auto& hint : error.hints()) notice.hint += (notice.hint.empty() ? "" : " ") + hint;
  return notice;
}

Notice notice_of(const VcpuEnd& end) {
  Notice notice;
  notice.cause = end.cause == VcpuEnd::Cause::guest ? "guest" : "failed";
  notice.message = end.message;
  notice.hint = end.hint;
  notice.registers = end.registers;
  return notice;
}

using LendThread = std::function<void(std::function<void()> work)>;

class Program {
 public:
  Program(Reactor& reactor, Mailbox& mailbox, ControlChannel& control, LendThread lend_share_thread)
      : reactor_(reactor), mailbox_(mailbox), control_(control), lend_share_thread_(std::move(lend_share_thread)) {}

  // Runs the guest to its end, which is the notice.
  Result<Notice> run(const MachineConfig& config) {
    Machine::Hooks hooks;
    hooks.log = [this](std::string_view line) { control_.warning(std::string(line)); };
    hooks.prepare_disk_thread = [] { return enter_jail(ThreadRole::disk); };
    hooks.lend_share_thread = std::move(lend_share_thread_);
    hooks.prepare_share_thread = [](const std::vector<int>& usage) -> Result<> {
      MSB_CHECK(keep_own_descriptors(usage));
      return enter_jail(ThreadRole::share);
    };
    MSB_TRY(auto machine, Machine::build(reactor_, mailbox_, config, std::move(hooks)));
    RunningMachine::Events events;
    events.prepare_thread = [] { return enter_jail(ThreadRole::vcpu); };
    events.ready = [this] { begin(); };
    events.ended = [this](const VcpuEnd& end) {
      end_ = notice_of(end);
      reactor_.stop();
    };
    MSB_TRY(running_, RunningMachine::start(reactor_, mailbox_, std::move(machine), std::move(events)));
    MSB_CHECK(control_.listen({[this](const Request& request) { serve(request); },
                               [this] { running_->end({VcpuEnd::Cause::failed, "the host side is gone"}); }}));
    MSB_CHECK(reactor_.run());
    return std::move(end_);
  }

 private:
  // All threads exist and are in their jails.
  void begin() {
    if (auto jailed = enter_jail(ThreadRole::device); !jailed)
      return running_->end({VcpuEnd::Cause::failed, jailed.error().to_string()});
    control_.started({"thread-filters"});
    running_->resume([] {});
  }

  void serve(const Request& request) {
    auto done = [this, id = request.id] { control_.done(id); };
    if (request.kind == "pause") return running_->pause(done);
    if (request.kind == "resume") return running_->resume(done);
    if (request.kind == "measure") return control_.measured(request.id, running_->machine().disk_traffic());
    if (request.kind != "balloon") return control_.done(request.id, cat("unknown request ", request.kind));
    running_->set_balloon(request.balloon_mib);
    done();
  }

  Reactor& reactor_;
  Mailbox& mailbox_;
  ControlChannel& control_;
  LendThread lend_share_thread_;
  std::unique_ptr<RunningMachine> running_;
  Notice end_;
};

// Everything but the end's report, whose channel must exist first.
Result<Notice> run_guest(Reactor& reactor, ControlChannel& control, const MachineConfig& config,
                         LendThread lend_share_thread) {
  MSB_TRY(auto mailbox, Mailbox::create(reactor));
  Program program(reactor, *mailbox, control, std::move(lend_share_thread));
  return program.run(config);
}

// The device thread.
Result<int> run(const MachineConfig& config, LendThread lend_share_thread) {
  if (config.control_fd < kFirstFreeFd) return fail(ErrorKind::internal, "the configuration has no control socket");
  MSB_TRY(auto reactor, Reactor::create());
  MSB_TRY(auto control, ControlChannel::create(*reactor, Fd(config.control_fd)));
  auto end = run_guest(*reactor, *control, config, std::move(lend_share_thread));
  control->ended(end ? *end : failure(end.error()));
  return end && end->cause == "guest" ? 0 : 1;
}

Result<int> run_beside_shares(const MachineConfig& config) {
  std::promise<std::function<void()>> lent;
  auto work = lent.get_future();
  Result<int> code = 0;
  std::thread device([&] {
    bool taken = false;
    code = run(config, [&](std::function<void()> share) {
      taken = true;
      lent.set_value(std::move(share));
    });
    if (!taken) lent.set_value([] {});
  });
  work.get()();
  device.join();
  return code;
}

Result<int> run() {
  MSB_TRY(MachineConfig config, read_config());
  return config.shares.empty() ? run(config, {}) : run_beside_shares(config);
}

}  // namespace
}  // namespace msb::kvm

int main() {
  ::signal(SIGPIPE, SIG_IGN);
  auto code = msb::kvm::run();
  if (code) return *code;
  std::string line = "msb-kvm: " + code.error().to_string() + "\n";
  (void)!::write(2, line.data(), line.size());
  return 2;
}
