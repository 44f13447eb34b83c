#include "sandbox/binds.h"

#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>

#include "base/units.h"
#include "fs/obeyed_names.h"

namespace msb {
namespace {

using SourceType = Mount::SourceType;

Result<> refuse(ErrorKind kind, std::string message, std::string hint) {
  return fail(Error(kind, std::move(message)).hint(std::move(hint)));
}

Result<std::string> real_path(const std::string& path) {
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved)) return std::string(resolved);
  Error error = Error::from_errno(errno, cat("share ", path));
  if (errno == EACCES) return fail(std::move(error).as(ErrorKind::permission_denied));
  return fail(std::move(error)
                  .as(ErrorKind::path_not_found)
                  .hint("the source of a bind must be there; for a named volume, write its name without a '/'"));
}

// Whether `path`, which is canonical, is that directory or lies in it, by whatever name (bind mounts have several).
bool lies_in(const std::string& path, const struct stat& directory) {
  for (size_t length = path.size(); length != path.npos;
       length = length > 0 ? path.rfind('/', length - 1) : path.npos) {
    struct stat status{};
    const std::string part = length == 0 ? "/" : path.substr(0, length);
    if (::stat(part.c_str(), &status) == 0 && status.st_dev == directory.st_dev && status.st_ino == directory.st_ino)
      return true;
  }
  return false;
}

Result<> keep_home_apart(const Mount& mount, const std::string& source, const state::Home& home) {
  struct stat home_status{}, source_status{};
  char home_path[PATH_MAX];
  if (!::realpath(home.path().c_str(), home_path) || ::stat(home_path, &home_status) < 0) return {};
  if (lies_in(source, home_status))
    return refuse(ErrorKind::invalid_config, cat(source, " cannot be shared: msb keeps its own files in ", home_path),
                  "a guest that gets at them gets at every sandbox; `msb cp` copies single files, named volumes are "
                  "shared by name");
  if (mount.read_only || ::stat(source.c_str(), &source_status) < 0 || !S_ISDIR(source_status.st_mode)) return {};
  if (lies_in(home_path, source_status))
    return refuse(ErrorKind::invalid_config,
                  cat(source, " cannot be shared for writing: msb keeps its own files in it, in ", home_path),
                  "share a directory that does not contain them, or add :ro, or set MSB_HOME to another place");
  return {};
}

Result<> check_type(Mount& mount, const std::string& source) {
  struct stat status{};
  if (::stat(source.c_str(), &status) < 0) return fail_errno(cat("look at ", source));
  if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
    return refuse(ErrorKind::invalid_config, cat(source, " is neither a directory nor a regular file"),
                  "devices, sockets and FIFOs of the host cannot be shared");
  const SourceType type = S_ISDIR(status.st_mode) ? SourceType::directory : SourceType::file;
  if (mount.source_type == SourceType::any) mount.source_type = type;
  if (mount.source_type == type) return {};
  if (type == SourceType::directory)
    return refuse(ErrorKind::is_a_directory,
                  cat(source, " is a directory, but a file was to be mounted on ", mount.target),
                  "--mount-dir and --volume mount directories");
  return refuse(ErrorKind::not_a_directory,
                cat(source, " is not a directory, but one was to be mounted on ", mount.target),
                "--mount-file and --volume mount files");
}

Result<> check_access(const Mount& mount, const std::string& source) {
  const bool directory = mount.source_type == SourceType::directory;
  if (::access(source.c_str(), directory ? R_OK | X_OK : R_OK) < 0)
    return fail(Error::from_errno(errno, cat("share ", source)).as(ErrorKind::permission_denied));
  if (mount.read_only || mount.stat_virtualization != StatVirtualization::strict) return {};
  if (::getxattr(source.c_str(), "user.msb.probe", nullptr, 0) < 0 && errno == ENOTSUP)
    return refuse(ErrorKind::unsupported,
                  cat("the host's file system under ", source,
                      " has no extended attributes, in which owners and modes of the guest are kept"),
                  "add stat-virt=relaxed (they last until the sandbox stops) or stat-virt=off (the host's own)");
  return {};
}

}  // namespace

Result<> resolve_bind(Mount& mount, const state::Home& home, Resolution resolution) {
  MSB_TRY(std::string source, real_path(mount.source));
  if (resolution == Resolution::again && !mount.follow_root_symlinks && source != mount.source)
    return refuse(ErrorKind::invalid_config, cat(mount.source, " leads through a symbolic link now, to ", source),
                  "it did not when the sandbox was made: make it anew, or mount with follow-root-symlinks");
  MSB_CHECK(check_type(mount, source));
  MSB_CHECK(check_access(mount, source));
  MSB_CHECK(keep_home_apart(mount, source, home));
  if (mount.protect_hooks && !mount.read_only && fs::is_obeyed(source))
    return refuse(ErrorKind::invalid_config, cat(source, " is itself what protect-hooks protects"),
                  "share the directory above it, or add :ro");
  const bool keep_links = mount.follow_root_symlinks && resolution == Resolution::first;
  mount.source = keep_links ? std::filesystem::absolute(mount.source).string() : std::move(source);
  return {};
}

state::ShareSpec share_of(const Mount& mount, std::string name) {
  using Spec = state::ShareSpec;
  Spec spec{.name = std::move(name), .path = mount.source, .read_only = mount.read_only};
  if (mount.source_type == SourceType::file) {
    const size_t slash = mount.source.rfind('/');
    spec.path = slash == 0 ? "/" : mount.source.substr(0, slash);
    spec.only = mount.source.substr(slash + 1);
  }
  switch (mount.stat_virtualization) {
    case StatVirtualization::strict:
      spec.ownership = Spec::Ownership::strict;
      break;
    case StatVirtualization::relaxed:
      spec.ownership = Spec::Ownership::relaxed;
      break;
    case StatVirtualization::off:
      spec.ownership = Spec::Ownership::host;
      break;
  }
  spec.host_modes =
      mount.host_permissions == HostPermissions::mirror ? Spec::HostModes::mirror : Spec::HostModes::private_;
  spec.quota_bytes = uint64_t{mount.quota_mib} * kMiB;
  spec.protect_hooks = mount.protect_hooks;
  return spec;
}

}  // namespace msb
