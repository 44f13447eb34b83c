#include "state/home.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/sha256.h"
#include "base/temp_dir.h"

namespace msb::state {
namespace {

// The hex digits of a digest. Callers have parsed it; a path separator here would be a bug of ours.
std::string_view hex_of(std::string_view digest) {
  auto colon = digest.rfind(':');
  return colon == std::string_view::npos ? digest : digest.substr(colon + 1);
}

Result<std::string> user_home() {
  if (const char* from_env = ::secure_getenv("HOME"); from_env && *from_env == '/') return std::string(from_env);
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  if (::getpwuid_r(::getuid(), &entry, buffer, sizeof(buffer), &found) != 0 || !found || !found->pw_dir ||
      *found->pw_dir != '/')
    return fail(
        Error(ErrorKind::invalid_config, "neither MSB_HOME nor HOME is set, and this user has no home directory")
            .hint("set MSB_HOME to a directory where sandboxes may be kept"));
  return std::string(found->pw_dir);
}

}  // namespace

Result<Home> Home::resolve() {
  if (const char* from_env = ::secure_getenv("MSB_HOME"); from_env && *from_env) return at(from_env);
  MSB_TRY(std::string base, user_home());
  return at(base + "/.microsandbox");
}

Result<Home> Home::at(std::string_view path) {
  if (path.empty()) return fail(ErrorKind::invalid_config, "the home directory is an empty path");
  if (path.find('\0') != std::string_view::npos)
    return fail(ErrorKind::invalid_config, "the home directory's path has a zero byte");
  std::error_code error;
  auto absolute = std::filesystem::absolute(std::filesystem::path(path), error);
  if (error) return fail_errno(cat("resolve the home directory ", path), error.value());
  std::string text = absolute.lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return Home(std::move(text));
}

std::string Home::layer(std::string_view diff_id) const {
  return cat(layers_dir(), "/", hex_of(diff_id), ".erofs");
}
std::string Home::image_dir(std::string_view manifest_digest) const {
  return cat(images_dir(), "/", hex_of(manifest_digest));
}
std::string Home::image_tree(std::string_view manifest_digest) const {
  return image_dir(manifest_digest) + "/tree.erofs";
}
std::string Home::image_manifest(std::string_view manifest_digest) const {
  return image_dir(manifest_digest) + "/manifest.json";
}
std::string Home::image_config(std::string_view manifest_digest) const {
  return image_dir(manifest_digest) + "/config.json";
}
std::string Home::lock(std::string_view artifact) const {
  return cat(locks_dir(), "/", hex_of(artifact), ".lock");
}
std::string Home::runtime_dir(std::string_view content_hash) const {
  return cat(cache_dir(), "/runtime/", content_hash);
}
std::string Home::sandbox_dir(std::string_view name) const {
  return cat(sandboxes_dir(), "/", name);
}
std::string Home::volume_dir(std::string_view name) const {
  return cat(volumes_dir(), "/", name);
}

std::string Home::snapshot_dir(std::string_view name) const {
  return cat(snapshots_dir(), "/", name);
}

std::string Home::run_name(std::string_view name) {
  return sha256_hex(as_bytes(name)).substr(0, 12);
}

Result<> Home::make_dir(const std::string& directory) const {
  auto made = make_dirs(directory, 0700);
  if (made) return {};
  Error error = std::move(made).error();
  error.context(cat("prepare the home directory ", path_));
  int cause = error.errnum();
  if (cause == EROFS || cause == EACCES || cause == EPERM)
    error.hint("set MSB_HOME to a directory that you can write to");
  if (cause == ENOSPC || cause == EDQUOT) error.hint("free some disk space, or set MSB_HOME to another file system");
  return fail(std::move(error));
}

}  // namespace msb::state
