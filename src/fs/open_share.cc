#include "fs/open_share.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <string_view>

namespace msb::fs {
namespace {

Error cannot_share(const std::string& path, int error) {
  if (error == ENOENT)
    return Error::from_errno(error, cat("share ", path))
        .as(ErrorKind::path_not_found)
        .hint("it was there when the sandbox was made; put it back, or make the sandbox anew");
  return Error::from_errno(error, cat("share ", path));
}

Error changed(const std::string& path, std::string_view what) {
  return Error(ErrorKind::invalid_config, cat("share ", path, ": ", what))
      .hint("it was another thing when the sandbox was made; make the sandbox anew");
}

// One component at a time, each in the directory before it.
Result<Fd> open_directory(const std::string& path) {
  Fd at(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!at) return fail(cannot_share(path, errno));
  for (std::string_view rest = path; !rest.empty();) {
    const std::string name(rest.substr(0, rest.find('/')));
    rest.remove_prefix(name.size() == rest.size() ? rest.size() : name.size() + 1);
    if (name.empty() || name == ".") continue;
    if (name == "..") return fail(changed(path, "the path has a '..' in it"));
    Fd next(::openat(at.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next && (errno == ENOTDIR || errno == ELOOP))
      return fail(changed(path, cat("'", name, "' in it is not a directory")));
    if (!next) return fail(cannot_share(path, errno));
    at = std::move(next);
  }
  return at;
}

}  // namespace

ShareOptions options_of(const state::ShareSpec& spec) {
  using Spec = state::ShareSpec;
  ShareOptions options;
  options.writable = spec.read_only ? Writable::no : Writable::yes;
  switch (spec.ownership) {
    case Spec::Ownership::strict:
      options.ownership = Ownership::strict;
      break;
    case Spec::Ownership::relaxed:
      options.ownership = Ownership::relaxed;
      break;
    case Spec::Ownership::host:
      options.ownership = Ownership::host;
      break;
  }
  options.host_modes = spec.host_modes == Spec::HostModes::private_ ? HostModes::private_ : HostModes::mirror;
  options.only = spec.only;
  options.protect_hooks = spec.protect_hooks;
  return options;
}

Result<Share> open_share(const state::ShareSpec& spec) {
  if (!spec.path.starts_with('/')) return fail(ErrorKind::invalid_config, cat("share ", spec.path, ": not absolute"));
  MSB_TRY(Fd root, open_directory(spec.path));
  if (!spec.only.empty()) {
    const std::string file = cat(spec.path == "/" ? "" : spec.path, "/", spec.only);
    struct stat status{};
    if (spec.only.find('/') != std::string::npos) return fail(changed(file, "not the name of a file"));
    if (::fstatat(root.get(), spec.only.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0)
      return fail(cannot_share(file, errno));
    if (!S_ISREG(status.st_mode)) return fail(changed(file, "not a regular file"));
  }
  Share share{spec.name, std::move(root), options_of(spec)};
  if (spec.quota_bytes > 0 && spec.usage.empty()) {
    share.quota = Quota::of_growth(spec.quota_bytes);
  } else if (spec.quota_bytes > 0) {
    MSB_TRY(Fd record, open_usage_record(spec.usage, spec.path));
    MSB_TRY(share.quota, Quota::of_volume(spec.quota_bytes, std::move(record)));
  }
  return share;
}

}  // namespace msb::fs
