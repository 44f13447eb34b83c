#include "sandbox/launch.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <sstream>

#include "base/temp_dir.h"
#include "sandbox/msb_path.h"

namespace msb {
namespace {

constexpr size_t kMaxReport = size_t{1} << 20;
// Beyond the guest's own boot deadline, for the process to say so.
constexpr std::chrono::seconds kReportGrace{10};
constexpr std::chrono::seconds kKillTime{5};
constexpr std::chrono::seconds kTidyTime{2};

// The end of the log, for a process that died without a report.
std::string last_words(const std::string& log) {
  auto text = read_file(log);
  if (!text || text->empty()) return {};
  while (!text->empty() && text->back() == '\n') text->pop_back();
  auto start = text->rfind('\n');
  return start == std::string::npos ? *text : text->substr(start + 1);
}

// Everything until the end of the pipe, or nullopt when the deadline passed.
Result<std::optional<std::string>> read_report(int fd, const Deadline& deadline) {
  std::string text;
  uint8_t buffer[4096];
  while (true) {
    MSB_TRY(bool ready, wait_for(fd, POLLIN, deadline));
    if (!ready) return std::nullopt;
    MSB_TRY(size_t count, read_some(fd, buffer));
    if (count == 0) return text;
    text += as_text(ByteView(buffer).first(count));
    if (text.size() > kMaxReport) return fail(ErrorKind::protocol, "the sandbox process reports too much");
  }
}

Error boot_failure(const std::string& name, const state::StartupReport& report) {
  auto detail = std::make_shared<BootFailure>();
  detail->stage = report.stage;
  detail->cause = report.message;
  detail->kernel_lines = report.kernel_lines;
  Error error(ErrorKind::boot_start, cat("sandbox '", name, "' did not start: ", report.message));
  if (!report.hint.empty()) error.hint(report.hint);
  return std::move(error).detail(std::move(detail));
}

Result<RunningProcess> spawn(const state::LaunchConfig& config, const FileLock& lock, const std::string& log,
                             Fd report) {
  MSB_TRY(std::string program, find_msb());
  std::string json = config.to_json();
  MSB_TRY(Fd memory, make_memfd("msb-launch", as_bytes(json)));
  MSB_TRY(Fd null, open_file("/dev/null", O_RDWR));
  MSB_TRY(Fd output, open_file(log, O_WRONLY | O_CREAT | O_APPEND, 0600));
  RunningProcess process;
  Fd watch_read;
  SpawnOptions options;
  options.argv = {program, "sandbox"};
  options.new_session = true;
  options.fds = {{null.get(), 0},
                 {output.get(), 1},
                 {output.get(), 2},
                 {memory.get(), state::kLaunchConfigFd},
                 {report.get(), state::kStartupFd},
                 {lock.fd(), state::kLifecycleLockFd}};
  if (config.attached) {
    MSB_TRY(Pipe watch, make_pipe());
    process.parent_watch = std::move(watch.write);
    watch_read = std::move(watch.read);
    options.fds.emplace_back(watch_read.get(), state::kParentWatchFd);
  }
  MSB_TRY(Orphan orphan, spawn_orphan(options));
  process.pid = orphan.pid;
  process.pidfd = std::move(orphan.pidfd);
  return process;
}

// What the process has started itself: its machine. Nothing when it has ended already, or where the kernel keeps no
// such list.
std::vector<Fd> children_of(int pidfd) {
  std::vector<Fd> children;
  constexpr std::string_view kLabel = "\nPid:";
  auto about = read_file(cat("/proc/self/fdinfo/", pidfd));
  size_t label = about ? about->find(kLabel) : std::string::npos;
  if (label == std::string::npos) return children;
  int pid = std::atoi(about->c_str() + label + kLabel.size());
  for (const auto& task : names_in(cat("/proc/", pid, "/task"))) {
    auto list = read_file(cat("/proc/", pid, "/task/", task, "/children"));
    if (!list) continue;
    std::istringstream numbers(*list);
    for (pid_t child = 0; numbers >> child;)
      if (Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0))); fd) children.push_back(std::move(fd));
  }
  return children;
}

}  // namespace

BootFailure::~BootFailure() = default;

Result<> kill_process(int pidfd, const Deadline& deadline) {
  auto children = children_of(pidfd);
  if (::syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0) < 0 && errno != ESRCH)
    return fail_errno("kill the sandbox process");
  MSB_TRY(bool ended, wait_for(pidfd, POLLIN, deadline));
  for (const auto& child : children) {
    if (!ended) break;
    MSB_TRY(ended, wait_for(child.get(), POLLIN, deadline));
  }
  if (!ended) return fail(ErrorKind::runtime, "the sandbox process does not end although it was killed");
  return {};
}

Result<RunningProcess> launch(const state::LaunchConfig& config, const FileLock& lock, const std::string& log,
                              const std::function<void(pid_t)>& on_spawn) {
  MSB_TRY(Pipe pipe, make_pipe());
  MSB_TRY(RunningProcess process, spawn(config, lock, log, std::move(pipe.write)));
  on_spawn(process.pid);
  auto deadline = deadline_after(std::chrono::milliseconds(config.boot_deadline_ms) + kReportGrace);
  auto text = read_report(pipe.read.get(), deadline);
  auto report = text && *text && !(*text)->empty()
                    ? state::StartupReport::from_json(**text)
                    : Result<state::StartupReport>(fail(ErrorKind::runtime, "no report"));
  if (report && report->ready) {
    process.report = std::move(*report);
    return process;
  }
  // After reporting a failure it only tidies up.
  if (report) (void)wait_for(process.pidfd.get(), POLLIN, deadline_after(kTidyTime));
  (void)kill_process(process.pidfd.get(), deadline_after(kKillTime));
  if (report) return fail(boot_failure(config.name, *report));
  if (!text) return fail(std::move(text).error());
  if (!*text)
    return fail(Error(ErrorKind::runtime, cat("the process of sandbox '", config.name, "' did not report in time"))
                    .hint(cat("see ", log)));
  if (!(*text)->empty()) return fail(std::move(report).error().context("read the report of the sandbox process"));
  std::string words = last_words(log);
  return fail(Error(ErrorKind::runtime, cat("the process of sandbox '", config.name, "' ended without a report",
                                            words.empty() ? "" : ": ", words))
                  .hint(cat("see ", log)));
}

}  // namespace msb
