#include "agent/reaper.h"

#include <sys/wait.h>

#include <csignal>

namespace msb::agent {

Result<std::unique_ptr<Reaper>> Reaper::create(Reactor& reactor, std::function<void(pid_t, int)> on_exit) {
  std::unique_ptr<Reaper> reaper(new Reaper);
  reaper->on_exit_ = std::move(on_exit);
  MSB_TRY(reaper->watch_, SignalWatch::create(reactor, {SIGCHLD}, [raw = reaper.get()](int) {
            // One signal may stand for many ends.
            int status;
            for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) raw->on_exit_(pid, status);
          }));
  return reaper;
}

bool Reaper::has_children() {
  siginfo_t info;
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

}  // namespace msb::agent
