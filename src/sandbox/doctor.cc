// What this host can do: one check after another, each with what to do about it.
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <optional>

#include "base/temp_dir.h"
#include "base/units.h"
#include "fence/cgroup.h"
#include "kvm/kvm_process.h"
#include "kvm/probe.h"
#include "qemu/discovery.h"
#include "qemu/portable_machine.h"
#include "sandbox/launch.h"
#include "sandbox/msb_path.h"
#include "sandbox/store.h"
#include "state/runtime_files.h"
#include "wire/messages.h"

namespace msb {
namespace {

using Verdict = DoctorCheck::Verdict;

constexpr uint64_t kLittleSpace = 2 * kGiB;
constexpr uint64_t kNoSpace = 256 * kMiB;
constexpr std::chrono::seconds kProbeTime{60};

DoctorCheck failed(std::string name, const Error& error) {
  return {std::move(name), Verdict::failure, error.to_string(), error.hints().empty() ? "" : error.hints().front()};
}

// KVM is never needed: without it sandboxes run on the portable machine, which is slower.
DoctorCheck check_kvm(const kvm::Verdict& verdict) {
  DoctorCheck check{"kvm", Verdict::ok, verdict.detail, verdict.advice};
  check.detail += verdict.works() ? "; sandboxes use the kvm machine" : "; sandboxes use the portable machine";
  using State = kvm::Verdict::State;
  // These have a cure on this host. A host without virtualisation is all right as it is.
  if (verdict.state == State::no_permission || verdict.state == State::too_old || verdict.state == State::broken)
    check.verdict = Verdict::warning;
  return check;
}

DoctorCheck check_qemu(const state::Home& home) {
  auto survey = qemu::survey_qemu({.cache_file = home.qemu_probe(), .extra_dirs = {home.path() + "/qemu/bin"}});
  if (!survey) {
    DoctorCheck check = failed("qemu", survey.error());
    check.advice += cat(check.advice.empty() ? "" : " ", "QEMU comes with `sudo apt-get install qemu-system-x86`");
    return check;
  }
  if (survey->usable.empty()) {
    DoctorCheck check{"qemu", Verdict::failure, "no usable QEMU was found",
                      "install it: `sudo apt-get install qemu-system-x86`"};
    for (const auto& rejected : survey->rejected) check.detail += cat("; ", rejected.path, ": ", rejected.reason);
    return check;
  }
  const auto& best = survey->usable.front();
  DoctorCheck check{"qemu", Verdict::ok, cat(best.version.to_string(), " at ", best.binary.path), ""};
  if (!best.is_recommended()) {
    check.verdict = Verdict::warning;
    check.advice = cat("it works; ", qemu::kRecommendedQemu.to_string(),
                       " or newer starts processes in the guest about 8 times faster (bookworm-backports has it)");
  }
  return check;
}

DoctorCheck check_namespaces() {
  DoctorCheck check{"namespaces", Verdict::ok, "user namespaces are available", ""};
  auto is_zero = [](const char* path, char refused) {
    auto text = read_file(path);
    return text && !text->empty() && (*text)[0] == refused;
  };
  std::string problem;
  if (is_zero("/proc/sys/user/max_user_namespaces", '0')) problem = "user.max_user_namespaces is 0";
  if (::geteuid() != 0 && is_zero("/proc/sys/kernel/unprivileged_userns_clone", '0'))
    problem = "kernel.unprivileged_userns_clone is 0";
  if (::geteuid() != 0 && is_zero("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1'))
    problem = "kernel.apparmor_restrict_unprivileged_userns is 1";
  if (problem.empty()) return check;
  check.verdict = Verdict::warning;
  check.detail = cat("user namespaces are not available (", problem, "): the fence has fewer walls");
  check.advice = cat("an administrator can change that with sysctl: ", problem.substr(0, problem.find(' ')));
  return check;
}

DoctorCheck check_landlock() {
  long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version > 0) return {"landlock", Verdict::ok, cat("ABI ", version), ""};
  return {"landlock", Verdict::warning, "the kernel has no Landlock: that wall of the fence is missing",
          "Linux 5.13 or newer with lsm=landlock has it"};
}

DoctorCheck check_seccomp() {
  auto actions = read_file("/proc/sys/kernel/seccomp/actions_avail");
  if (actions && actions->find("kill_process") != std::string::npos)
    return {"seccomp", Verdict::ok, "system call filters are available", ""};
  return {"seccomp", Verdict::warning, "the kernel has no system call filters: that wall of the fence is missing",
          "a kernel with CONFIG_SECCOMP_FILTER has them"};
}

// All walls round the program that will run sandboxes, tried with the real thing. Nothing when there is no such
// program, which has a line of its own.
std::optional<Result<fence::WallReports>> try_walls(const state::Home& home, bool kvm) {
  if (kvm)
    if (auto files = state::runtime_files(home); files && !files->kvm.empty()) return kvm::probe_walls(files->kvm);
  auto program = qemu::find_qemu({.cache_file = home.qemu_probe(), .extra_dirs = {home.path() + "/qemu/bin"}});
  if (!program) return std::nullopt;
  return qemu::probe_walls(*program);
}

// The walls; then what is missing on this host for those that are down.
void check_fence(const state::Home& home, bool kvm, std::vector<DoctorCheck>& checks) {
  DoctorCheck check{"fence", Verdict::ok, "", ""};
  if (auto tried = try_walls(home, kvm)) {
    auto& walls = *tried;
    if (!walls) return checks.push_back(failed("fence", walls.error()));
    size_t up = 0;
    for (const auto& report : *walls) {
      up += report.up ? 1 : 0;
      if (!report.up) check.detail += cat("; no ", fence::wall_name(report.wall), " (", report.reason, ")");
    }
    if (up < walls->size()) {
      check.verdict = Verdict::warning;
      check.advice = "sandboxes run with the others; `msb inspect` shows the walls of each";
    }
    check.detail = cat(up, " of ", walls->size(), " walls between the program that runs a guest and this host are up",
                       check.detail);
    checks.push_back(std::move(check));
  }
  for (auto& reason : {check_namespaces(), check_seccomp(), check_landlock()})
    if (reason.verdict != Verdict::ok) checks.push_back(reason);
}

// Most hosts delegate none, and the other walls hold without it: no reason to warn.
DoctorCheck check_cgroup() {
  auto own = fence::own_cgroup();
  auto made = !own ? Result<fence::Cgroup>(fail(std::move(own).error()))
                   : fence::Cgroup::create(*own, cat("msb-doctor-", ::getpid()), {kGiB, 64}, {});
  if (made) return {"cgroup", Verdict::ok, "control groups bound the memory and threads of each sandbox", ""};
  return {"cgroup", Verdict::ok,
          cat("no control group bounds a sandbox's memory and threads: ", made.error().message()), ""};
}

DoctorCheck check_space(const state::Home& home) {
  if (auto made = home.make_dir(home.path()); !made) return failed("home", made.error());
  if (::access(home.path().c_str(), W_OK) < 0)
    return {"home", Verdict::failure, cat(home.path(), " cannot be written"), "set MSB_HOME to a folder of yours"};
  struct statvfs status;
  if (::statvfs(home.path().c_str(), &status) < 0) return failed("home", Error::from_errno(errno, home.path()));
  uint64_t free = uint64_t{status.f_bavail} * status.f_frsize;
  DoctorCheck check{"home", Verdict::ok, cat(home.path(), ", ", format_size(free), " free"), ""};
  if (free < kLittleSpace) {
    check.verdict = free < kNoSpace ? Verdict::failure : Verdict::warning;
    check.advice = "free some space (`msb image prune`), or set MSB_HOME to another disk";
  }
  return check;
}

DoctorCheck check_runtime(const state::Home& home) {
  if (state::has_embedded_runtime() || ::getenv("MSB_KERNEL_PATH")) {
    auto files = state::runtime_files(home);
    if (!files) return failed("runtime", files.error());
    return {"runtime", Verdict::ok, cat("kernel and initramfs in ", files->kernel.substr(0, files->kernel.rfind('/'))),
            ""};
  }
  auto program = find_msb();
  if (!program) return failed("runtime", program.error());
  return {"runtime", Verdict::ok, cat("carried by ", *program), ""};
}

DoctorCheck check_mke2fs() {
  for (const char* path : {"/usr/sbin/mke2fs", "/sbin/mke2fs", "/usr/bin/mke2fs", "/usr/local/sbin/mke2fs"})
    if (::access(path, X_OK) == 0) return {"mke2fs", Verdict::ok, path, ""};
  return {"mke2fs", Verdict::failure, "mke2fs, which makes root disks, was not found",
          "install it: `sudo apt-get install e2fsprogs`"};
}

// A machine without disks, under a name of its own: its guest comes up as far as it can, which is the proof.
Result<std::string> boot_probe(Store& store) {
  std::string name = "doctor-" + generate_sandbox_name();
  MSB_TRY(auto lock, state::try_lock_sandbox(store.home, name));
  if (!lock) return fail(ErrorKind::internal, "the probe's name is taken");
  state::LaunchConfig config;
  config.name = name;
  config.id = name;
  config.home = store.home.path();
  config.machine.memory_mib = 128;
  config.machine_choice = "auto";
  wire::Bootstrap bootstrap;
  bootstrap.root.lower = "/dev/vda";
  config.bootstrap = wire::encode(bootstrap);
  config.attached = true;
  config.ephemeral = true;
  config.boot_deadline_ms = std::chrono::milliseconds(kProbeTime).count();
  MSB_CHECK(store.home.make_dir(store.home.sandbox_logs_dir(name)));
  auto begin = Clock::now();
  auto process = launch(config, *lock, store.home.runtime_log(name), [](pid_t) {});
  auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
  if (process) (void)kill_process(process->pidfd.get(), deadline_after(std::chrono::seconds(5)));
  (void)state::remove_sandbox(store.home, store.database, name);
  // "No root file system" is said by the agent: kernel, console, agent and everything before them work.
  const BootFailure* failure = process ? nullptr : process.error().detail_as<BootFailure>();
  if (process || (failure && failure->stage == "mount"))
    return cat("a machine boots to its agent in ", format_duration(took));
  return fail(std::move(process).error());
}

DoctorCheck check_probe() {
  auto store = Store::open();
  if (!store) return failed("probe", store.error());
  (void)state::sweep_leftovers(store->home, store->database);
  auto words = boot_probe(*store);
  if (!words) {
    DoctorCheck check = failed("probe", words.error());
    if (const auto* failure = words.error().detail_as<BootFailure>(); failure && !failure->kernel_lines.empty())
      check.detail += cat("; the guest's last line: ", failure->kernel_lines.back());
    return check;
  }
  return {"probe", Verdict::ok, std::move(*words), ""};
}

}  // namespace

Result<std::vector<DoctorCheck>> doctor(bool probe) {
  MSB_TRY(auto home, state::Home::resolve());
  kvm::Verdict kvm = kvm::probe({.cache_file = home.kvm_probe()});
  std::vector<DoctorCheck> checks{check_space(home), check_kvm(kvm), check_qemu(home)};
  // Without QEMU there is no portable machine; with KVM nobody misses it.
  if (kvm.works() && checks.back().verdict == Verdict::failure) checks.back().verdict = Verdict::warning;
  check_fence(home, kvm.works(), checks);
  checks.push_back(check_cgroup());
  checks.push_back(check_mke2fs());
  checks.push_back(check_runtime(home));
  if (probe) checks.push_back(check_probe());
  return checks;
}

}  // namespace msb
