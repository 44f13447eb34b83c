// The program that jail_test runs: enters the jail of a role in a thread of its own, tries one thing there, and says on
// standard output how it went.
//
//   jail_probe ROLE ATTEMPT     prints "ok" or an errno number; killed by SIGSYS where the jail forbids it
//
// The role of shares is taken as msb-kvm does, by the first thread and with descriptors of its own. Descriptor 3 is an
// ordinary file, 4 is /dev/kvm where there is one, 5 a directory.
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "kvm/jail.h"

namespace {

using msb::kvm::ThreadRole;

constexpr int kFile = 3, kKvm = 4, kDirectory = 5;

std::string outcome(long result) {
  return result >= 0 ? "ok" : std::to_string(errno);
}

// A guest that halts at once, made before the jail and run inside it.
struct Guest {
  int vcpu = -1;
  kvm_run* run = nullptr;
};

bool make_guest(Guest& guest) {
  int vm = ioctl(kKvm, KVM_CREATE_VM, 0);
  void* memory = mmap(nullptr, 0x2000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::memset(memory, 0xf4 /* hlt */, 0x2000);
  kvm_userspace_memory_region region{0, 0, 0, 0x2000, reinterpret_cast<uint64_t>(memory)};
  if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) return false;
  guest.vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  auto size = static_cast<size_t>(ioctl(kKvm, KVM_GET_VCPU_MMAP_SIZE, 0));
  guest.run = static_cast<kvm_run*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, guest.vcpu, 0));
  kvm_sregs special{};
  if (ioctl(guest.vcpu, KVM_GET_SREGS, &special) < 0) return false;
  special.cs.base = special.cs.selector = 0;
  if (ioctl(guest.vcpu, KVM_SET_SREGS, &special) < 0) return false;
  kvm_regs registers{};
  registers.rip = 0x1000;
  registers.rflags = 2;
  return ioctl(guest.vcpu, KVM_SET_REGS, &registers) == 0;
}

std::string run_guest(const Guest& guest) {
  if (ioctl(guest.vcpu, KVM_RUN, 0) < 0) return outcome(-1);
  kvm_regs registers{};
  if (ioctl(guest.vcpu, KVM_GET_REGS, &registers) < 0) return outcome(-1);
  return guest.run->exit_reason == KVM_EXIT_HLT ? "ok" : "another exit";
}

std::string allocate() {
  for (size_t size = 16; size <= size_t{16} << 20; size *= 4) {
    void* memory = std::malloc(size);
    std::memset(memory, 1, size);
    std::free(memory);
  }
  return "ok";
}

// What serving files takes, in descriptor 5.
std::string share_files() {
  const int file = openat(kDirectory, "file", O_CREAT | O_EXCL | O_RDWR, 0600);
  const int held = openat(kDirectory, "file", O_PATH | O_NOFOLLOW);
  const std::string link = "./" + std::to_string(held);
  char byte = 'x';
  iovec vector{&byte, 1};
  struct stat status{};
  timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  const bool done = file >= 0 && held >= 0 && pwritev(file, &vector, 1, 0) == 1 &&
                    fstatat(held, "", &status, AT_EMPTY_PATH) == 0 && status.st_size == 1 &&
                    open(link.c_str(), O_RDWR) >= 0 && chmod(link.c_str(), 0644) == 0 &&
                    utimensat(held, "", now, AT_EMPTY_PATH) == 0 && mkdirat(kDirectory, "more", 0700) == 0 &&
                    renameat2(kDirectory, "file", kDirectory, "more/file", 0) == 0 &&
                    linkat(AT_FDCWD, link.c_str(), kDirectory, "again", AT_SYMLINK_FOLLOW) == 0 &&
                    symlinkat("file", kDirectory, "link") == 0 && unlinkat(kDirectory, "again", 0) == 0 &&
                    ftruncate(file, 0) == 0 && fsync(file) == 0;
  return done ? "ok" : outcome(-1);
}

std::string forbidden(const std::string& what) {
  char byte = 0;
  iovec vector{&byte, 1};
  if (what == "open") return outcome(open("/", O_RDONLY));
  if (what == "stat") return outcome(syscall(SYS_stat, "/", &byte));
  if (what == "socket") return outcome(socket(AF_UNIX, SOCK_STREAM, 0));
  if (what == "connect") return outcome(connect(kFile, nullptr, 0));
  if (what == "fork") return outcome(syscall(SYS_fork));
  if (what == "thread") return outcome(syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, nullptr));
  if (what == "clone3") return outcome(syscall(SYS_clone3, nullptr, 0));
  if (what == "exec") return outcome(execl("/", "/", static_cast<char*>(nullptr)));
  if (what == "ptrace") return outcome(ptrace(PTRACE_ATTACH, 1, nullptr, nullptr));
  if (what == "kill") return outcome(kill(1, 0));
  if (what == "signal-another") return outcome(syscall(SYS_tgkill, getpid() + 1, getpid() + 1, 0));
  if (what == "pidfd") return outcome(syscall(SYS_pidfd_open, 1, 0));
  if (what == "read-another") return outcome(process_vm_readv(1, &vector, 1, &vector, 1, 0));
  if (what == "map-exec")
    return outcome(syscall(SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (what == "make-exec") return outcome(mprotect(nullptr, 4096, PROT_READ | PROT_EXEC));
  if (what == "memfd") return outcome(memfd_create("x", 0));
  if (what == "dup") return outcome(dup(kFile));
  if (what == "fcntl-dup") return outcome(fcntl(kFile, F_DUPFD, 0));
  if (what == "chmod") return outcome(fchmod(kFile, 0777));
  if (what == "terminal") return outcome(ioctl(0, TIOCSTI, "x"));
  if (what == "new-vm") return outcome(ioctl(kKvm, KVM_CREATE_VM, 0));
  if (what == "io-uring") return outcome(syscall(SYS_io_uring_setup, 1, nullptr));
  if (what == "bpf") return outcome(syscall(SYS_bpf, 0, nullptr, 0));
  if (what == "prctl") return outcome(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
  if (what == "limits") return outcome(syscall(SYS_prlimit64, 0, 7, nullptr, nullptr));
  if (what == "mount") return outcome(syscall(SYS_mount, nullptr, nullptr, nullptr, 0, nullptr));
  if (what == "unshare") return outcome(syscall(SYS_unshare, 0));
  if (what == "x32") return outcome(syscall(0x40000000 + SYS_getpid));
  if (what == "run") return outcome(ioctl(kKvm, KVM_RUN, 0));
  if (what == "reopen-disk") return outcome(open("./3", O_RDWR));
  if (what == "reopen-console") return outcome(open("./1", O_WRONLY));
  if (what == "share") return share_files();
  if (what == "write-disk") return outcome(pwrite(kFile, &byte, 1, 0));
  if (what == "send") return outcome(send(kFile, &byte, 1, 0));
  return "unknown";
}

std::string attempt(const std::string& what, const Guest& guest) {
  if (what == "allocate") return allocate();
  if (what == "run-guest") return run_guest(guest);
  if (what == "kick") return outcome(syscall(SYS_tgkill, getpid(), gettid(), 0));
  if (what == "flush") return outcome(fdatasync(kFile));
  if (what == "give-back") return outcome(fallocate(kFile, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
  if (what == "event") return outcome(eventfd(0, EFD_CLOEXEC));
  if (what == "compat") {
    // getpid by the 32-bit entry: another architecture to the filter.
    long result = 20;
    asm volatile("int $0x80" : "+a"(result) : : "memory");
    return outcome(result);
  }
  return forbidden(what);
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) return 2;
  std::string name = words[1], what = words[2], result = "cannot enter the jail";
  ThreadRole role = name == "vcpu"    ? ThreadRole::vcpu
                    : name == "disk"  ? ThreadRole::disk
                    : name == "share" ? ThreadRole::share
                                      : ThreadRole::device;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  Guest guest;
  if (what == "run-guest" && !make_guest(guest)) return 3;
  auto enter_and_try = [&] {
    if (role == ThreadRole::share && (chdir("/proc/self/fd") < 0 || !msb::kvm::keep_own_descriptors({}))) return;
    if (msb::kvm::enter_jail(role)) result = attempt(what, guest);
    (void)!write(1, result.data(), result.size());
  };
  if (role == ThreadRole::share) return enter_and_try(), 0;
  std::thread(enter_and_try).join();
  return 0;
}
