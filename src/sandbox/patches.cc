#include "sandbox/patches.h"

#include <sys/stat.h>

#include <climits>
#include <cstdlib>

#include "disk/erofs_format.h"

namespace msb {
namespace {

constexpr uint32_t kModeBits = 07777;
constexpr size_t kMaxPath = PATH_MAX - 1;

std::string_view name_of(Patch::Kind kind) {
  switch (kind) {
    case Patch::Kind::text:
      return "text";
    case Patch::Kind::file:
      return "file";
    case Patch::Kind::mkdir:
      return "mkdir";
    case Patch::Kind::append:
      return "append";
    case Patch::Kind::copy_file:
      return "copy_file";
    case Patch::Kind::copy_dir:
      return "copy_dir";
    case Patch::Kind::symlink:
      return "symlink";
    case Patch::Kind::remove:
      return "remove";
  }
  return "patch";
}

bool copies(const Patch& patch) {
  return patch.kind == Patch::Kind::copy_file || patch.kind == Patch::Kind::copy_dir;
}

tl::unexpected<Error> invalid(std::string message, std::string hint) {
  return fail(Error(ErrorKind::invalid_config, std::move(message)).hint(std::move(hint)));
}

// Absolute, without "..". Empty and "." components mean nothing, as everywhere.
Result<> check_path(const Patch& patch) {
  constexpr const char* kHint = "write an absolute path of the guest, like /etc/app.conf";
  std::string_view path = patch.path;
  if (path.find('\0') != path.npos) return invalid("a patch's path contains a NUL byte", kHint);
  if (!path.starts_with('/')) return invalid(cat("the patch's path '", path, "' does not begin with '/'"), kHint);
  if (path.size() > kMaxPath) return invalid(cat("a patch's path is longer than ", kMaxPath, " bytes"), kHint);
  bool names_something = false;
  while (!path.empty()) {
    std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), part.size() + 1));
    if (part == "..") return invalid(cat("the patch's path '", patch.path, "' has a '..' component"), kHint);
    if (part.size() > disk::erofs::kNameMax)
      return invalid(cat("the patch's path '", patch.path, "' has a name longer than 255 bytes"), kHint);
    names_something |= !part.empty() && part != ".";
  }
  if (!names_something && patch.kind != Patch::Kind::mkdir && patch.kind != Patch::Kind::copy_dir)
    return invalid(cat("the patch ", describe(patch), " is of the root directory"), kHint);
  return {};
}

Result<> check_one(const Patch& patch) {
  MSB_CHECK(check_path(patch));
  if (patch.mode && *patch.mode > kModeBits)
    return invalid(cat("the patch ", describe(patch), " has a mode with more than permission bits"),
                   "modes are octal, like 0644");
  if (copies(patch)) {
    if (patch.source.empty()) return invalid(cat("the patch ", describe(patch), " copies nothing"), "name a source");
    if (patch.source.find('\0') != patch.source.npos)
      return invalid(cat("the source of the patch ", describe(patch), " contains a NUL byte"), "mend it");
  }
  if (patch.kind != Patch::Kind::symlink) return {};
  if (patch.content.empty() || patch.content.size() > disk::erofs::kSymlinkMax)
    return invalid(cat("the target of the patch ", describe(patch), " is empty or longer than 4095 bytes"),
                   "name where the link points");
  if (patch.content.find('\0') != patch.content.npos)
    return invalid(cat("the target of the patch ", describe(patch), " contains a NUL byte"), "mend it");
  return {};
}

Patch make(Patch::Kind kind, std::string path, std::string content, PatchOptions options = {}) {
  return {.kind = kind,
          .path = std::move(path),
          .content = std::move(content),
          .mode = options.mode,
          .replace = options.replace};
}

}  // namespace

Patch Patch::text(std::string path, std::string content, PatchOptions options) {
  return make(Kind::text, std::move(path), std::move(content), options);
}
Patch Patch::file(std::string path, std::string bytes, PatchOptions options) {
  return make(Kind::file, std::move(path), std::move(bytes), options);
}
Patch Patch::mkdir(std::string path, PatchOptions options) {
  return make(Kind::mkdir, std::move(path), {}, options);
}
Patch Patch::append(std::string path, std::string content) {
  return make(Kind::append, std::move(path), std::move(content));
}
Patch Patch::copy_file(std::string source, std::string path, PatchOptions options) {
  Patch patch = make(Kind::copy_file, std::move(path), {}, options);
  patch.source = std::move(source);
  return patch;
}
Patch Patch::copy_dir(std::string source, std::string path, bool replace) {
  Patch patch = make(Kind::copy_dir, std::move(path), {}, {.replace = replace});
  patch.source = std::move(source);
  return patch;
}
Patch Patch::symlink(std::string target, std::string path, bool replace) {
  return make(Kind::symlink, std::move(path), std::move(target), {.replace = replace});
}
Patch Patch::remove(std::string path) {
  return make(Kind::remove, std::move(path), {});
}

std::string describe(const Patch& patch) {
  return cat(name_of(patch.kind), ' ', patch.path);
}

Result<> check_patches(const SandboxConfig& config) {
  if (config.patches.empty()) return {};
  if (config.image.kind == ImageSource::Kind::disk)
    return invalid("a disk image cannot be patched: its file system is the guest's own",
                   "copy files into the running sandbox with `msb cp`, or mount them");
  for (const auto& patch : config.patches) MSB_CHECK(check_one(patch));
  return {};
}

Result<> resolve_patches(std::vector<Patch>& patches) {
  for (auto& patch : patches) {
    if (!copies(patch)) continue;
    char resolved[PATH_MAX];
    struct stat status;
    if (!::realpath(patch.source.c_str(), resolved) || ::stat(resolved, &status) < 0)
      return fail(Error::from_errno(errno, cat("patch ", describe(patch), ": read ", patch.source))
                      .as(ErrorKind::path_not_found)
                      .hint("the source of a copy is a path on this host"));
    const bool directory = S_ISDIR(status.st_mode);
    if (directory && patch.kind == Patch::Kind::copy_file)
      return fail(
          Error(ErrorKind::is_a_directory, cat("patch ", describe(patch), ": ", patch.source, " is a directory"))
              .hint("copy it as one: --copy-dir, Patch::copy_dir"));
    if (!directory && patch.kind == Patch::Kind::copy_dir)
      return fail(
          Error(ErrorKind::not_a_directory, cat("patch ", describe(patch), ": ", patch.source, " is not a directory"))
              .hint("copy it as a file: --copy-file, Patch::copy_file"));
    if (!directory && !S_ISREG(status.st_mode))
      return fail(ErrorKind::invalid_config, cat("patch ", describe(patch), ": ", patch.source, " is not a file"));
    patch.source = resolved;
  }
  return {};
}

}  // namespace msb
