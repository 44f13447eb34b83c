// From ExecOptions to the wire's request, and from the wire's failure to an Error with advice.
#pragma once

#include <string>
#include <vector>

#include <microsandbox/exec.h>

#include "base/result.h"
#include "wire/messages.h"

namespace msb {

// ErrorKind::invalid_config when a string has a NUL byte, a variable's name is empty or has '=',
// or a limit is unknown.
Result<wire::ExecRequest> make_exec_request(const std::string& command, const ExecOptions& options);

// "K=V" strings. A later key replaces an earlier one, which keeps its place.
Result<std::vector<std::string>> join_env(const std::vector<std::pair<std::string, std::string>>& env);

Result<std::vector<wire::Rlimit>> to_wire(const std::vector<ResourceLimit>& limits);

// ErrorKind::exec_failed with ExecFailedDetail.
Error exec_failure(const wire::ExecRequest& request, const wire::ExecFailed& failure);

}  // namespace msb
