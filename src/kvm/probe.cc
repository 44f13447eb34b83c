#include "kvm/probe.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <utility>

#include "base/cat.h"
#include "base/fd.h"
#include "kvm/probe_machine.h"
#include "kvm/requirements.h"

namespace msb::kvm {
namespace {

using State = Verdict::State;

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
            cat("see `dmesg` for KVM's own words",
                options.cache_file.empty() ? "" : cat("; to have it tried again: `rm ", options.cache_file, "`"))};
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
  for (State state : {State::works, State::too_old, State::no_hardware})
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

Verdict probe(const ProbeOptions& options) {
  auto kvm = open_file(options.device, O_RDWR);
  if (!kvm) return explain_refusal(options.device, kvm.error().errnum());
  std::string about = identity(options, kvm->get());
  bool remember = !options.cache_file.empty() && !about.empty();
  if (remember)
    if (auto known = read_verdict(options.cache_file, about)) return std::move(*known);
  Verdict verdict = judge(kvm->get(), options);
  // A machine that did not run now, on a host that is busy or short of memory, may run the next time. A verdict that
  // cannot be written is found again, too.
  if (remember && verdict.state != State::broken) (void)write_verdict(options.cache_file, about, verdict);
  return verdict;
}

}  // namespace msb::kvm
