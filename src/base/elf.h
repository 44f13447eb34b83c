// The two facts about ELF files that starting a machine needs.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace msb {

// Is this a kernel that a machine can enter directly: a 64-bit x86 executable with the PVH entry note? An Error says
// what else it is. Reads only headers and notes.
Result<> check_pvh_kernel(const std::string& path);

// The program's ELF interpreter ("/lib64/ld-linux-x86-64.so.2"), or "" when it is static.
Result<std::string> elf_interpreter(const std::string& path);

}  // namespace msb
