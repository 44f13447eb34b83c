#include "sandbox/msb_path.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string_view>

#include "state/runtime_files.h"

namespace msb {
namespace {

bool is_program(const std::string& path) {
  return ::access(path.c_str(), X_OK) == 0;
}

std::string directory_of(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::optional<std::string> this_program() {
  char path[4096];
  ssize_t length = ::readlink("/proc/self/exe", path, sizeof(path));
  if (length <= 0 || static_cast<size_t>(length) == sizeof(path)) return std::nullopt;
  return std::string(path, static_cast<size_t>(length));
}

std::optional<std::string> next_to_library() {
  Dl_info info{};
  if (!::dladdr(reinterpret_cast<const void*>(&find_msb), &info) || !info.dli_fname) return std::nullopt;
  std::string folder = directory_of(info.dli_fname);
  // lib/libmicrosandbox.so beside bin/msb; lib may have a subfolder for the architecture.
  for (const char* place : {"/msb", "/../bin/msb", "/../../bin/msb"})
    if (is_program(folder + place)) return folder + place;
  return std::nullopt;
}

std::optional<std::string> in_path() {
  const char* variable = ::getenv("PATH");
  std::string_view rest = variable ? variable : "";
  while (!rest.empty()) {
    auto folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(folder.size() == rest.size() ? rest.size() : folder.size() + 1);
    if (folder.empty()) continue;
    if (std::string path = cat(folder, "/msb"); is_program(path)) return path;
  }
  return std::nullopt;
}

}  // namespace

Result<std::string> find_msb() {
  if (const char* path = ::getenv("MSB_PATH"); path && *path) {
    if (is_program(path)) return std::string(path);
    return fail(Error(ErrorKind::runtime, cat("MSB_PATH names ", path, ", which is not a program")));
  }
  // Whatever its file is called, a program that carries the guest's runtime is msb.
  auto self = this_program();
  if (self && (state::has_embedded_runtime() || self->ends_with("/msb"))) {
    // Replaced while it runs (an upgrade): the kernel still has it.
    return is_program(*self) ? *self : "/proc/self/exe";
  }
  if (auto path = next_to_library()) return *path;
  if (auto path = in_path()) return *path;
  return fail(Error(ErrorKind::runtime, "the msb program, which runs sandboxes, was not found")
                  .hint("install msb in PATH, or set MSB_PATH to it"));
}

}  // namespace msb
