// Child: a process we started, held by a pidfd. Killed and reaped when destroyed,
// unless released. The pidfd becomes readable when the process has ended.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"

namespace msb {

struct ExitStatus {
  int code = 0;    // exit code, or 128 + signal
  int signal = 0;  // 0 when it exited by itself
  bool success() const { return code == 0; }
};

struct SpawnOptions {
  std::vector<std::string> argv;  // argv[0] is the program; looked up in PATH when it has no '/'
  std::vector<std::string> env;   // "K=V"; used only with clear_env
  bool clear_env = false;
  std::vector<std::pair<int, int>> fds;  // {ours, number in the child}; all others are closed on exec
  bool new_session = false;              // setsid(): survives the terminal of the parent
  bool die_with_parent = false;          // SIGKILL when the spawning thread ends
};

class [[nodiscard]] Child {
 public:
  Child() = default;
  // Adopts a direct child of this process.
  static Result<Child> adopt(pid_t pid);
  static Result<Child> spawn(const SpawnOptions& options);

  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  explicit operator bool() const { return pid_ > 0; }

  Result<> signal(int signal) const;
  // Blocks until it has ended, and reaps it.
  Result<ExitStatus> wait();
  // Lets it live on; nobody reaps it here.
  pid_t release();

 private:
  void kill_and_reap();
  pid_t pid_ = -1;
  Fd pidfd_;
};

// A process that belongs to nobody here: init reaps it, this process gets no SIGCHLD and no zombie, and a host
// program that waits for "any child" never sees it. The pidfd tells when it has ended, but not how.
struct Orphan {
  pid_t pid = -1;
  Fd pidfd;
};
Result<Orphan> spawn_orphan(const SpawnOptions& options);

// Runs a program to its end with stdin from /dev/null and returns stdout (at most `limit` bytes).
// A non-zero exit is an Error that carries the end of its stderr.
Result<std::string> run_capture(const std::vector<std::string>& argv, size_t limit = size_t{1} << 20,
                                std::string_view stdin_text = {});

}  // namespace msb
