#include "fence/fence_child.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "fence/fence_directories.h"
#include "fence/linux_abi.h"

namespace msb::fence {
namespace {

using Outcome = FenceOutcome;

Outcome stopped(FenceStep step, int detail = -1) {
  return {step, errno, detail};
}

bool wanted(const FenceScript& script, Wall wall) {
  return !(script.without & (1u << static_cast<unsigned>(wall)));
}

void send(const FenceScript& script, FenceMessage message) {
  [[maybe_unused]] auto ignored = ::write(script.report_pipe, &message, sizeof(message));
}

[[noreturn]] void give_up(const FenceScript& script, FenceStep step, int detail = -1) {
  send(script, {FenceMessage::fatal, 0, step, errno, detail});
  ::_exit(127);
}

bool report(const FenceScript& script, Wall wall, const Outcome& outcome) {
  // A file that is not there is the caller's mistake, not a host that grants less: no weaker fence for that.
  const bool missing = outcome.error == ENOENT || outcome.step == FenceStep::same_directory;
  if (missing && outcome.detail >= 0) {
    errno = outcome.error;
    give_up(script, outcome.step, outcome.detail);
  }
  bool up = outcome.step == FenceStep::none;
  send(script, {up ? FenceMessage::wall_up : FenceMessage::wall_down, static_cast<int32_t>(wall), outcome.step,
                outcome.error, outcome.detail});
  return up;
}

void require(const FenceScript& script, const Outcome& outcome) {
  if (outcome.step == FenceStep::none) return;
  errno = outcome.error;
  give_up(script, outcome.step, outcome.detail);
}

void die_with_parent(const FenceScript& script) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // getppid() says nothing in a new pid namespace. A parent that died before the prctl has a readable pidfd.
  pollfd parent{script.parent_pidfd, POLLIN, 0};
  if (script.parent_pidfd >= 0 && ::poll(&parent, 1, 0) != 0) ::_exit(127);
}

// Mounts a file system that is not there yet over a directory that every Linux has and no file of ours is in.
const char* mount_tmpfs(const FenceScript& script) {
  for (const char* place : {"/proc", "/sys", "/mnt", "/srv"})
    if (::mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, script.tmpfs_options.c_str()) == 0) return place;
  return nullptr;
}

// Kernels before 5.12 have no mount_setattr: each mount by itself, keeping the flags that a user namespace must keep.
bool seal_each(const FenceScript& script) {
  auto seal = [](const char* path) {
    struct statfs found{};
    if (::statfs(path, &found) < 0) return false;
    unsigned long keep =
        static_cast<unsigned long>(found.f_flags) & (MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RELATIME);
    return ::mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | keep, nullptr) ==
           0;
  };
  for (const auto& file : script.files)
    if (!seal(file.path)) return false;
  return seal("/");
}

// Nothing done here may spread to the host, nothing done there may appear here.
Outcome private_mounts() {
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ? stopped(FenceStep::private_mounts)
                                                                          : Outcome{};
}

Outcome empty_root(const FenceScript& script) {
  const char* place = mount_tmpfs(script);
  if (!place || ::chdir(place) < 0) return stopped(FenceStep::mount_root);
  for (const char* directory : script.parents)
    if (::mkdir(directory + 1, 0755) < 0 && errno != EEXIST) return stopped(FenceStep::make_directory);
  for (size_t i = 0; i < script.files.size(); ++i) {
    const char* path = script.files[i].path;
    int fd = ::open(path + 1, O_CREAT | O_WRONLY | O_CLOEXEC, 0444);
    if (fd < 0) return stopped(FenceStep::make_file, static_cast<int>(i));
    ::close(fd);
    if (::mount(path, path + 1, nullptr, MS_BIND, nullptr) < 0)
      return stopped(FenceStep::bind_file, static_cast<int>(i));
  }
  if (::syscall(SYS_pivot_root, ".", ".") == 0) {
    if (::umount2(".", MNT_DETACH) < 0) return stopped(FenceStep::change_root);
  } else if (::mount(".", "/", nullptr, MS_MOVE, nullptr) < 0 || ::chroot(".") < 0) {
    return stopped(FenceStep::change_root);  // the way when the host runs from its initramfs
  }
  if (::chdir("/") < 0) return stopped(FenceStep::change_root);
  abi::MountAttributes seal{abi::kMountAttrReadOnly | abi::kMountAttrNoSuid | abi::kMountAttrNoDev, 0, 0, 0};
  if (::syscall(abi::kSysMountSetattr, -1, "/", abi::kAtRecursive, &seal, sizeof(seal)) < 0 && !seal_each(script))
    return stopped(FenceStep::seal_root);
  return {};
}

Outcome make_empty_root(const FenceScript& script) {
  Outcome mounts = private_mounts();
  return mounts.step == FenceStep::none ? empty_root(script) : mounts;
}

Outcome drop_bounding_set() {
  for (int capability = 0; capability < 64; ++capability) {
    if (::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) != 1) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) return stopped(FenceStep::drop_bounding_set);
  }
  constexpr unsigned long kLocked = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                    SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  if (::prctl(PR_SET_SECUREBITS, kLocked, 0, 0, 0) < 0) return stopped(FenceStep::drop_bounding_set);
  return {};
}

Outcome drop_capabilities() {
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) < 0) return stopped(FenceStep::drop_capabilities);
  return {};
}

// What root can do to files of others: change their owner, pass by their modes, act as their owner.
constexpr uint32_t kOverFiles = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER;

// Ambient, they outlive the exec that takes all others. To be raised before the bounding set's locks.
Outcome raise_file_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct all[2] = {};
  if (::syscall(SYS_capget, &header, all) < 0) return stopped(FenceStep::keep_capabilities);
  all[0].inheritable |= kOverFiles;
  if (::syscall(SYS_capset, &header, all) < 0) return stopped(FenceStep::keep_capabilities);
  for (unsigned long capability : {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER})
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
      return stopped(FenceStep::keep_capabilities);
  return {};
}

Outcome drop_other_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct few[2] = {};
  few[0].effective = few[0].permitted = few[0].inheritable = kOverFiles;
  if (::syscall(SYS_capset, &header, few) < 0) return stopped(FenceStep::drop_capabilities);
  return {};
}

Outcome become(uint32_t id) {
  // The raw calls: those of the C library try to take the threads of the parent with them.
  if (::syscall(SYS_setgroups, 0, nullptr) < 0 || ::syscall(SYS_setresgid, id, id, id) < 0 ||
      ::syscall(SYS_setresuid, id, id, id) < 0)
    return stopped(FenceStep::set_user);
  return {};
}

Outcome limits(const FenceScript& script) {
  // Each file that a guest knows of is one, where the program serves directories.
  constexpr rlim_t kFew = 256, kMany = 1 << 20;
  struct Limit {
    decltype(RLIMIT_CORE) what;
    rlim_t value;
  };
  for (Limit limit : {Limit{RLIMIT_CORE, 0}, Limit{RLIMIT_NOFILE, script.directories.empty() ? kFew : kMany},
                      Limit{RLIMIT_MEMLOCK, 0}, Limit{RLIMIT_MSGQUEUE, 0}, Limit{RLIMIT_RTPRIO, 0}}) {
    rlimit now{};
    if (::getrlimit(limit.what, &now) < 0) return stopped(FenceStep::set_limit);
    const rlim_t value = now.rlim_max < limit.value ? now.rlim_max : limit.value;
    now = {value, value};
    if (::setrlimit(limit.what, &now) < 0) return stopped(FenceStep::set_limit);
  }
  return {};
}

Outcome landlock(const FenceScript& script) {
  long version = ::syscall(abi::kSysLandlockCreateRuleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return stopped(FenceStep::landlock_create);
  // The first version refuses every move from one directory to another, which a program that serves files must do.
  if (version < 2 && !script.directories.empty()) {
    errno = ENOSYS;
    return stopped(FenceStep::landlock_moves);
  }
  // Handled and never allowed = forbidden: creating, removing, writing, connecting, signalling others.
  abi::LandlockRuleset rules{abi::landlock_fs_rights(version), abi::kNetBindTcp | abi::kNetConnectTcp,
                             abi::kScopeAbstractSocket | abi::kScopeSignal};
  long ruleset = ::syscall(abi::kSysLandlockCreateRuleset, &rules, abi::landlock_ruleset_size(version), 0);
  if (ruleset < 0) return stopped(FenceStep::landlock_create);
  for (size_t i = 0; i < script.files.size(); ++i) {
    int fd = ::open(script.files[i].path, O_PATH | O_CLOEXEC);
    abi::LandlockPathRule rule{abi::kFsReadFile | (script.files[i].execute ? abi::kFsExecute : 0), fd};
    if (fd < 0 || ::syscall(abi::kSysLandlockAddRule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
      return stopped(FenceStep::landlock_rule, static_cast<int>(i));
    ::close(fd);
  }
  for (size_t i = 0; i < script.directories.size(); ++i) {
    constexpr uint64_t kRead = abi::kFsReadFile | abi::kFsReadDir;
    constexpr uint64_t kModify = kRead | abi::kFsWriteFile | abi::kFsTruncate | abi::kFsMakeRegular | abi::kFsMakeDir |
                                 abi::kFsMakeSymlink | abi::kFsRemoveFile | abi::kFsRemoveDir | abi::kFsRefer;
    const FenceScript::Directory& directory = script.directories[i];
    abi::LandlockPathRule rule{(directory.modify ? kModify : kRead) & rules.fs, directory.fd};
    if (::syscall(abi::kSysLandlockAddRule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
      return stopped(FenceStep::landlock_rule, static_cast<int>(script.files.size() + i));
  }
  if (script.descriptors >= 0) {
    // To look through its own descriptors; what they lead to has rules of its own.
    abi::LandlockPathRule rule{abi::kFsReadDir, script.descriptors};
    if (::syscall(abi::kSysLandlockAddRule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
      return stopped(FenceStep::landlock_rule);
  }
  if (::syscall(abi::kSysLandlockRestrictSelf, ruleset, 0) < 0) return stopped(FenceStep::landlock_restrict);
  ::close(static_cast<int>(ruleset));
  return {};
}

Outcome seccomp(const FenceScript& script) {
  for (const auto* filter : {&script.seccomp.arguments, &script.seccomp.calls}) {
    if (filter->empty()) continue;
    sock_fprog program{static_cast<unsigned short>(filter->size()), const_cast<sock_filter*>(filter->data())};
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0) return stopped(FenceStep::seccomp_load);
  }
  return {};
}

// What the host program left open without close-on-exec is not ours to pass on.
void close_all_on_exec() {
  constexpr unsigned kCloseRangeCloexec = 4;
  if (::syscall(abi::kSysCloseRange, 3u, ~0u, kCloseRangeCloexec) == 0) return;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  for (int fd = 3; fd < static_cast<int>(limit.rlim_cur < 65536 ? limit.rlim_cur : 65536); ++fd)
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

// Puts the descriptors in place; all others close on exec. Our own three move out of the way first.
void arrange_descriptors(FenceScript& script) {
  close_all_on_exec();
  int highest = 2;
  for (const auto& [ours, theirs] : script.fds) highest = theirs > highest ? theirs : highest;
  for (const auto& directory : script.directories) highest = directory.fd > highest ? directory.fd : highest;
  script.report_pipe = ::fcntl(script.report_pipe, F_DUPFD_CLOEXEC, highest + 1);
  if (script.parent_pidfd >= 0) script.parent_pidfd = ::fcntl(script.parent_pidfd, F_DUPFD_CLOEXEC, highest + 1);
  for (auto& directory : script.directories) directory.ours = ::fcntl(directory.ours, F_DUPFD_CLOEXEC, highest + 1);
  for (size_t i = 0; i < script.fds.size(); ++i)
    script.scratch[i] = ::fcntl(script.fds[i].first, F_DUPFD_CLOEXEC, highest + 1);
  for (size_t i = 0; i < script.fds.size(); ++i)
    if (script.scratch[i] < 0 || ::dup2(script.scratch[i], script.fds[i].second) < 0)
      give_up(script, FenceStep::descriptors);
}

void reset_signals() {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

void run_fence_child(const FenceScript& given) {
  // This process has its own copy of the parent's memory: writing to the script is writing to that copy.
  auto& script = const_cast<FenceScript&>(given);
  die_with_parent(script);
  FenceGo go{};
  if (::read(script.go_pipe, &go, 1) != 1) ::_exit(127);
  reset_signals();
  arrange_descriptors(script);
  ::umask(0022);

  // Where the host's names still mean something; what is opened outlives the root.
  if (!script.directories.empty()) {
    Outcome mounts =
        script.clone_flags & CLONE_NEWNS ? private_mounts() : FenceOutcome{FenceStep::private_mounts, EPERM};
    if (mounts.step == FenceStep::none) mounts = detach_directories(script);
    if (!report(script, Wall::share_mounts, mounts)) require(script, open_directories(script));
  }
  bool root_is_empty = wanted(script, Wall::empty_root) && (script.clone_flags & CLONE_NEWNS) &&
                       report(script, Wall::empty_root, make_empty_root(script));
  if (script.descriptors >= 0 && ::fchdir(script.descriptors) < 0) give_up(script, FenceStep::enter_descriptors);
  if (wanted(script, Wall::limits)) report(script, Wall::limits, limits(script));

  bool capabilities = wanted(script, Wall::no_capabilities);
  const bool over_files = go == FenceGo::file_owner;
  if (capabilities && over_files) require(script, raise_file_capabilities());
  Outcome bounding = capabilities ? drop_bounding_set() : Outcome{};
  // Outside an empty root another user could not reach files in the caller's private directories.
  if (go == FenceGo::unprivileged && root_is_empty) report(script, Wall::unprivileged_user, become(script.outer_id));
  if (capabilities && over_files) {
    require(script, drop_other_capabilities());
  } else if (capabilities) {
    Outcome dropped = drop_capabilities();
    // Somebody who never had CAP_SETPCAP cannot shrink the bounding set; no_new_privs makes it void.
    bool enough = bounding.step == FenceStep::none || bounding.error == EPERM;
    report(script, Wall::no_capabilities, dropped.step != FenceStep::none || enough ? dropped : bounding);
  }
  if (wanted(script, Wall::no_new_privileges))
    report(script, Wall::no_new_privileges,
           ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? Outcome{} : stopped(FenceStep::no_new_privileges));
  die_with_parent(script);  // changing the user forgot it
  if (wanted(script, Wall::landlock)) report(script, Wall::landlock, landlock(script));
  // This copy of the parent may be larger by far; the program starts afresh.
  if (wanted(script, Wall::limits) && script.address_space != 0) {
    rlimit bound{script.address_space, script.address_space};
    if (::setrlimit(RLIMIT_AS, &bound) < 0) give_up(script, FenceStep::set_limit);
  }
  if (wanted(script, Wall::seccomp)) report(script, Wall::seccomp, seccomp(script));
  ::execve(script.argv[0], script.argv.data(), script.env.data());
  give_up(script, FenceStep::execute);
}

}  // namespace msb::fence
