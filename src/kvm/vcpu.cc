#include "kvm/vcpu.h"

#include <sys/ioctl.h>

#include <csignal>
#include <cstring>

#include "base/cleanup.h"
#include "kvm/arch.h"

namespace msb::kvm {
namespace {

int kick_signal() {
  return SIGRTMIN;
}

// Without a handler the signal would end the process. Setting it again changes nothing.
Result<> catch_kicks() {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  ::sigemptyset(&action.sa_mask);
  if (::sigaction(kick_signal(), &action, nullptr) < 0) return fail_errno("catch the signal that interrupts guests");
  return {};
}

std::atomic_ref<uint8_t> immediate_exit(const VcpuFd& fd) {
  return std::atomic_ref<uint8_t>(fd.run().immediate_exit);
}

constexpr std::string_view kSuberrors[] = {"an instruction could not be emulated", "simultaneous exceptions",
                                           "an event could not be delivered", "an unexpected exit of the guest"};

}  // namespace

Result<std::unique_ptr<Vcpu>> Vcpu::create(VcpuFd fd, uint32_t index, Buses buses) {
  MSB_CHECK(catch_kicks());
  return std::unique_ptr<Vcpu>(new Vcpu(std::move(fd), index, buses));
}

Vcpu::~Vcpu() {
  stop();
  join();
}

Result<> Vcpu::start(Events events) {
  events_ = std::move(events);
  auto entry = [](void* self) -> void* {
    static_cast<Vcpu*>(self)->main();
    return nullptr;
  };
  // Not std::thread: a host that gives no thread is an error like others, not an exception.
  pthread_t thread{};
  if (int error = ::pthread_create(&thread, nullptr, entry, this); error != 0)
    return fail_errno("create the thread of a virtual processor", error);
  std::lock_guard lock(mutex_);
  thread_ = thread;
  return {};
}

void Vcpu::join() {
  if (thread_) (void)::pthread_join(*thread_, nullptr);
  thread_.reset();
}

void Vcpu::want(Wanted wanted) {
  std::lock_guard lock(mutex_);
  if (wanted_ == Wanted::stopped) return;
  wanted_ = wanted;
  rest_reported_ = false;
  changed_.notify_all();
  if (wanted == Wanted::running || !thread_) return;
  immediate_exit(fd_).store(1);
  (void)::pthread_kill(*thread_, kick_signal());
}

void Vcpu::main() {
  (void)::pthread_setname_np(::pthread_self(), cat("vcpu", index_).c_str());
  sigset_t kick;
  ::sigemptyset(&kick);
  ::sigaddset(&kick, kick_signal());
  ::pthread_sigmask(SIG_UNBLOCK, &kick, nullptr);

  std::optional<VcpuEnd> end;
  if (auto prepared = events_.prepare(); !prepared)
    end = VcpuEnd{VcpuEnd::Cause::failed, prepared.error().to_string(), {}, {}};
  while (wanted_ != Wanted::stopped && !end) {
    if (wanted_ == Wanted::resting)
      rest();
    else
      end = run();
  }
  if (end) {
    events_.ended(std::move(*end));
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return wanted_ == Wanted::stopped; });
  }
  events_.finished();
}

void Vcpu::rest() {
  // So that the guest's watchdogs do not take the time at rest for a hang. Guests without a kvmclock refuse.
  Cleanup tell_the_guest([this] { (void)::ioctl(fd_.get(), KVM_KVMCLOCK_CTRL, 0); });
  std::unique_lock lock(mutex_);
  while (wanted_ == Wanted::resting) {
    if (std::exchange(rest_reported_, true)) {
      changed_.wait(lock);
    } else {
      lock.unlock();
      events_.rested();
      lock.lock();
    }
  }
}

std::optional<VcpuEnd> Vcpu::run() {
  while (true) {
    if (::ioctl(fd_.get(), KVM_RUN, 0) == 0) {
      if (auto end = handle_exit()) return end;
    } else if (errno == EINTR) {
      // Only here is wanted_ looked at: the guest's last access has been completed. Cleared before the look, see above.
      immediate_exit(fd_).store(0);
      if (wanted_ != Wanted::running) return std::nullopt;
    } else if (errno == EFAULT) {
      return failure("the host could not provide a page of guest memory",
                     "The host may be out of memory: see its kernel log.");
    } else if (errno != EAGAIN) {
      return failure(Error::from_errno(errno, "run the guest").to_string());
    }
  }
}

std::optional<VcpuEnd> Vcpu::handle_exit() {
  const kvm_run& run = fd_.run();
  switch (run.exit_reason) {
    case KVM_EXIT_IO:
      handle_port();
      return std::nullopt;
    case KVM_EXIT_MMIO:
      handle_memory();
      return std::nullopt;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_SET_TPR:
      return std::nullopt;
    case KVM_EXIT_SHUTDOWN:      // a triple fault: how our guests reset
    case KVM_EXIT_SYSTEM_EVENT:  // reset, shutdown or crash by a paravirtual call
      return VcpuEnd{VcpuEnd::Cause::guest};
    case KVM_EXIT_FAIL_ENTRY:
      return failure(cat("the processor refused to enter the guest (hardware reason ",
                         run.fail_entry.hardware_entry_failure_reason, ")"));
    case KVM_EXIT_INTERNAL_ERROR: {
      uint32_t suberror = run.internal.suberror;
      bool known = suberror >= 1 && suberror <= std::size(kSuberrors);
      return failure(cat("KVM gave up on the guest: ", known ? kSuberrors[suberror - 1] : "internal error",
                         " (suberror ", suberror, ")"));
    }
    default:
      return failure(cat("the guest stopped for a reason that means nothing here (KVM exit ", run.exit_reason, ")"));
  }
}

void Vcpu::handle_port() {
  const auto& io = fd_.run().io;
  MutableByteView window = fd_.window();
  uint64_t length = uint64_t{io.size} * io.count;
  if (io.data_offset > window.size() || length > window.size() - io.data_offset) return;
  MutableByteView data = window.subspan(io.data_offset, length);
  for (; !data.empty(); data = data.subspan(io.size)) {
    if (io.direction == KVM_EXIT_IO_IN)
      buses_.ports.read(io.port, data.first(io.size));
    else
      buses_.ports.write(io.port, data.first(io.size));
  }
}

void Vcpu::handle_memory() {
  auto& access = fd_.run().mmio;
  MutableByteView data(access.data, std::min<size_t>(access.len, sizeof(access.data)));
  if (access.is_write)
    buses_.memory.write(access.phys_addr, data);
  else
    buses_.memory.read(access.phys_addr, data);
}

VcpuEnd Vcpu::failure(std::string message, std::string hint) const {
  VcpuEnd end{VcpuEnd::Cause::failed, std::move(message), std::move(hint), {}};
  if (std::string registers = describe_registers(fd_); !registers.empty())
    end.registers = cat("vcpu ", index_, "\n", registers);
  return end;
}

}  // namespace msb::kvm
