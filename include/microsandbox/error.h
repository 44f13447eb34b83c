// Error: what went wrong, in a form both a program and a person can use.
//
// An Error is a value: a kind that callers may branch on, one sentence, hints that
// say what to do next, and a trail of phrases added by each layer on the way up.
// The chain is printed once, by the outermost layer (CLI, SDK, server).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <microsandbox/export.h>

namespace msb {

// The kinds callers may branch on. code() gives the stable kebab-case name that
// every SDK exposes ("sandbox-not-found", ...).
enum class ErrorKind {
  internal,        // a bug of ours
  io,              // a system call on the host failed
  invalid_config,  // the caller asked for something that cannot be
  unsupported,     // valid, but not on this machine or in this version
  database,        // $MSB_HOME state could not be read or written
  protocol,        // a peer (guest, relay, registry) broke the wire format
  corrupt,         // stored or received data fails its checksum or format
  runtime,         // the sandbox process could not be started or died
  boot_start,      // the guest did not come up; detail has stage and kernel lines
  sandbox_not_found,
  sandbox_already_exists,
  sandbox_not_running,
  sandbox_still_running,
  no_default_command,  // neither the caller nor the image names a command
  exec_timeout,        // detail has the output captured so far
  exec_failed,         // the command could not be started; detail has the reason
  filesystem,          // an operation inside the guest's file system failed
  path_not_found,
  path_already_exists,
  is_a_directory,
  not_a_directory,
  permission_denied,
  image_not_found,
  image_in_use,
  image_pull_failed,
  volume_not_found,
  volume_already_exists,
  volume_in_use,
  snapshot_not_found,
  snapshot_already_exists,
  snapshot_integrity,  // its contents are not what they were when it was made
  network_policy,      // a rule, an address or a port that cannot be
  terminal,            // no usable terminal for an interactive session
  cancelled,           // the caller gave up
};

MSB_API std::string_view code(ErrorKind kind);

// Base of typed payloads (ExecFailure, ExecTimeout output, BootFailure ...).
struct MSB_API ErrorDetail {
  virtual ~ErrorDetail();
};

class MSB_API [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  // "<what>: No such file or directory"; kind io (or path_not_found is up to the caller).
  static Error from_errno(int errnum, std::string_view what);

  ErrorKind kind() const { return kind_; }
  // The errno behind the error, of this host or of the guest; else 0.
  int errnum() const { return errnum_; }
  const std::string& message() const { return message_; }
  const std::vector<std::string>& hints() const { return hints_; }
  // Phrases from the innermost to the outermost layer.
  const std::vector<std::string>& trail() const { return trail_; }

  // "outermost: ...: message", without hints.
  std::string to_string() const;

  Error& context(std::string phrase) & { return trail_.push_back(std::move(phrase)), *this; }
  Error&& context(std::string phrase) && { return trail_.push_back(std::move(phrase)), std::move(*this); }
  Error& hint(std::string advice) & { return hints_.push_back(std::move(advice)), *this; }
  Error&& hint(std::string advice) && { return hints_.push_back(std::move(advice)), std::move(*this); }
  Error&& with_errnum(int errnum) && { return errnum_ = errnum, std::move(*this); }
  Error&& as(ErrorKind kind) && { return kind_ = kind, std::move(*this); }
  Error&& detail(std::shared_ptr<const ErrorDetail> detail) && { return detail_ = std::move(detail), std::move(*this); }

  // The payload, or nullptr when there is none of that type.
  template <class T>
  const T* detail_as() const {
    return dynamic_cast<const T*>(detail_.get());
  }

 private:
  ErrorKind kind_;
  int errnum_ = 0;
  std::string message_;
  std::vector<std::string> hints_;
  std::vector<std::string> trail_;
  std::shared_ptr<const ErrorDetail> detail_;
};

}  // namespace msb
