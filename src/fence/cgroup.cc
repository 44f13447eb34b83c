#include "fence/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sstream>
#include <utility>

#include "base/cat.h"
#include "base/cleanup.h"

namespace msb::fence {
namespace {

Error refusal(ErrorKind kind, const std::string& group, std::string_view why) {
  return Error(kind, cat("the control group ", group, " ", why));
}

Error refusal(const std::string& group, int error) {
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
      return refusal(ErrorKind::unsupported, group, "is not delegated to this user");
    case EBUSY:
      return refusal(ErrorKind::unsupported, group, "has processes, so it cannot limit groups below it");
    case ENOENT:
    case EOPNOTSUPP:
      return refusal(ErrorKind::unsupported, group, "lacks a controller for memory or pids");
    default:
      return Error::from_errno(error, cat("use the control group ", group));
  }
}

Result<> write_value(int directory, const char* file, std::string_view value) {
  MSB_TRY(Fd fd, open_at(directory, file, O_WRONLY));
  return write_full(fd.get(), as_bytes(value));
}

Result<std::string> read_value(int directory, const char* file) {
  MSB_TRY(Fd fd, open_at(directory, file, O_RDONLY));
  MSB_TRY(Bytes text, read_all(fd.get(), 4096));
  return std::string(as_text(text));
}

bool has_word(std::string_view text, std::string_view word) {
  std::istringstream words{std::string(text)};
  for (std::string each; words >> each;)
    if (each == word) return true;
  return false;
}

// Lets the groups below have limits of memory and pids.
Result<> enable_controllers(int directory) {
  MSB_TRY(auto enabled, read_value(directory, "cgroup.subtree_control"));
  if (has_word(enabled, "memory") && has_word(enabled, "pids")) return {};
  return write_value(directory, "cgroup.subtree_control", "+memory +pids");
}

// A group without limits of its own: what leaves it escapes nothing. The number of threads is not asked for: it is
// bounded anew. A file that is not there limits nothing.
Result<> check_unlimited(const std::string& group) {
  MSB_TRY(Fd directory, open_file(group, O_RDONLY | O_DIRECTORY));
  for (const char* limit : {"memory.max", "memory.high", "memory.swap.max", "cpu.max", "io.max", "cpuset.cpus"}) {
    auto value = read_value(directory.get(), limit);
    if (!value || value->starts_with("max") || value->find_first_not_of('\n') == std::string::npos) continue;
    return fail(
        refusal(ErrorKind::unsupported, group, cat("has a limit (", limit, ") that its processes may not leave")));
  }
  return {};
}

Result<Fd> make_group(int parent, const std::string& name) {
  // One that a killed process has left is as good as new only when it is new: limits and type may be others.
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT) return fail_errno(name);
  if (::mkdirat(parent, name.c_str(), 0755) < 0) return fail_errno(name);
  return open_at(parent, name, O_RDONLY | O_DIRECTORY);
}

Result<> set_caps(int group, const CgroupCaps& caps) {
  MSB_TRY(auto type, read_value(group, "cgroup.type"));
  // "threaded" and "domain invalid" are below a group whose threads are spread over several: no memory limits there.
  if (!type.starts_with("domain\n")) return fail_errno("cgroup.type", EOPNOTSUPP);
  MSB_CHECK(write_value(group, "memory.max", cat(caps.memory_bytes)));
  MSB_CHECK(write_value(group, "memory.oom.group", "1"));
  return write_value(group, "pids.max", cat(caps.threads));
}

// The line of mountinfo that says where cgroup v2 is: {root of the mount, mount point}.
std::pair<std::string, std::string> find_mount(std::string_view mountinfo) {
  std::istringstream lines{std::string(mountinfo)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string number, parent, device, root, place, word;
    words >> number >> parent >> device >> root >> place;
    while (words >> word && word != "-") {
    }
    if (words >> word && word == "cgroup2") return {root, place};
  }
  return {};
}

}  // namespace

Result<Cgroup> Cgroup::create(const std::string& own, const std::string& name, const CgroupCaps& caps,
                              const std::function<Result<>(const std::string& path)>& note) {
  auto below = [&](const std::string& parent) -> Result<Cgroup> {
    auto failed = [&](const Error& error) { return fail(error.errnum() ? refusal(parent, error.errnum()) : error); };
    auto directory = open_file(parent, O_RDONLY | O_DIRECTORY);
    if (!directory) return failed(directory.error());
    if (auto enabled = enable_controllers(directory->get()); !enabled) return failed(enabled.error());
    std::string path = cat(parent, "/", name);
    if (note) MSB_CHECK(note(path));
    auto group = make_group(directory->get(), name);
    if (!group) return failed(group.error());
    Cgroup made(std::move(path), std::move(*group));
    if (auto set = set_caps(made.fd(), caps); !set) return failed(set.error());
    return made;
  };
  auto made = below(own);
  if (made) return made;
  std::string above = own.substr(0, own.rfind('/'));
  struct stat events{};
  // Every group but the top has this file: above the top there is none.
  if (::stat(cat(own, "/cgroup.events").c_str(), &events) < 0) return made;
  MSB_CHECK(check_unlimited(own));
  auto beside = below(above);
  return beside ? std::move(beside) : std::move(made);
}

Cgroup::~Cgroup() {
  if (directory_) ::rmdir(path_.c_str());
}

Result<std::string> find_cgroup(std::string_view cgroup, std::string_view mountinfo) {
  size_t line = cgroup.starts_with("0::") ? 0 : cgroup.find("\n0::");
  auto [root, place] = find_mount(mountinfo);
  if (line == std::string_view::npos || place.empty())
    return fail(ErrorKind::unsupported, "this host has no cgroup v2 mounted");
  cgroup.remove_prefix(cgroup.find('/', line));
  std::string path(cgroup.substr(0, cgroup.find('\n')));
  // A mount may begin below the top (a container's); a group outside of it is shown as "/..".
  bool inside = root == "/" || path == root || path.starts_with(root + "/");
  if (!inside || path.starts_with("/.."))
    return fail(ErrorKind::unsupported, "this process's control group is not where cgroup v2 is mounted");
  if (root != "/") path.erase(0, root.size());
  return path == "/" ? place : place + path;
}

Result<std::string> own_cgroup() {
  MSB_TRY(auto cgroup, read_file("/proc/self/cgroup"));
  MSB_TRY(auto mountinfo, read_file("/proc/self/mountinfo"));
  return find_cgroup(cgroup, mountinfo);
}

}  // namespace msb::fence
