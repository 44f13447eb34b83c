#include "base/child.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace msb {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (const auto& text : strings) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

// Only async-signal-safe calls from here to exec.
[[noreturn]] void exec_child(const SpawnOptions& options, char* const* argv, char* const* env, int error_pipe,
                             int* scratch, pid_t parent) {
  if (options.die_with_parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
  }
  if (options.new_session) ::setsid();
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  // What the host program left open without close-on-exec is not ours to pass on.
  ::syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
  // First move every source above the targets, then into place, so that none overwrites another.
  int highest = error_pipe;
  for (const auto& [ours, theirs] : options.fds) highest = theirs > highest ? theirs : highest;
  error_pipe = ::fcntl(error_pipe, F_DUPFD_CLOEXEC, highest + 1);
  size_t index = 0;
  for (const auto& [ours, theirs] : options.fds) scratch[index++] = ::fcntl(ours, F_DUPFD_CLOEXEC, highest + 1);
  index = 0;
  for (const auto& [ours, theirs] : options.fds) {
    if (::dup2(scratch[index++], theirs) < 0) break;
  }
  if (env) {
    ::execvpe(argv[0], argv, env);
  } else {
    ::execvp(argv[0], argv);
  }
  int error = errno;
  [[maybe_unused]] auto ignored = ::write(error_pipe, &error, sizeof(error));
  ::_exit(127);
}

// A fork without glibc's handlers, which may take locks that another thread holds. With no exit signal the
// child is invisible to wait() calls that do not ask for it.
pid_t raw_fork(int exit_signal) {
  return static_cast<pid_t>(::syscall(SYS_clone, exit_signal, nullptr, nullptr, nullptr, nullptr));
}

}  // namespace

Result<Child> Child::adopt(pid_t pid) {
  Child child;
  child.pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!child.pidfd_) return fail_errno(cat("open process ", pid));
  child.pid_ = pid;
  return child;
}

Result<Child> Child::spawn(const SpawnOptions& options) {
  MSB_TRY(Pipe errors, make_pipe());
  auto argv = pointers(options.argv);
  auto env = pointers(options.env);
  std::vector<int> scratch(options.fds.size());
  pid_t parent = ::getpid();
  pid_t pid = ::fork();
  if (pid < 0) return fail_errno(cat("start ", options.argv[0]));
  if (pid == 0)
    exec_child(options, argv.data(), options.clear_env ? env.data() : nullptr, errors.write.get(), scratch.data(),
               parent);
  auto child = adopt(pid);
  if (!child) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return child;
  }
  errors.write.reset();
  int error = 0;
  MSB_TRY(size_t count, read_full(errors.read.get(), {reinterpret_cast<uint8_t*>(&error), sizeof(error)}));
  if (count == sizeof(error)) return fail_errno(cat("start ", options.argv[0]), error);
  return child;
}

Result<Orphan> spawn_orphan(const SpawnOptions& options) {
  MSB_TRY(Pipe errors, make_pipe());
  MSB_TRY(Pipe pids, make_pipe());
  auto argv = pointers(options.argv);
  auto env = pointers(options.env);
  std::vector<int> scratch(options.fds.size());
  pid_t middle = raw_fork(0);
  if (middle < 0) return fail_errno(cat("start ", options.argv[0]));
  if (middle == 0) {
    pid_t pid = raw_fork(SIGCHLD);
    if (pid == 0)
      exec_child(options, argv.data(), options.clear_env ? env.data() : nullptr, errors.write.get(), scratch.data(),
                 ::getppid());
    int message = pid < 0 ? -errno : pid;
    [[maybe_unused]] auto ignored = ::write(pids.write.get(), &message, sizeof(message));
    // The new process must not end, and its number not be reused, before it has been opened: it is the
    // child of this one until the parent has said so by closing the other end.
    ::close(pids.read.get());
    pollfd closed{.fd = pids.write.get(), .events = 0, .revents = 0};
    ::poll(&closed, 1, -1);
    ::_exit(0);
  }
  pids.write.reset();
  errors.write.reset();
  int message = 0;
  auto count = read_full(pids.read.get(), {reinterpret_cast<uint8_t*>(&message), sizeof(message)});
  Orphan orphan;
  int open_error = 0;
  if (count && *count == sizeof(message) && message > 0) {
    orphan.pid = message;
    orphan.pidfd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, orphan.pid, 0)));
    open_error = errno;
  }
  pids.read.reset();
  while (::waitpid(middle, nullptr, __WALL) < 0 && errno == EINTR) {
  }
  if (!count) return fail(std::move(count).error());
  if (orphan.pid < 0) return fail_errno(cat("start ", options.argv[0]), message < 0 ? -message : EIO);
  int error = 0;
  MSB_TRY(size_t failed, read_full(errors.read.get(), {reinterpret_cast<uint8_t*>(&error), sizeof(error)}));
  if (failed == sizeof(error)) return fail_errno(cat("start ", options.argv[0]), error);
  if (!orphan.pidfd) return fail_errno(cat("open process ", orphan.pid), open_error);
  return orphan;
}

Child::Child(Child&& other) noexcept {
  *this = std::move(other);
}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    kill_and_reap();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

Child::~Child() {
  kill_and_reap();
}

void Child::kill_and_reap() {
  if (pid_ <= 0) return;
  (void)signal(SIGKILL);
  (void)wait();
}

Result<> Child::signal(int signal) const {
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0) < 0)
    return fail_errno(cat("signal process ", pid_));
  return {};
}

Result<ExitStatus> Child::wait() {
  siginfo_t info{};
  int result;
  do {
    result = ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED);
  } while (result < 0 && errno == EINTR);
  pid_ = -1;
  pidfd_.reset();
  if (result < 0) return fail_errno("wait for a process");
  if (info.si_code == CLD_EXITED) return ExitStatus{info.si_status, 0};
  return ExitStatus{128 + info.si_status, info.si_status};
}

pid_t Child::release() {
  pidfd_.reset();
  return std::exchange(pid_, -1);
}

Result<std::string> run_capture(const std::vector<std::string>& argv, size_t limit, std::string_view stdin_text) {
  MSB_TRY(Fd input, make_memfd("stdin", as_bytes(stdin_text)));
  MSB_TRY(Pipe output, make_pipe());
  Fd errors(::memfd_create("stderr", MFD_CLOEXEC));
  if (!errors) return fail_errno("create a memory file");
  SpawnOptions options;
  options.argv = argv;
  options.fds = {{input.get(), 0}, {output.write.get(), 1}, {errors.get(), 2}};
  MSB_TRY(Child child, Child::spawn(options));
  output.write.reset();
  MSB_TRY(Bytes text, read_all(output.read.get(), limit));
  MSB_TRY(ExitStatus status, child.wait());
  if (!status.success()) {
    ::lseek(errors.get(), 0, SEEK_SET);
    auto complaint = read_all(errors.get(), 65536);
    return fail(ErrorKind::io, cat(argv[0], " ended with code ", status.code, ": ",
                                   complaint ? as_text(*complaint) : std::string_view("(no message)")));
  }
  return std::string(as_text(text));
}

}  // namespace msb
