#include "agent/spawn.h"

#include <grp.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "agent/environment.h"
#include "agent/text.h"

namespace msb::agent {
namespace {

enum class Step { none, session, terminal, stdio, limits, cwd, user, exec };

// Everything the child needs, prepared beforehand, and the place where it leaves its failure.
// The child may only make system calls: it runs in our memory, on our stack.
struct Plan {
  const SpawnRequest* request;
  std::vector<char*> argv;
  std::vector<char*> env;
  std::vector<std::string> candidates;  // the paths to try, in order
  volatile Step failed_step = Step::none;
  volatile int failed_errno = 0;
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (const auto& text : strings) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

// As a shell finds programs: an empty element of PATH is the current directory.
std::vector<std::string> candidates(const std::string& program, const std::vector<std::string>& env) {
  if (program.find('/') != std::string::npos) return {program};
  const std::string* variable = find_variable(env, "PATH");
  std::string_view path = variable ? std::string_view(*variable).substr(5) : kDefaultPath;
  std::vector<std::string> found;
  for (auto directory : split(path, ':')) found.push_back(cat(directory.empty() ? "." : directory, '/', program));
  return found;
}

// System calls themselves: the C library's wrappers would change the ids of its own threads' list.
bool become(const Identity& user) {
  return ::syscall(SYS_setgroups, user.groups.size(), user.groups.data()) == 0 &&
         ::syscall(SYS_setresgid, user.gid, user.gid, user.gid) == 0 &&
         ::syscall(SYS_setresuid, user.uid, user.uid, user.uid) == 0;
}

// An ordinary user's agent (in tests) may only be itself.
bool is_already(const Identity& user) {
  return ::getuid() != 0 && user.uid == ::getuid() && user.gid == ::getgid();
}

[[noreturn, gnu::noinline]] void run_child(Plan& plan) {
  const SpawnRequest& request = *plan.request;
  auto give_up = [&](Step step) {
    plan.failed_errno = errno;
    plan.failed_step = step;
    ::_exit(127);
  };
  if (::setsid() < 0) give_up(Step::session);
  if (request.terminal == Terminal::yes && ::ioctl(request.stdio[0], TIOCSCTTY, 0) < 0) give_up(Step::terminal);
  for (int fd = 0; fd < 3; ++fd) {
    if (::dup2(request.stdio[fd], fd) < 0) give_up(Step::stdio);
  }
  for (const auto& limit : request.limits) {
    if (::setrlimit(static_cast<__rlimit_resource>(limit.resource), &limit.value) < 0) give_up(Step::limits);
  }
  // The directory is entered with our rights, and with the user's when ours do not do (as on a network share).
  bool entered = ::chdir(request.cwd.c_str()) == 0;
  if (!entered && errno != EACCES) give_up(Step::cwd);
  if (!is_already(request.user) && !become(request.user)) give_up(Step::user);
  if (!entered && ::chdir(request.cwd.c_str()) < 0) give_up(Step::cwd);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  int error = ENOENT;
  for (const auto& path : plan.candidates) {
    ::execve(path.c_str(), plan.argv.data(), plan.env.data());
    // Look further, as shells do; but a file that was there and could not be run is the better explanation.
    if (errno != ENOENT && errno != ENOTDIR) error = errno;
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) break;
  }
  errno = error;
  give_up(Step::exec);
  ::_exit(127);
}

std::string_view reason(int errnum) {
  const char* text = ::strerrordesc_np(errnum);
  return text ? text : "unknown error";
}

SpawnFailure explain_exec(const Plan& plan, int error) {
  const std::string& program = plan.request->argv[0];
  switch (error) {
    case ENOENT: {
      // "No such file" for a file that is there: its interpreter (or dynamic loader) is missing.
      struct stat info;
      auto there = [&](const std::string& path) { return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode); };
      bool relative = !program.starts_with('/') && program.find('/') != std::string::npos;
      if (!relative && std::any_of(plan.candidates.begin(), plan.candidates.end(), there))
        return {"not_executable", "exec", error, cat(program, " needs an interpreter or loader that is not there")};
      if (program.find('/') == std::string::npos)
        return {"not_found", "exec", error, cat(program, ": command not found in PATH")};
      return {"not_found", "exec", error, cat(program, ": no such file")};
    }
    case EACCES:
      return {"permission_denied", "exec", error, cat(program, ": permission denied")};
    case ENOEXEC:
    case EINVAL:
    case ELIBBAD:
      return {"not_executable", "exec", error, cat(program, ": not a program this guest can run")};
    case E2BIG:
      return {"bad_args", "exec", error, "the arguments and environment are too long"};
    case ENAMETOOLONG:
      return {"not_found", "exec", error, cat(program, ": the name is too long")};
    case ENOMEM:
      return {"out_of_memory", "exec", error, cat(program, ": the guest is out of memory")};
    case EAGAIN:
    case EMFILE:
    case ENFILE:
      return {"resource_limit", "exec", error, cat(program, ": ", reason(error))};
    default:
      return {"other", "exec", error, cat(program, ": ", reason(error))};
  }
}

SpawnFailure explain(const Plan& plan) {
  int error = plan.failed_errno;
  switch (plan.failed_step) {
    case Step::terminal:
      return {"pty_setup_failed", "pty", error, cat("set the controlling terminal: ", reason(error))};
    case Step::limits:
      return {"resource_limit", "rlimit", error, cat("set the resource limits: ", reason(error))};
    case Step::cwd:
      return {"bad_cwd", "chdir", error, cat("working directory ", plan.request->cwd, ": ", reason(error))};
    case Step::user:
      if (error == EAGAIN) return {"resource_limit", "setuid", error, "the user has too many processes"};
      return {"user_setup_failed", "setuid", error,
              cat("change to user ", plan.request->user.uid, ": ", reason(error))};
    case Step::exec:
      return explain_exec(plan, error);
    default:
      return {"other", "spawn", error, cat("set up the process: ", reason(error))};
  }
}

}  // namespace

tl::expected<pid_t, SpawnFailure> spawn(const SpawnRequest& request) {
  Plan plan{&request, pointers(request.argv), pointers(request.env), candidates(request.argv[0], request.env)};
  // No handler of ours may run in the child.
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  pid_t pid = ::vfork();          // NOLINT: run_child keeps to what vfork allows
  if (pid == 0) run_child(plan);  // NOLINT(clang-analyzer-unix.Vfork)
  int error = errno;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) {
    return tl::unexpected(SpawnFailure{error == ENOMEM ? "out_of_memory" : "resource_limit", "fork", error,
                                       cat("start another process: ", reason(error))});
  }
  if (plan.failed_step == Step::none) return pid;
  ::waitpid(pid, nullptr, 0);
  return tl::unexpected(explain(plan));
}

}  // namespace msb::agent
