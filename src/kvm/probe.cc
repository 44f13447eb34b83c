#include "kvm/probe.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "base/cat.h"
#include "base/fd.h"
#include "base/mmap.h"
#include "kvm/ioctl.h"
#include "kvm/requirements.h"

namespace msb::kvm {
namespace {

using State = Verdict::State;

// Real mode at 0x1000: adds 1..100 in memory, says both bytes of the sum on port 0xe9, halts.
constexpr uint64_t kCodeAddress = 0x1000;
constexpr uint16_t kPort = 0xe9, kSum = 5050;
constexpr std::array<uint8_t, 34> kCode = {
    0x31, 0xc0,                     // xor ax, ax
    0xa3, 0x00,  0x20,              // mov [0x2000], ax
    0xb9, 0x64,  0x00,              // mov cx, 100
    0x01, 0x0e,  0x00, 0x20,        // again: add [0x2000], cx
    0xe2, 0xfa,                     // loop again
    0xa1, 0x00,  0x20,              // mov ax, [0x2000]
    0xba, kPort, 0x00,              // mov dx, port
    0xee,                           // out dx, al
    0x88, 0xe0,                     // mov al, ah
    0xee,                           // out dx, al
    0xf4,                           // hlt
    0xeb, 0xfd,                     // jmp hlt
    0x90, 0x90,  0x90, 0x90, 0x90,  //
};
constexpr size_t kMemory = 0x4000;
constexpr int kMaxExits = 16;  // two for the port, one for the halt, and some that mean "again"

Result<> enter_real_mode(int vcpu) {
  kvm_sregs special{};
  MSB_CHECK(request(vcpu, KVM_GET_SREGS, &special, "read the processor's state"));
  special.cs.base = 0;
  special.cs.selector = 0;
  MSB_CHECK(request(vcpu, KVM_SET_SREGS, &special, "set the processor's state"));
  kvm_regs registers{};
  registers.rip = kCodeAddress;
  registers.rflags = 2;  // the bit that is always set
  MSB_CHECK(request(vcpu, KVM_SET_REGS, &registers, "set the processor's registers"));
  return {};
}

std::string group_of(const struct stat& status) {
  group entry{};
  group* found = nullptr;
  char buffer[4096];
  if (::getgrgid_r(status.st_gid, &entry, buffer, sizeof(buffer), &found) == 0 && found) return found->gr_name;
  return cat(status.st_gid);
}

Verdict explain_no_permission(const std::string& device) {
  struct stat status{};
  bool for_group = ::stat(device.c_str(), &status) == 0 && (status.st_mode & 0060) == 0060 && status.st_gid != 0;
  if (!for_group)
    return {State::no_permission, cat(device, " exists, but this user may not open it"),
            cat("nobody but root may: `sudo chgrp kvm ", device, " && sudo chmod 660 ", device,
                " && sudo usermod -aG kvm $USER`, then log in again")};
  std::string group = group_of(status);
  return {State::no_permission, cat(device, " is for the group ", group, ", which this user is not in"),
          cat("join the group: `sudo usermod -aG ", group, " $USER`, then log in again")};
}

Verdict explain_refusal(const std::string& device, int error) {
  constexpr std::string_view kAdvice =
      "switch virtualisation on in the firmware (in a virtual machine: nested virtualisation in its host), and load "
      "the module: `sudo modprobe kvm_intel` or `sudo modprobe kvm_amd`";
  switch (error) {
    case EACCES:
    case EPERM:
      return explain_no_permission(device);
    case ENOENT:
      return {State::missing, cat("there is no ", device), std::string(kAdvice)};
    case ENXIO:
    case ENODEV:
      return {State::missing, cat("nothing in the kernel stands behind ", device), std::string(kAdvice)};
    default:
      return {State::broken, Error::from_errno(error, cat("open ", device)).to_string(), "see `dmesg`"};
  }
}

Verdict judge(int kvm, const ProbeOptions& options) {
  if (auto checked = check_kvm_interface(kvm); !checked)
    return {State::too_old, checked.error().to_string(), "run a newer Linux kernel: 5.10 or later"};
  auto cpuinfo = read_file(options.cpuinfo);
  std::string flag = cpuinfo ? virtualisation_flag(*cpuinfo) : "";
  if (flag.empty())
    return {State::no_hardware,
            cat("KVM without hardware virtualisation: ", options.device,
                " opens, but no processor has the flag vmx or svm"),
            "in a virtual machine, switch on nested virtualisation in its host"};
  if (auto ran = run_probe_machine(kvm); !ran)
    return {State::broken, cat("the probe machine did not run: ", ran.error().to_string()),
            "see `dmesg` for KVM's own words"};
  return {State::works, cat("a probe machine ran with hardware virtualisation (", flag, ")"), ""};
}

// Which device on which boot the verdict is about.
std::string identity(const ProbeOptions& options, int kvm) {
  struct stat status{};
  auto boot = read_file(options.boot_id);
  if (!boot || boot->empty() || ::fstat(kvm, &status) < 0) return "";
  boot->resize(std::min(boot->find('\n'), boot->size()));
  return cat(*boot, " ", options.device, " ", major(status.st_rdev), ":", minor(status.st_rdev), " ", status.st_dev,
             ":", status.st_ino, " ", MSB_VERSION);
}

// The memory of past verdicts: four lines.
std::optional<Verdict> read_verdict(const std::string& path, std::string_view about) {
  auto text = read_file(path, 4096);
  if (!text) return std::nullopt;
  std::array<std::string, 4> lines;
  std::string_view rest = *text;
  for (auto& line : lines) {
    size_t end = rest.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
  }
  if (lines[0] != about) return std::nullopt;
  for (State state : {State::works, State::too_old, State::no_hardware, State::broken})
    if (lines[1] == state_name(state)) return Verdict{state, std::move(lines[2]), std::move(lines[3])};
  return std::nullopt;
}

Result<> write_verdict(const std::string& path, std::string_view about, const Verdict& verdict) {
  return write_file_atomic(
      path, cat(about, "\n", state_name(verdict.state), "\n", verdict.detail, "\n", verdict.advice, "\n"));
}

}  // namespace

Error Verdict::to_error() const {
  Error error(ErrorKind::unsupported, cat("this host cannot run the kvm machine: ", detail));
  if (!advice.empty()) error.hint(advice);
  return error.hint("or leave the choice to msb (--machine auto), or take --machine portable"), error;
}

std::string_view state_name(State state) {
  switch (state) {
    case State::works:
      return "works";
    case State::missing:
      return "missing";
    case State::no_permission:
      return "no-permission";
    case State::too_old:
      return "too-old";
    case State::no_hardware:
      return "no-hardware";
    case State::broken:
      return "broken";
  }
  return "broken";
}

std::string virtualisation_flag(std::string_view cpuinfo) {
  size_t start = cpuinfo.starts_with("flags") ? 0 : cpuinfo.find("\nflags");
  if (start == std::string_view::npos) return "";
  std::string line = cat(cpuinfo.substr(start, cpuinfo.find('\n', start + 1) - start), " ");
  for (const char* flag : {"vmx", "svm"})
    if (line.find(cat(" ", flag, " ")) != std::string::npos) return flag;
  return "";
}

Result<> check_kvm_interface(int kvm) {
  int version = ::ioctl(kvm, KVM_GET_API_VERSION, 0);
  if (version < 0) return fail(ErrorKind::unsupported, "the device does not answer as KVM does");
  if (version != KVM_API_VERSION)
    return fail(ErrorKind::unsupported, cat("KVM's interface has version ", version, " instead of ", KVM_API_VERSION));
  auto lacking = lacking_requirements([&](int extension) { return ::ioctl(kvm, KVM_CHECK_EXTENSION, extension) > 0; });
  if (!lacking.empty()) return fail(ErrorKind::unsupported, cat("the kernel's KVM lacks ", lacking));
  return {};
}

Result<> run_probe_machine(int kvm) {
  MSB_TRY(int vm_fd, request(kvm, KVM_CREATE_VM, uintptr_t{0}, "create a virtual machine"));
  Fd vm(vm_fd);
  MSB_TRY(Mmap memory, Mmap::anonymous(kMemory));
  std::memcpy(memory.data() + kCodeAddress, kCode.data(), kCode.size());
  kvm_userspace_memory_region region{0, 0, 0, kMemory, reinterpret_cast<uint64_t>(memory.data())};
  MSB_CHECK(request(vm.get(), KVM_SET_USER_MEMORY_REGION, &region, "give the machine its memory"));
  MSB_TRY(int vcpu_fd, request(vm.get(), KVM_CREATE_VCPU, uintptr_t{0}, "create a processor"));
  Fd vcpu(vcpu_fd);
  MSB_TRY(int run_size,
          request(kvm, KVM_GET_VCPU_MMAP_SIZE, uintptr_t{0}, "ask for the size of the processor's window"));
  if (static_cast<size_t>(run_size) < sizeof(kvm_run))
    return fail(ErrorKind::runtime, "the processor's window is too small");
  MSB_TRY(Mmap window, Mmap::shared(vcpu.get(), static_cast<size_t>(run_size)));
  auto* run = reinterpret_cast<kvm_run*>(window.data());
  MSB_CHECK(enter_real_mode(vcpu.get()));

  std::string said;
  for (int exits = 0; exits < kMaxExits; ++exits) {
    MSB_CHECK(request(vcpu.get(), KVM_RUN, uintptr_t{0}, "run the processor"));
    if (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT && run->io.port == kPort &&
        run->io.size == 1 && run->io.count == 1 && run->io.data_offset < window.size()) {
      said.push_back(static_cast<char>(window.data()[run->io.data_offset]));
    } else if (run->exit_reason == KVM_EXIT_HLT) {
      bool right = said.size() == 2 && static_cast<uint8_t>(said[0]) == kSum % 256 &&
                   static_cast<uint8_t>(said[1]) == kSum / 256;
      if (right) return {};
      return fail(ErrorKind::runtime, "the guest computed something else");
    } else if (run->exit_reason != KVM_EXIT_INTR) {
      return fail(ErrorKind::runtime, cat("the processor stopped with exit reason ", run->exit_reason));
    }
  }
  return fail(ErrorKind::runtime, "the guest did not halt");
}

Verdict probe(const ProbeOptions& options) {
  auto kvm = open_file(options.device, O_RDWR);
  if (!kvm) return explain_refusal(options.device, kvm.error().errnum());
  std::string about = identity(options, kvm->get());
  bool remember = !options.cache_file.empty() && !about.empty();
  if (remember)
    if (auto known = read_verdict(options.cache_file, about)) return std::move(*known);
  Verdict verdict = judge(kvm->get(), options);
  // A verdict that cannot be written is found again next time.
  if (remember) (void)write_verdict(options.cache_file, about, verdict);
  return verdict;
}

}  // namespace msb::kvm
