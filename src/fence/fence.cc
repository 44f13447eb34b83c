#include "fence/fence.h"

#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <sstream>

#include "fence/fence_child.h"
#include "fence/linux_abi.h"

namespace msb::fence {
namespace {

struct NamespaceWall {
  Wall wall;
  uint64_t flag;
};
constexpr NamespaceWall kNamespaces[] = {
    {Wall::user_namespace, CLONE_NEWUSER},     {Wall::pid_namespace, CLONE_NEWPID}, {Wall::empty_root, CLONE_NEWNS},
    {Wall::network_namespace, CLONE_NEWNET},   {Wall::ipc_namespace, CLONE_NEWIPC}, {Wall::uts_namespace, CLONE_NEWUTS},
    {Wall::cgroup_namespace, CLONE_NEWCGROUP},
};

std::string_view step_text(FenceStep step) {
  switch (step) {
    case FenceStep::none:
      return "";
    case FenceStep::private_mounts:
      return "make the mounts private";
    case FenceStep::mount_root:
      return "mount an empty root";
    case FenceStep::make_directory:
      return "make a directory in the empty root";
    case FenceStep::make_file:
      return "make a file in the empty root";
    case FenceStep::bind_file:
      return "bind a file into the empty root";
    case FenceStep::change_root:
      return "change the root";
    case FenceStep::seal_root:
      return "make the root read-only";
    case FenceStep::drop_bounding_set:
      return "empty the capability bounding set";
    case FenceStep::drop_capabilities:
      return "drop the capabilities";
    case FenceStep::set_user:
      return "change to an unprivileged user";
    case FenceStep::no_new_privileges:
      return "set no_new_privs";
    case FenceStep::set_limit:
      return "set a resource limit";
    case FenceStep::landlock_create:
      return "create a Landlock rule set (is it in this kernel, and enabled?)";
    case FenceStep::landlock_rule:
      return "add a Landlock rule";
    case FenceStep::landlock_restrict:
      return "enforce the Landlock rules";
    case FenceStep::seccomp_load:
      return "load the seccomp filter";
    case FenceStep::descriptors:
      return "arrange descriptors";
    case FenceStep::execute:
      return "execute the program";
    case FenceStep::detach_directory:
      return "give a directory a mount of its own";
    case FenceStep::same_directory:
      return "find the directory where it was a moment ago";
    case FenceStep::seal_directory:
      return "seal the mount of a directory";
    case FenceStep::open_directory:
      return "open a directory";
    case FenceStep::enter_descriptors:
      return "enter /proc/self/fd";
    case FenceStep::keep_capabilities:
      return "keep the capabilities over files";
    case FenceStep::landlock_moves:
      return "use a Landlock that can allow moving files (Linux 5.19)";
  }
  return "";
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const auto& text : strings) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

std::set<std::string> parent_directories(const std::vector<FenceFile>& files) {
  std::set<std::string> found;  // sorted, so parents come first
  for (const auto& file : files)
    for (size_t slash = file.path.find('/', 1); slash != std::string::npos; slash = file.path.find('/', slash + 1))
      found.insert(file.path.substr(0, slash));
  return found;
}

// Raw clone: unlike fork() it takes the namespace flags, and glibc's fork handlers must not run.
pid_t raw_clone(uint64_t flags) {
  return static_cast<pid_t>(::syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0));
}

// The same into a control group. ENOSYS before Linux 5.7.
pid_t raw_clone_into(uint64_t flags, int cgroup) {
  abi::CloneArguments arguments{};
  arguments.flags = flags | abi::kCloneIntoCgroup;
  arguments.exit_signal = SIGCHLD;
  arguments.cgroup = static_cast<uint64_t>(cgroup);
  return static_cast<pid_t>(::syscall(abi::kSysClone3, &arguments, sizeof(arguments)));
}

// 0 when a child with these namespaces can be made, else errno.
int try_namespaces(uint64_t flags) {
  pid_t pid = raw_clone(flags);
  if (pid == 0) ::_exit(0);
  if (pid < 0) return errno;
  if (auto child = Child::adopt(pid)) (void)child->wait();
  return 0;
}

Result<> write_once(const std::string& path, std::string_view text) {
  MSB_TRY(Fd file, open_file(path, O_WRONLY));
  return write_full(file.get(), as_bytes(text));
}

// As root, a user id of the host that belongs to nobody and to no other running sandbox: derived from our process id.
// As anybody else, the caller's own id is the only one the kernel lets us map.
uint32_t unprivileged_id() {
  return 0x70000000u + static_cast<uint32_t>(::getpid());
}

bool readable_by_all(const std::vector<FenceFile>& files) {
  return std::all_of(files.begin(), files.end(), [](const FenceFile& file) {
    struct stat found{};
    return ::stat(file.path.c_str(), &found) == 0 && (found.st_mode & S_IROTH);
  });
}

struct Mapped {
  FenceGo go = FenceGo::as_is;
  std::string why_same_user;  // root only: why the program does not run as another user
};

// Each user (or group) id that this process knows of as itself.
Result<std::string> every_id(const char* map) {
  MSB_TRY(Fd file, open_file(map));
  MSB_TRY(Bytes bytes, read_all(file.get(), 65536));
  std::istringstream lines{std::string(as_text(bytes))};
  std::string same;
  for (uint64_t inside = 0, outside = 0, count = 0; lines >> inside >> outside >> count;)
    same += cat(inside, " ", inside, " ", count, "\n");
  return same;
}

// Root shares directories: files of every owner are to be its own, as without a sandbox.
Result<> map_every_id(const std::string& proc) {
  MSB_TRY(std::string users, every_id("/proc/self/uid_map"));
  MSB_TRY(std::string groups, every_id("/proc/self/gid_map"));
  MSB_CHECK_CTX(write_once(proc + "/uid_map", users), "map the user ids");
  MSB_CHECK_CTX(write_once(proc + "/gid_map", groups), "map the group ids");
  return {};
}

constexpr const char* kWhyRoot = "it works in directories that root has given it";

Result<Mapped> map_ids(pid_t pid, const FencedCommand& command, uint32_t outer_id) {
  std::string proc = cat("/proc/", pid);
  auto identity = [](uint32_t id) { return cat(id, " ", id, " 1\n"); };
  Mapped mapped;
  if (::geteuid() == 0 && !command.directories.empty()) {
    mapped = {FenceGo::file_owner, kWhyRoot};
    MSB_CHECK(map_every_id(proc));
    return mapped;
  }
  if (::geteuid() == 0) {
    bool asked =
        std::find(command.without.begin(), command.without.end(), Wall::unprivileged_user) == command.without.end();
    if (!asked)
      mapped.why_same_user = "switched off";
    else if (!readable_by_all(command.files))
      mapped.why_same_user = "a file it needs is readable by root only";
    if (mapped.why_same_user.empty()) {
      std::string both = identity(0) + identity(outer_id);
      auto written = write_once(proc + "/uid_map", both);
      if (written) written = write_once(proc + "/gid_map", both);
      if (written) return mapped.go = FenceGo::unprivileged, mapped;
      mapped.why_same_user = cat("map the user id ", outer_id, ": ", written.error().message());
    }
  }
  MSB_CHECK_CTX(write_once(proc + "/setgroups", "deny"), "map the group id");
  MSB_CHECK_CTX(write_once(proc + "/uid_map", identity(::geteuid())), "map the user id");
  MSB_CHECK_CTX(write_once(proc + "/gid_map", identity(::getegid())), "map the group id");
  return mapped;
}

class Fencing {
 public:
  explicit Fencing(const FencedCommand& command) : command_(command), parents_(parent_directories(command.files)) {}

  Result<FencedChild> run() {
    MSB_CHECK(prepare());
    uint64_t flags = 0;
    for (const auto& [wall, flag] : kNamespaces)
      if (wanted(wall)) flags |= flag;
    auto fenced = attempt(flags);
    if (fenced || !namespaces_refused_) return fenced;
    return attempt(grantable(flags));
  }

 private:
  bool wanted(Wall wall) const { return !(script_.without & (1u << static_cast<unsigned>(wall))); }

  Result<> prepare() {
    for (Wall wall : command_.without) script_.without |= 1u << static_cast<unsigned>(wall);
    for (const auto& directory : parents_) script_.parents.push_back(directory.c_str());
    for (const auto& file : command_.files)
      script_.files.push_back({file.path.c_str(), file.use == FenceFile::Use::execute});
    for (const auto& directory : command_.directories)
      script_.directories.push_back(
          {directory.path.c_str(), directory.ours, directory.fd, directory.use == FenceDirectory::Use::modify});
    script_.argv = pointers(command_.argv);
    script_.env = pointers(command_.env);
    script_.fds = command_.fds;
    script_.scratch.resize(script_.fds.size());
    script_.tmpfs_options = cat("mode=755,size=64k,nr_inodes=", parents_.size() + command_.files.size() + 16);
    script_.outer_id = unprivileged_id();
    script_.address_space = command_.address_space;
    if (wanted(Wall::seccomp)) {
      if (command_.seccomp.empty()) return fail(ErrorKind::internal, "a fence without its list of system calls");
      script_.seccomp = command_.seccomp;
    }
    parent_pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    script_.parent_pidfd = parent_pidfd_.get();
    return {};
  }

  // Adds one namespace at a time, keeping those the host grants.
  uint64_t grantable(uint64_t wished) {
    uint64_t granted = 0;
    for (const auto& [wall, flag] : kNamespaces) {
      if (!(wished & flag) || wall == excluded_) continue;
      if (int error = try_namespaces(granted | flag)) {
        refused_.push_back({wall, false, Error::from_errno(error, "create the namespace").message()});
      } else {
        granted |= flag;
      }
    }
    return granted;
  }

  Result<FencedChild> attempt(uint64_t flags) {
    MSB_TRY(Pipe go, make_pipe());
    MSB_TRY(Pipe reports, make_pipe());
    script_.go_pipe = go.read.get();
    script_.report_pipe = reports.write.get();
    script_.clone_flags = flags;
    pid_t pid = clone(flags);
    if (pid == 0) run_fence_child(script_);
    if (pid < 0) {
      namespaces_refused_ = flags != 0;
      return fail_errno("start a fenced process");
    }
    MSB_TRY(Child child, Child::adopt(pid));
    reports.write.reset();
    Mapped mapped;
    if (flags & CLONE_NEWUSER) {
      auto result = map_ids(pid, command_, script_.outer_id);
      if (!result) {
        // Created but not ours to use (a host policy): go on without it.
        refused_.push_back({Wall::user_namespace, false, result.error().to_string()});
        excluded_ = Wall::user_namespace;
        namespaces_refused_ = true;
        return fail(std::move(result).error());
      }
      mapped = std::move(*result);
    } else if (::geteuid() == 0) {
      mapped.why_same_user = "needs the user namespace";
      if (!command_.directories.empty()) mapped = {FenceGo::file_owner, kWhyRoot};
    }
    MSB_CHECK(write_full(go.write.get(), as_bytes(std::string_view(reinterpret_cast<char*>(&mapped.go), 1))));
    WallReports walls = namespace_reports(flags);
    MSB_CHECK(collect(reports.read.get(), walls));
    if (::geteuid() == 0 && mapped.go != FenceGo::unprivileged && wanted(Wall::unprivileged_user))
      walls.push_back({Wall::unprivileged_user, false, mapped.why_same_user});
    if (mapped.go == FenceGo::file_owner && wanted(Wall::no_capabilities))
      walls.push_back({Wall::no_capabilities, false, cat("all but those over files of others: ", kWhyRoot)});
    add_missing(walls);
    std::sort(walls.begin(), walls.end(), [](const auto& a, const auto& b) { return a.wall < b.wall; });
    return FencedChild{std::move(child), std::move(walls)};
  }

  // A host that does not let it into its control group starts it all the same, without that wall.
  pid_t clone(uint64_t flags) {
    if (!command_.cgroup) return raw_clone(flags);
    caps_ = {Wall::cgroup_caps, false, command_.cgroup->why_not};
    if (command_.cgroup->directory < 0) return raw_clone(flags);
    pid_t pid = raw_clone_into(flags, command_.cgroup->directory);
    if (pid >= 0) return caps_.up = true, pid;
    caps_.reason = Error::from_errno(errno, "start a process in the control group").message();
    return raw_clone(flags);
  }

  WallReports namespace_reports(uint64_t flags) const {
    WallReports walls = refused_;
    for (const auto& [wall, flag] : kNamespaces)
      if ((flags & flag) && wall != Wall::empty_root) walls.push_back({wall, true, ""});
    return walls;
  }

  // What was not asked for is down too, and says so.
  void add_missing(WallReports& walls) const {
    for (Wall wall : command_.without) walls.push_back({wall, false, "switched off"});
    if (command_.cgroup) walls.push_back(caps_);
    bool reported =
        std::any_of(walls.begin(), walls.end(), [](const auto& r) { return r.wall == Wall::unprivileged_user; });
    if (::geteuid() == 0 && !reported) walls.push_back({Wall::unprivileged_user, false, "needs the empty root"});
  }

  std::string path_of(size_t detail) const {
    if (detail < command_.files.size()) return command_.files[detail].path;
    detail -= command_.files.size();
    return detail < command_.directories.size() ? command_.directories[detail].path : "?";
  }

  Result<> collect(int pipe, WallReports& walls) {
    FenceMessage message{};
    while (true) {
      MSB_TRY(size_t count, read_full(pipe, {reinterpret_cast<uint8_t*>(&message), sizeof(message)}));
      if (count == 0) return {};
      if (count != sizeof(message)) return fail(ErrorKind::internal, "the fenced process sent half a report");
      std::string reason;
      if (message.kind != FenceMessage::wall_up) {
        std::string what(step_text(message.step));
        if (message.detail >= 0) what += cat(" (", path_of(static_cast<size_t>(message.detail)), ")");
        if (message.kind == FenceMessage::fatal)
          return fail_errno(cat("start ", command_.argv[0], " in its fence: ", what), message.error);
        reason = Error::from_errno(message.error, what).message();
      }
      walls.push_back({static_cast<Wall>(message.wall), message.kind == FenceMessage::wall_up, std::move(reason)});
    }
  }

  const FencedCommand& command_;
  std::set<std::string> parents_;
  FenceScript script_;
  Fd parent_pidfd_;
  bool namespaces_refused_ = false;
  Wall excluded_ = Wall::seccomp;  // a namespace wall, once one turned out unusable
  WallReports refused_;
  WallReport caps_{Wall::cgroup_caps, false, {}};
};

}  // namespace

std::string_view wall_name(Wall wall) {
  switch (wall) {
    case Wall::user_namespace:
      return "user-namespace";
    case Wall::pid_namespace:
      return "pid-namespace";
    case Wall::network_namespace:
      return "network-namespace";
    case Wall::ipc_namespace:
      return "ipc-namespace";
    case Wall::uts_namespace:
      return "uts-namespace";
    case Wall::cgroup_namespace:
      return "cgroup-namespace";
    case Wall::empty_root:
      return "empty-root";
    case Wall::no_capabilities:
      return "no-capabilities";
    case Wall::no_new_privileges:
      return "no-new-privileges";
    case Wall::limits:
      return "limits";
    case Wall::landlock:
      return "landlock";
    case Wall::seccomp:
      return "seccomp";
    case Wall::share_mounts:
      return "share-mounts";
    case Wall::cgroup_caps:
      return "cgroup-caps";
    case Wall::unprivileged_user:
      return "unprivileged-user";
  }
  return "unknown";
}

Result<FencedChild> start_fenced(const FencedCommand& command) {
  return Fencing(command).run();
}

}  // namespace msb::fence
