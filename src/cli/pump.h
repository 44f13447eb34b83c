// Pump: connects this process's stdin, stdout and stderr to a process in the guest until it
// exits. Both directions flow at the pace of the slower side; nothing is buffered whole.
#pragma once

#include <chrono>
#include <optional>

#include <microsandbox/exec.h>

namespace msb::cli {

// Returns the guest's exit code. SIGINT and SIGTERM are passed to the guest; the third one kills.
// When `timeout` passes, the process is killed and the error is ErrorKind::exec_timeout (its output
// has already been printed).
Result<int> pump(ExecHandle& handle, std::optional<std::chrono::milliseconds> timeout);

}  // namespace msb::cli
