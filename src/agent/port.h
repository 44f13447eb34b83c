// Port: the virtio-console port through which the host talks to the agent.
#pragma once

#include "base/fd.h"

namespace msb::agent {

// Opens the port of that name. /dev and /sys are mounted. Waits until the kernel has been told the
// name, which it may learn only after PID 1 has started.
Result<Fd> open_port(std::string_view name);

}  // namespace msb::agent
