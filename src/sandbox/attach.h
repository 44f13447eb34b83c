// An interactive session: this process's terminal and a process in the guest, joined.
#pragma once

#include <microsandbox/exec.h>

#include "base/fd.h"
#include "sandbox/exec_session.h"

namespace msb {

struct TerminalFds {
  int input = 0;  // a terminal, put into raw mode
  int output = 1;
};

// Runs until the process ends or the detach keys are typed, on the calling thread. `session` was started with a
// tty and StdinMode::pipe. The terminal is itself again on every return; SIGTERM, SIGINT and SIGHUP from outside are
// held back until then and delivered after.
Result<AttachOutcome> run_attached(ExecHandle::State& session, const std::string& detach_keys, const TerminalFds& fds);

// The exec options of an interactive session: a tty of this terminal's size and type.
ExecOptions interactive(ExecOptions options, const TerminalFds& fds);

}  // namespace msb
