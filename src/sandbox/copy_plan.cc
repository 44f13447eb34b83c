#include "sandbox/copy_plan.h"

#include "tree/tree_sink.h"

namespace msb {
namespace {

std::string without_slashes(const std::string& path) {
  return path.substr(0, path.find_last_not_of('/') + 1);
}

bool names_a_directory(const std::string& path) {
  return path.ends_with('/') || path.ends_with("/.") || path == ".";
}

}  // namespace

bool means_contents(const std::string& path) {
  std::string trimmed = without_slashes(path);
  return trimmed.empty() || trimmed == "." || trimmed.ends_with("/.");
}

Result<CopyTarget> plan_copy(const CopySource& source, const std::string& destination, Destination found) {
  std::string from = tree::printable_path(source.path), to = tree::printable_path(destination);
  if (!source.is_directory && names_a_directory(source.path))
    return fail(ErrorKind::not_a_directory, cat(from, " is not a directory"));
  if (found == Destination::missing) {
    if (!source.is_directory && names_a_directory(destination))
      return fail(Error(ErrorKind::path_not_found, cat("the directory ", to, " does not exist")).hint("make it first"));
    return CopyTarget{without_slashes(destination), false};
  }
  if (found == Destination::file) {
    if (source.is_directory)
      return fail(ErrorKind::not_a_directory, cat(from, " is a directory, and ", to, " is none"));
    if (names_a_directory(destination)) return fail(ErrorKind::not_a_directory, cat(to, " is not a directory"));
    return CopyTarget{destination, false};
  }
  if (source.is_directory && means_contents(source.path)) return CopyTarget{destination, true};
  std::string trimmed = without_slashes(source.path);
  std::string name = trimmed.substr(trimmed.rfind('/') + 1);
  if (!tree::is_name(name))
    return fail(
        Error(ErrorKind::invalid_config, cat("the copy of ", from, " has no name")).hint("name the directory itself"));
  return CopyTarget{cat(destination, destination.ends_with('/') ? "" : "/", name), false};
}

}  // namespace msb
