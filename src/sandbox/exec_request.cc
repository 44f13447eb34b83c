#include "sandbox/exec_request.h"

#include <algorithm>

#include "sandbox/validate.h"

namespace msb {
namespace {

Result<> check_no_nul(std::string_view text, std::string_view what) {
  if (text.find('\0') != std::string_view::npos)
    return fail(ErrorKind::invalid_config, cat(what, " contains a NUL byte"));
  return {};
}

std::string advice(const wire::ExecRequest& request, const wire::ExecFailed& failure) {
  if (failure.kind == "not_found")
    return request.cmd.find('/') == std::string::npos
               ? "check the spelling, or whether the image has the program and its folder is in PATH"
               : "check that the path exists inside the image, and that a script's #! interpreter does";
  if (failure.kind == "permission_denied") return "the file must be executable by the user the command runs as";
  if (failure.kind == "not_executable")
    return "the file is neither a program for this machine nor a script with a #! line; run it with its interpreter";
  if (failure.kind == "bad_cwd") return "choose a directory that exists inside the sandbox (cwd, or --workdir)";
  if (failure.kind == "bad_args") return "the arguments and the environment together are too long";
  if (failure.kind == "user_setup_failed")
    return "the user must be in the image's /etc/passwd, or be given by number (USER|UID[:GROUP|GID])";
  if (failure.kind == "resource_limit") return "a hard limit can only be lowered; give a smaller value";
  if (failure.kind == "out_of_memory") return "give the sandbox more memory";
  return {};
}

}  // namespace

Result<std::vector<std::string>> join_env(const std::vector<std::pair<std::string, std::string>>& env) {
  std::vector<std::string> joined;
  std::vector<std::string_view> keys;
  for (const auto& [key, value] : env) {
    MSB_CHECK(check_env(key, value));
    auto found = std::find(keys.begin(), keys.end(), key);
    if (found != keys.end()) {
      joined[static_cast<size_t>(found - keys.begin())] = cat(key, "=", value);
    } else {
      keys.push_back(key);
      joined.push_back(cat(key, "=", value));
    }
  }
  return joined;
}

Result<std::vector<wire::Rlimit>> to_wire(const std::vector<ResourceLimit>& limits) {
  std::vector<wire::Rlimit> result;
  for (const auto& limit : limits) {
    MSB_CHECK(check_limit(limit));
    result.push_back({limit.resource, limit.soft, limit.hard});
  }
  return result;
}

Result<wire::ExecRequest> make_exec_request(const std::string& command, const ExecOptions& options) {
  if (command.empty()) return fail(ErrorKind::invalid_config, "the command is empty");
  MSB_CHECK(check_no_nul(command, "the command"));
  for (const auto& arg : options.args) MSB_CHECK(check_no_nul(arg, "an argument"));
  if (options.cwd) MSB_CHECK(check_no_nul(*options.cwd, "the working directory"));
  if (options.user) MSB_CHECK(check_no_nul(*options.user, "the user"));
  if (options.tty && (options.rows == 0 || options.cols == 0))
    return fail(ErrorKind::invalid_config, "a terminal needs at least one row and one column");
  wire::ExecRequest request;
  request.cmd = command;
  request.args = options.args;
  MSB_TRY(request.env, join_env(options.env));
  request.cwd = options.cwd;
  request.user = options.user;
  request.tty = options.tty;
  request.rows = options.rows;
  request.cols = options.cols;
  MSB_TRY(request.rlimits, to_wire(options.rlimits));
  // A terminal is both ends: it has input even when nobody will type.
  request.stdin_open = options.tty || options.stdin_mode != StdinMode::null;
  request.window = wire::kStreamWindow;
  return request;
}

namespace {

// The guest's words, fit for one line of a terminal.
std::string clean(std::string_view words) {
  std::string result(words.substr(0, 1000));
  for (char& c : result)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return result;
}

std::string describe(const wire::ExecRequest& request, const wire::ExecFailed& failure) {
  // Looked up in PATH: there is nothing to add.
  if (failure.kind == "not_found" && request.cmd.find('/') == std::string::npos)
    return cat("command not found: ", request.cmd);
  std::string what = cat("cannot start ", request.cmd);
  if (failure.kind == "not_found") what = cat("command not found: ", request.cmd);
  if (failure.kind == "permission_denied") what = cat("permission denied: ", request.cmd);
  if (failure.kind == "not_executable") what = cat("not executable: ", request.cmd);
  if (failure.kind == "bad_cwd" && request.cwd) what = cat("cannot use the working directory ", *request.cwd);
  if (failure.kind == "user_setup_failed" && request.user) what = cat("cannot become the user '", *request.user, "'");
  return failure.message.empty() ? what : cat(what, " (", clean(failure.message), ")");
}

}  // namespace

Error exec_failure(const wire::ExecRequest& request, const wire::ExecFailed& failure) {
  auto detail = std::make_shared<ExecFailedDetail>();
  detail->reason = failure.kind;
  detail->errnum = failure.errnum;
  detail->stage = failure.stage;
  Error error(ErrorKind::exec_failed, describe(request, failure));
  if (auto hint = advice(request, failure); !hint.empty()) error.hint(std::move(hint));
  return std::move(error).detail(std::move(detail));
}

}  // namespace msb
