#include "qemu/discovery.h"

#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <set>

#include "base/child.h"
#include "base/elf.h"
#include "base/fd.h"
#include "base/temp_dir.h"
#include "qemu/discovery_cache.h"
#include "qemu/tsc.h"

namespace msb::qemu {
namespace {

constexpr std::string_view kProgram = "qemu-system-x86_64";
constexpr std::string_view kTcgModule = "accel-tcg-x86_64.so";
constexpr std::string_view kFirmware = "qboot.rom";

std::string parent(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

std::vector<std::string> expand(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> paths;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  return paths;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    size_t end = text.find(separator);
    if (!text.substr(0, end).empty()) parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string_view environment(const char* name) {
  const char* value = ::getenv(name);
  return value ? value : "";
}

// Paths of programs to look at, in order of preference among equal versions, each file once.
std::vector<FileStamp> candidates(const QemuSearch& search) {
  std::vector<std::string> directories = search.extra_dirs;
  for (auto& directory : split(environment("PATH"), ':'))
    if (directory.front() == '/') directories.push_back(std::move(directory));
  char self[4096];
  if (ssize_t length = ::readlink("/proc/self/exe", self, sizeof(self)); length > 0)
    directories.push_back(parent(std::string(self, static_cast<size_t>(length))));
  for (const char* directory : {"/usr/bin", "/usr/local/bin"}) directories.emplace_back(directory);
  for (auto& directory : expand("/opt/*/bin")) directories.push_back(std::move(directory));
  std::vector<FileStamp> found;
  for (const auto& directory : directories) {
    std::string path = cat(directory, "/", kProgram);
    if (::access(path.c_str(), X_OK) != 0) continue;
    auto stamp = FileStamp::of(path);
    auto same = [&](const FileStamp& other) { return other.inode == stamp->inode && other.size == stamp->size; };
    if (stamp && std::none_of(found.begin(), found.end(), same)) found.push_back(std::move(*stamp));
  }
  return found;
}

Result<QemuVersion> ask_version(const std::string& path) {
  MSB_TRY(std::string text, run_capture({path, "--version"}));
  constexpr std::string_view kPrefix = "version ";
  size_t at = text.find(kPrefix);
  if (at == std::string::npos) return fail(ErrorKind::unsupported, "does not say its version");
  const char* next = text.data() + at + kPrefix.size();
  const char* end = text.data() + text.size();
  QemuVersion version;
  for (int* part : {&version.major, &version.minor, &version.micro}) {
    next = std::from_chars(next, end, *part).ptr;
    if (next != end && *next == '.') ++next;
  }
  return version;
}

Result<bool> ask_machines(const std::string& path) {
  std::vector<std::string> command = {path, "-sandbox", "on", "-machine", "help"};
  bool has_sandbox = true;
  auto machines = run_capture(command);
  if (!machines) {
    has_sandbox = false;
    command.erase(command.begin() + 1, command.begin() + 3);
    machines = run_capture(command);
  }
  MSB_TRY(std::string text, std::move(machines));
  if (text.find("\nmicrovm ") == std::string::npos) return fail(ErrorKind::unsupported, "has no microvm machine");
  return has_sandbox;
}

// Adds what the dynamic loader would load for `path`.
Result<> add_libraries(const std::string& interpreter, const std::string& path, std::set<std::string>& libraries) {
  MSB_TRY(std::string text, run_capture({interpreter, "--list", path}));
  for (std::string_view line : split(text, '\n')) {
    // "\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x...)"; the loader itself and the vDSO have no arrow.
    size_t arrow = line.find("=> ");
    if (arrow == std::string_view::npos) continue;
    std::string_view target = line.substr(arrow + 3);
    target = target.substr(0, target.find(" ("));
    if (target.starts_with('/'))
      libraries.emplace(target);
    else if (target.find("not found") != std::string_view::npos)
      return fail(ErrorKind::unsupported, cat("lacks a shared library (", line.substr(1), ")"));
  }
  return {};
}

Result<std::vector<FileStamp>> stamps_of(const std::set<std::string>& paths) {
  std::vector<FileStamp> stamps;
  for (const auto& path : paths) {
    MSB_TRY(FileStamp stamp, FileStamp::of(path));
    stamps.push_back(std::move(stamp));
  }
  return stamps;
}

std::string find_module_dir(const std::string& binary) {
  std::string prefix = parent(parent(binary));
  for (const auto& pattern :
       {prefix + "/lib/*/qemu", prefix + "/lib/qemu", prefix + "/lib64/qemu", std::string("/usr/lib/*/qemu")})
    for (const auto& directory : expand(pattern))
      if (path_exists(cat(directory, "/", kTcgModule))) return directory;
  return {};
}

Result<std::string> find_firmware_dir(const std::string& binary) {
  MSB_TRY(std::string text, run_capture({binary, "-L", "help"}));
  std::vector<std::string> directories = split(text, '\n');
  directories.push_back(parent(parent(binary)) + "/share/qemu");
  for (const auto& directory : directories) {
    char resolved[PATH_MAX];
    if (path_exists(cat(directory, "/", kFirmware)) && ::realpath(directory.c_str(), resolved))
      return std::string(resolved);
  }
  return fail(Error(ErrorKind::unsupported, cat("its firmware ", kFirmware, " is missing"))
                  .hint("Install the package qemu-system-data (Debian, Ubuntu)."));
}

// All that can be known about one program. The Error is the reason to reject it.
Result<QemuProgram> examine(FileStamp binary) {
  QemuProgram program;
  const std::string path = binary.path;
  program.binary = std::move(binary);
  MSB_TRY(program.interpreter, elf_interpreter(path));
  MSB_TRY(program.version, ask_version(path));
  if (program.version < kOldestQemu)
    return fail(ErrorKind::unsupported,
                cat("version ", program.version.to_string(), " is older than ", kOldestQemu.to_string()));
  MSB_TRY(program.has_sandbox, ask_machines(path));
  MSB_TRY(program.firmware_dir, find_firmware_dir(path));
  MSB_TRY(program.firmware, stamps_of({cat(program.firmware_dir, "/", kFirmware)}));
  if (!program.interpreter.empty()) {
    std::set<std::string> libraries;
    MSB_CHECK(add_libraries(program.interpreter, path, libraries));
    program.module_dir = find_module_dir(path);
    if (!program.module_dir.empty()) {
      std::string module = cat(program.module_dir, "/", kTcgModule);
      libraries.insert(module);
      MSB_CHECK(add_libraries(program.interpreter, module, libraries));
    }
    MSB_TRY(program.libraries, stamps_of(libraries));
  }
  return program;
}

bool unchanged(const FileStamp& stamp) {
  auto now = FileStamp::of(stamp.path);
  return now && *now == stamp;
}

bool unchanged(const QemuProgram& program) {
  auto all = [](const std::vector<FileStamp>& stamps) {
    return std::all_of(stamps.begin(), stamps.end(), [](const FileStamp& stamp) { return unchanged(stamp); });
  };
  return unchanged(program.binary) && all(program.libraries) && all(program.firmware);
}

uint64_t tsc_of_this_boot(QemuCache& cache, bool& dirty) {
  auto boot_id = read_file("/proc/sys/kernel/random/boot_id", 64);
  if (boot_id && cache.tsc_khz != 0 && cache.boot_id == *boot_id) return cache.tsc_khz;
  cache.tsc_khz = host_tsc_khz();
  cache.boot_id = boot_id ? *boot_id : std::string();
  dirty = true;
  return cache.tsc_khz;
}

// From the cache when nothing changed, else by asking the program.
Result<QemuProgram> look_at(const FileStamp& candidate, QemuCache& cache, bool& dirty) {
  for (const auto& known : cache.programs)
    if (known.binary == candidate && unchanged(known)) return known;
  for (const auto& [stamp, reason] : cache.rejected)
    if (stamp == candidate) return fail(ErrorKind::unsupported, reason);
  dirty = true;
  auto program = examine(candidate);
  std::erase_if(cache.programs, [&](const QemuProgram& known) { return known.binary.path == candidate.path; });
  std::erase_if(cache.rejected, [&](const auto& known) { return known.first.path == candidate.path; });
  if (program) cache.programs.push_back(*program);
  // A missing library or firmware file may be installed later without changing the program: not remembered.
  else if (program.error().message().find("version") != std::string::npos)
    cache.rejected.emplace_back(candidate, program.error().message());
  return program;
}

Error missing(const QemuSurvey& survey) {
  std::string message = "no usable QEMU was found on this host";
  for (const auto& rejected : survey.rejected) message += cat("; ", rejected.path, " ", rejected.reason);
  return Error(ErrorKind::unsupported, std::move(message))
      .hint(
          "Install QEMU 7.2 or newer (10 or newer is much faster): apt-get install qemu-system-x86 on Debian and "
          "Ubuntu, "
          "dnf install qemu-system-x86-core on Fedora.")
      .hint("Or name the program in MSB_QEMU_PATH.");
}

}  // namespace

std::string QemuVersion::to_string() const {
  return cat(major, ".", minor, ".", micro);
}

Result<FileStamp> FileStamp::of(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) < 0) return fail_errno(cat("look at ", path));
  return FileStamp{path, static_cast<uint64_t>(found.st_size),
                   int64_t{found.st_mtim.tv_sec} * 1'000'000'000 + found.st_mtim.tv_nsec, found.st_ino};
}

Result<QemuSurvey> survey_qemu(const QemuSearch& search) {
  QemuCache cache = QemuCache::load(search.cache_file);
  bool dirty = false;
  uint64_t tsc_khz = tsc_of_this_boot(cache, dirty);
  std::vector<FileStamp> found;
  if (std::string chosen(environment("MSB_QEMU_PATH")); !chosen.empty()) {
    auto stamp = FileStamp::of(chosen);
    if (!stamp) return fail(std::move(stamp).error().as(ErrorKind::unsupported).hint("MSB_QEMU_PATH names that file."));
    found.push_back(std::move(*stamp));
  } else {
    found = candidates(search);
  }
  QemuSurvey survey;
  for (const auto& candidate : found) {
    auto program = look_at(candidate, cache, dirty);
    if (!program) {
      survey.rejected.push_back({candidate.path, program.error().message()});
      continue;
    }
    program->tsc_khz = tsc_khz;
    // Newest first; among equals the one found first.
    auto older = [&](const QemuProgram& other) { return other.version < program->version; };
    survey.usable.insert(std::find_if(survey.usable.begin(), survey.usable.end(), older), std::move(*program));
  }
  if (dirty) cache.save(search.cache_file);
  return survey;
}

Result<QemuProgram> find_qemu(const QemuSearch& search) {
  MSB_TRY(QemuSurvey survey, survey_qemu(search));
  if (survey.usable.empty()) return fail(missing(survey));
  return std::move(survey.usable.front());
}

}  // namespace msb::qemu
