// Cgroup: a control group of cgroup v2 for one fenced program, with bounds on its memory and its threads.
//
//   auto group = Cgroup::create(own_cgroup(), "msb-1f00", {.memory_bytes = ..., .threads = 64}, {});
//   if (!group) ...                                // not delegated to us, or a host without cgroup v2: the error says
//   command.cgroup = CgroupSeat{group->fd()};      // start_fenced() starts the program in it
//
// Where it is made: below the caller's own group when that may hand out limits; else beside it, when the group above
// may and the caller's own has no limits (of memory, processors or disks), which the program would leave behind. Cgroup
// v2 forbids a group that has processes to hand out limits ("no internal processes"), so the caller's own does only at
// the very top. Nothing that is there already is changed, but for controllers that are switched on for the groups below
// (cgroup.subtree_control).
//
// The directory is removed with the object, after the program has ended. Whoever is killed before that leaves an empty
// directory, which anybody may remove: the kernel keeps one that is in use.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace msb::fence {

struct CgroupCaps {
  uint64_t memory_bytes = 0;  // memory.max: beyond it the kernel kills the whole group
  uint32_t threads = 0;       // pids.max, which counts threads
};

class [[nodiscard]] Cgroup {
 public:
  // `note` is told the directory before it is made, so that a trace is left; its error is create()'s. ErrorKind::io or
  // unsupported: why there is none, with the group that refuses.
  static Result<Cgroup> create(const std::string& own, const std::string& name, const CgroupCaps& caps,
                               const std::function<Result<>(const std::string& path)>& note);
  Cgroup(Cgroup&& other) noexcept = default;
  Cgroup& operator=(Cgroup&& other) noexcept = delete;
  ~Cgroup();

  int fd() const { return directory_.get(); }
  const std::string& path() const { return path_; }

 private:
  Cgroup(std::string path, Fd directory) : path_(std::move(path)), directory_(std::move(directory)) {}
  std::string path_;  // empty when moved from
  Fd directory_;
};

// The directory of this process's group in the cgroup v2 hierarchy. unsupported: there is none that can be reached.
Result<std::string> own_cgroup();
// From the text of /proc/self/cgroup and /proc/self/mountinfo.
Result<std::string> find_cgroup(std::string_view cgroup, std::string_view mountinfo);

}  // namespace msb::fence
