// Usage: what only the guest's kernel knows of what the guest uses.
#pragma once

#include <string>

#include "wire/measure_messages.h"

namespace msb::agent {

// Both paths are the running system's where nobody says otherwise (tests do).
wire::GuestMeasured measure_guest(const std::string& meminfo = "/proc/meminfo", const char* root = "/");

}  // namespace msb::agent
