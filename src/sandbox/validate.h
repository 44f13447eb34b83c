// The rules that configurations and exec options share. The public entry points are
// validate() and validate_sandbox_name() in <microsandbox/config.h>.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include <microsandbox/config.h>

#include "base/result.h"

namespace msb {

// The rule that names of sandboxes, volumes and snapshots share; `whose` is "a volume".
Result<> check_name(std::string_view name, std::string_view whose);

// A variable's name is not empty and has no '='; neither part has a NUL byte.
Result<> check_env(std::string_view key, std::string_view value);
// Of a sandbox, a volume or a snapshot: names that are not empty and not reserved, UTF-8 without NUL.
Result<> check_labels(const std::map<std::string, std::string>& labels);
Result<> check_limit(const ResourceLimit& limit);
// Of a root disk of the sandbox's own.
Result<> check_root_disk_size(uint64_t size_mib);

// The guest's host name: the configured one, else the sandbox's name, which is cut to
// 55 bytes, '-' and 8 hex digits of its SHA-256 when Linux's 64 bytes are too few.
std::string effective_hostname(const SandboxConfig& config);

}  // namespace msb
