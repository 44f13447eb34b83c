#include <cstring>

#include <microsandbox/error.h>

#include "base/cat.h"

namespace msb {

ErrorDetail::~ErrorDetail() = default;

std::string_view code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::internal:
      return "internal-error";
    case ErrorKind::io:
      return "io-error";
    case ErrorKind::invalid_config:
      return "invalid-config";
    case ErrorKind::unsupported:
      return "unsupported";
    case ErrorKind::database:
      return "database-error";
    case ErrorKind::protocol:
      return "protocol-error";
    case ErrorKind::corrupt:
      return "corrupt-data";
    case ErrorKind::runtime:
      return "runtime-error";
    case ErrorKind::boot_start:
      return "boot-start";
    case ErrorKind::sandbox_not_found:
      return "sandbox-not-found";
    case ErrorKind::sandbox_already_exists:
      return "sandbox-already-exists";
    case ErrorKind::sandbox_not_running:
      return "sandbox-not-running";
    case ErrorKind::sandbox_still_running:
      return "sandbox-still-running";
    case ErrorKind::no_default_command:
      return "no-default-command";
    case ErrorKind::exec_timeout:
      return "exec-timeout";
    case ErrorKind::exec_failed:
      return "exec-failed";
    case ErrorKind::filesystem:
      return "filesystem-error";
    case ErrorKind::path_not_found:
      return "path-not-found";
    case ErrorKind::path_already_exists:
      return "path-already-exists";
    case ErrorKind::is_a_directory:
      return "is-a-directory";
    case ErrorKind::not_a_directory:
      return "not-a-directory";
    case ErrorKind::permission_denied:
      return "permission-denied";
    case ErrorKind::image_not_found:
      return "image-not-found";
    case ErrorKind::image_in_use:
      return "image-in-use";
    case ErrorKind::image_pull_failed:
      return "image-pull-failed";
    case ErrorKind::volume_not_found:
      return "volume-not-found";
    case ErrorKind::volume_already_exists:
      return "volume-already-exists";
    case ErrorKind::volume_in_use:
      return "volume-in-use";
    case ErrorKind::snapshot_not_found:
      return "snapshot-not-found";
    case ErrorKind::snapshot_already_exists:
      return "snapshot-already-exists";
    case ErrorKind::snapshot_integrity:
      return "snapshot-integrity";
    case ErrorKind::network_policy:
      return "network-policy-error";
    case ErrorKind::terminal:
      return "terminal-error";
    case ErrorKind::cancelled:
      return "cancelled";
  }
  return "internal-error";
}

Error Error::from_errno(int errnum, std::string_view what) {
  char buffer[128];
  Error error(ErrorKind::io, cat(what, ": ", std::string_view(strerror_r(errnum, buffer, sizeof(buffer)))));
  error.errnum_ = errnum;
  return error;
}

std::string Error::to_string() const {
  std::string text;
  for (auto phrase = trail_.rbegin(); phrase != trail_.rend(); ++phrase) text += *phrase + ": ";
  return text + message_;
}

}  // namespace msb
