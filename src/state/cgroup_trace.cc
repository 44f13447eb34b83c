#include "state/cgroup_trace.h"

#include <unistd.h>

#include <cerrno>
#include <climits>

#include "base/fd.h"

namespace msb::state {

std::string traced_cgroup(const std::string& trace) {
  char target[PATH_MAX];
  ssize_t size = ::readlink(trace.c_str(), target, sizeof(target));
  return size > 0 ? std::string(target, static_cast<size_t>(size)) : "";
}

Result<> leave_cgroup_trace(const Home& home, std::string_view name, const std::string& group) {
  std::string trace = home.cgroup_trace(name);
  MSB_CHECK(home.make_dir(home.run_dir()));
  ::unlink(trace.c_str());
  if (::symlink(group.c_str(), trace.c_str()) < 0) return fail_errno(cat("make ", trace));
  return {};
}

bool cgroup_in_use(const std::string& trace) {
  auto events = read_file(trace + "/cgroup.events", 4096);
  return events && events->find("populated 1") != std::string::npos;
}

void remove_cgroup(const std::string& trace) {
  std::string group = traced_cgroup(trace);
  if (group.empty()) return;
  if (::rmdir(group.c_str()) == 0 || errno == ENOENT) ::unlink(trace.c_str());
}

}  // namespace msb::state
