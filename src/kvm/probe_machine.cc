#include "kvm/probe_machine.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

#include "base/cat.h"
#include "base/deadline.h"
#include "base/fd.h"

namespace msb::kvm {
namespace {

// Real mode at 0x1000: adds 1..100 in memory, says both bytes of the sum on port 0xe9, halts.
constexpr uint64_t kCodeAddress = 0x1000;
constexpr uint16_t kPort = 0xe9, kSum = 5050;
constexpr std::array<uint8_t, 29> kCode = {
    0x31, 0xc0,               // xor ax, ax
    0xa3, 0x00,  0x20,        // mov [0x2000], ax
    0xb9, 0x64,  0x00,        // mov cx, 100
    0x01, 0x0e,  0x00, 0x20,  // again: add [0x2000], cx
    0xe2, 0xfa,               // loop again
    0xa1, 0x00,  0x20,        // mov ax, [0x2000]
    0xba, kPort, 0x00,        // mov dx, port
    0xee,                     // out dx, al
    0x88, 0xe0,               // mov al, ah
    0xee,                     // out dx, al
    0xf4,                     // hlt
    0xeb, 0xfd,               // jmp hlt
    0x90, 0x90,               //
};
constexpr size_t kMemory = 0x4000;
constexpr int kMaxExits = 16;  // two for the port, one for the halt, and some that mean "again"
// For a killed child to be gone, which takes long only when KVM does not let it go.
constexpr std::chrono::milliseconds kKillTime{1000};

// ---- in the child: nothing here allocates, and descriptors and mappings go with the process ----

ProbeFinding stopped(const char* problem) {
  return {problem, errno, 0};
}

ProbeFinding watch_guest(int vcpu, kvm_run* run, size_t window) {
  uint32_t said = 0;
  int count = 0;
  for (int exits = 0; exits < kMaxExits; ++exits) {
    if (::ioctl(vcpu, KVM_RUN, 0) < 0 && errno != EINTR) return stopped("run the processor");
    const auto& io = run->io;
    if (run->exit_reason == KVM_EXIT_IO && io.direction == KVM_EXIT_IO_OUT && io.port == kPort && io.size == 1 &&
        io.count == 1 && io.data_offset < window) {
      said |= uint32_t{reinterpret_cast<uint8_t*>(run)[io.data_offset]} << (8 * (count++ & 1));
    } else if (run->exit_reason == KVM_EXIT_HLT) {
      if (count == 2 && said == kSum) return {nullptr, 0, 0};
      return {"the guest computed something else", 0, 0};
    } else if (run->exit_reason != KVM_EXIT_INTR) {
      return {"the processor stopped with exit reason ", 0, run->exit_reason};
    }
  }
  return {"the guest did not halt", 0, 0};
}

ProbeFinding run_guest(int kvm) {
  int vm = ::ioctl(kvm, KVM_CREATE_VM, 0);
  if (vm < 0) return stopped("create a virtual machine");
  void* memory = ::mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return stopped("map the machine's memory");
  std::memcpy(static_cast<uint8_t*>(memory) + kCodeAddress, kCode.data(), kCode.size());
  kvm_userspace_memory_region region{0, 0, 0, kMemory, reinterpret_cast<uint64_t>(memory)};
  if (::ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) return stopped("give the machine its memory");
  int vcpu = ::ioctl(vm, KVM_CREATE_VCPU, 0);
  if (vcpu < 0) return stopped("create a processor");
  int size = ::ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  if (size < static_cast<int>(sizeof(kvm_run))) return stopped("ask for the size of the processor's window");
  void* window = ::mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  if (window == MAP_FAILED) return stopped("map the processor's window");

  kvm_sregs special{};
  if (::ioctl(vcpu, KVM_GET_SREGS, &special) < 0) return stopped("read the processor's state");
  special.cs.base = 0;
  special.cs.selector = 0;
  if (::ioctl(vcpu, KVM_SET_SREGS, &special) < 0) return stopped("set the processor's state");
  kvm_regs registers{};
  registers.rip = kCodeAddress;
  registers.rflags = 2;  // the bit that is always set
  if (::ioctl(vcpu, KVM_SET_REGS, &registers) < 0) return stopped("set the processor's registers");
  return watch_guest(vcpu, static_cast<kvm_run*>(window), static_cast<size_t>(size));
}

void close_all_but(unsigned first, unsigned second) {
  auto [low, high] = std::minmax(first, second);
  if (low > 0) ::syscall(SYS_close_range, 0u, low - 1, 0u);
  if (high > low + 1) ::syscall(SYS_close_range, low + 1, high - 1, 0u);
  ::syscall(SYS_close_range, high + 1, ~0u, 0u);
}

[[noreturn]] void be_child(ProbeFinding (*work)(int fd), int fd, int answer, pid_t parent) {
  sigset_t all;
  ::sigfillset(&all);  // the caller's handlers are not for this process
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  close_all_but(static_cast<unsigned>(fd), static_cast<unsigned>(answer));
  ProbeFinding finding = work(fd);
  (void)!::write(answer, &finding, sizeof(finding));
  ::_exit(0);
}

}  // namespace

Result<ProbeFinding> find_in_child(ProbeFinding (*work)(int fd), int fd, std::chrono::milliseconds deadline) {
  MSB_TRY(Pipe answer, make_pipe());
  pid_t parent = ::getpid();
  // No exit signal: only who asks for it by number waits for it.
  auto pid = static_cast<pid_t>(::syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr));
  if (pid == 0) be_child(work, fd, answer.write.get(), parent);
  if (pid < 0) return fail_errno("start a process for the probe machine");
  answer.write.reset();
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) {
    Error error = Error::from_errno(errno, "watch the probe machine's process");
    ::kill(pid, SIGKILL);
    return fail(std::move(error));
  }
  auto ended = wait_for(pidfd.get(), POLLIN, deadline_after(deadline));
  if (!ended || !*ended) {
    (void)::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
    (void)wait_for(pidfd.get(), POLLIN, deadline_after(kKillTime));
  }
  ::waitpid(pid, nullptr, __WALL | WNOHANG);
  if (!ended) return fail(std::move(ended).error());
  if (!*ended) return fail(ErrorKind::runtime, cat("it did not end within ", deadline.count(), " ms"));
  ProbeFinding finding;
  MSB_TRY(size_t count, read_full(answer.read.get(), {reinterpret_cast<uint8_t*>(&finding), sizeof(finding)}));
  if (count != sizeof(finding)) return fail(ErrorKind::runtime, "its process was killed");
  return finding;
}

Result<> run_probe_machine(int kvm, std::chrono::milliseconds deadline) {
  MSB_TRY(ProbeFinding finding, find_in_child(run_guest, kvm, deadline));
  if (!finding.problem) return {};
  if (finding.error != 0) return fail(Error::from_errno(finding.error, finding.problem).as(ErrorKind::runtime));
  std::string reason = finding.exit_reason != 0 ? cat(finding.exit_reason) : "";
  return fail(ErrorKind::runtime, cat(finding.problem, reason));
}

}  // namespace msb::kvm
