#include "sandbox/validate.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

#include <microsandbox/image.h>

#include "base/sha256.h"
#include "base/utf8.h"
#include "disk/ext4_template.h"
#include "sandbox/mounts.h"
#include "sandbox/network_plan.h"
#include "sandbox/patches.h"
#include "sandbox/scripts.h"

namespace msb {
namespace {

constexpr size_t kMaxName = 128;
constexpr size_t kMaxHostname = 64;
constexpr uint32_t kMaxCpus = 32;       // of the guest kernel (CONFIG_NR_CPUS); the host may have fewer
constexpr uint32_t kMinMemoryMib = 32;  // below this the kernel itself does not fit
constexpr std::array<std::string_view, 16> kLimits{"cpu",      "fsize",  "data",    "stack", "core",  "rss",
                                                   "nproc",    "nofile", "memlock", "as",    "locks", "sigpending",
                                                   "msgqueue", "nice",   "rtprio",  "rttime"};
constexpr std::array<std::string_view, 3> kReservedLabels{"sandbox.", "microsandbox.", "service."};

bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

Result<> invalid(std::string message) {
  return fail(ErrorKind::invalid_config, std::move(message));
}

Result<> check_text(std::string_view text, std::string_view what) {
  if (text.find('\0') != std::string_view::npos) return invalid(cat(what, " contains a NUL byte"));
  return {};
}

Result<> check_words(const std::optional<std::vector<std::string>>& words, std::string_view what) {
  if (!words) return {};
  for (const auto& word : *words) MSB_CHECK(check_text(word, what));
  if (!words->empty() && words->front().empty()) return invalid(cat(what, " begins with an empty word"));
  return {};
}

Result<> check_hostname(std::string_view name) {
  if (name.size() > kMaxHostname) return invalid(cat("the host name '", name, "' is longer than 64 bytes"));
  bool good =
      std::all_of(name.begin(), name.end(), [](char c) { return is_alnum(c) || c == '.' || c == '-' || c == '_'; });
  if (!good || !is_alnum(name.front()))
    return invalid(
        cat("the host name '", name, "' may have letters, digits, '.', '-' and '_' and begins with a letter or digit"));
  return {};
}

// USER|UID[:GROUP|GID]; whether there is such a user is for the guest to say.
Result<> check_user(std::string_view user) {
  MSB_CHECK(check_text(user, "the user"));
  if (std::count(user.begin(), user.end(), ':') > 1)
    return invalid(cat("'", user, "' is no user; write USER or UID, or with a group USER:GROUP"));
  return {};
}

Result<> check_duration(const std::optional<std::chrono::milliseconds>& value, std::string_view what) {
  if (value && value->count() <= 0) return invalid(cat(what, " must be longer than zero; leave it out for no limit"));
  return {};
}

Result<> check_image(const ImageSource& image) {
  if (image.reference.empty()) return invalid("no image is given");
  MSB_CHECK(check_text(image.reference, "the image"));
  if (image.kind == ImageSource::Kind::oci) MSB_CHECK(Image::check_reference(image.reference));
  if (image.kind != ImageSource::Kind::disk && (image.format || !image.fstype.empty()))
    return invalid("a disk format or file system type is for disk images only");
  return check_text(image.fstype, "the file system type");
}

// What a snapshot brings cannot be given beside it.
Result<> check_snapshot(const SandboxConfig& config) {
  MSB_CHECK(check_text(config.from_snapshot, "the snapshot"));
  if (!config.image.reference.empty()) return invalid("an image and a snapshot are given: a snapshot brings its image");
  if (!config.patches.empty())
    return invalid("a sandbox from a snapshot cannot be patched: change it from inside, or patch the image anew");
  return {};
}

Result<> check_root_disk(const SandboxConfig& config) {
  const RootDisk& disk = config.root_disk;
  if (config.image.kind == ImageSource::Kind::disk && disk.kind != RootDisk::Kind::managed)
    return invalid("a disk image is its own root disk; it has no writable layer over it");
  if (disk.kind != RootDisk::Kind::disk && (!disk.source.empty() || disk.format))
    return invalid("a root disk of the sandbox's own has no source and no format");
  switch (disk.kind) {
    case RootDisk::Kind::managed:
      return check_root_disk_size(disk.size_mib);
    case RootDisk::Kind::flat:
      if (!disk.fstype.empty() && disk.fstype != "ext4")
        return invalid(cat("a flat root disk is ext4, not ", disk.fstype));
      return check_root_disk_size(disk.size_mib);
    case RootDisk::Kind::tmpfs:
      if (disk.size_mib > config.memory_mib)
        return invalid(cat("a root disk of ", disk.size_mib, " MiB in memory does not fit the ", config.memory_mib,
                           " MiB that the sandbox has"));
      return {};
    case RootDisk::Kind::disk:
      if (disk.source.empty()) return invalid("the root disk has no image");
      if (!disk.format) return invalid(cat("the format of the root disk ", disk.source, " is not given"));
      MSB_CHECK(check_text(disk.source, "the root disk"));
      return check_text(disk.fstype, "the root disk's file system type");
  }
  return {};
}

}  // namespace

Result<> check_env(std::string_view key, std::string_view value) {
  if (key.empty()) return invalid("an environment variable has no name");
  if (key.find('=') != std::string_view::npos)
    return invalid(cat("the environment variable name '", key, "' contains '='"));
  MSB_CHECK(check_text(key, "an environment variable's name"));
  return check_text(value, cat("the environment variable ", key));
}

Result<> check_limit(const ResourceLimit& limit) {
  if (std::find(kLimits.begin(), kLimits.end(), limit.resource) == kLimits.end()) {
    std::string known;
    for (auto name : kLimits) known += cat(known.empty() ? "" : ", ", name);
    return fail(Error(ErrorKind::invalid_config, cat("'", limit.resource, "' is not a resource limit"))
                    .hint(cat("limits are ", known)));
  }
  if (limit.soft > limit.hard)
    return invalid(
        cat("the soft limit of ", limit.resource, " (", limit.soft, ") is above its hard limit (", limit.hard, ")"));
  return {};
}

Result<> check_labels(const std::map<std::string, std::string>& labels) {
  for (const auto& [key, value] : labels) {
    if (key.empty()) return invalid("a label has no name");
    MSB_CHECK(check_text(key, "a label's name"));
    MSB_CHECK(check_text(value, cat("the label '", key, "'")));
    if (!is_utf8(key) || !is_utf8(value)) return invalid("a label is not UTF-8 text");
    for (auto prefix : kReservedLabels)
      if (key.starts_with(prefix))
        return invalid(cat("the label '", key, "' begins with '", prefix, "', which is reserved"));
  }
  return {};
}

Result<> check_name(std::string_view name, std::string_view whose) {
  bool good =
      !name.empty() && name.size() <= kMaxName && is_alnum(name.front()) &&
      std::all_of(name.begin(), name.end(), [](char c) { return is_alnum(c) || c == '.' || c == '-' || c == '_'; });
  if (good) return {};
  return fail(Error(ErrorKind::invalid_config, cat("'", name.substr(0, 200), "' cannot be ", whose, "'s name"))
                  .hint("a name has 1 to 128 letters, digits, '.', '-' and '_', and begins with a letter or digit"));
}

Result<> validate_sandbox_name(std::string_view name) {
  return check_name(name, "a sandbox");
}

std::string generate_sandbox_name() {
  std::array<uint8_t, 4> random{};
  // Four bytes from the kernel's pool arrive whole once it is seeded, which it is long before us.
  while (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
  }
  return "msb-" + to_hex(random);
}

std::string effective_hostname(const SandboxConfig& config) {
  if (!config.hostname.empty()) return config.hostname;
  if (config.name.size() <= kMaxHostname) return config.name;
  return cat(config.name.substr(0, 55), "-", sha256_hex(as_bytes(config.name)).substr(0, 8));
}

Result<> check_root_disk_size(uint64_t size_mib) {
  if (size_mib >= disk::kMinUpperMib && size_mib <= disk::kMaxUpperMib) return {};
  return invalid(cat("a root disk of ", size_mib, " MiB cannot be made: choose from ", disk::kMinUpperMib, " MiB to ",
                     disk::kMaxUpperMib, " MiB"));
}

Result<> validate(const SandboxConfig& config) {
  if (!config.name.empty()) MSB_CHECK(validate_sandbox_name(config.name));
  if (config.from_snapshot.empty())
    MSB_CHECK(check_image(config.image));
  else
    MSB_CHECK(check_snapshot(config));
  if (config.cpus < 1 || config.cpus > kMaxCpus)
    return invalid(cat(config.cpus, " CPUs are not possible; a sandbox has 1 to ", kMaxCpus));
  if (config.memory_mib < kMinMemoryMib)
    return fail(Error(ErrorKind::invalid_config, cat(config.memory_mib, " MiB of memory are too few to boot"))
                    .hint(cat("give at least ", kMinMemoryMib, "M; 512M is the default")));
  if (config.isolation == Isolation::hardware && config.machine == MachineChoice::portable)
    return fail(
        Error(ErrorKind::invalid_config, "hardware isolation was asked for, and the portable machine does not have it")
            .hint("the portable machine isolates by a fenced process; leave one of --isolation and --machine out"));
  for (const auto& [key, value] : config.env) MSB_CHECK(check_env(key, value));
  if (!config.workdir.empty() && config.workdir.front() != '/')
    return invalid(cat("the working directory '", config.workdir, "' must begin with '/'"));
  MSB_CHECK(check_text(config.workdir, "the working directory"));
  MSB_CHECK(check_user(config.user));
  MSB_CHECK(check_words(config.entrypoint, "the entrypoint"));
  MSB_CHECK(check_words(config.cmd, "the command"));
  MSB_CHECK(check_words(config.startup_command, "the startup command"));
  if (!config.hostname.empty()) MSB_CHECK(check_hostname(config.hostname));
  if (config.shell.empty() || config.shell.front() != '/')
    return invalid(cat("the shell '", config.shell, "' must be a path that begins with '/'"));
  MSB_CHECK(check_text(config.shell, "the shell"));
  MSB_CHECK(check_labels(config.labels));
  for (const auto& limit : config.rlimits) MSB_CHECK(check_limit(limit));
  MSB_CHECK(check_root_disk(config));
  MSB_CHECK(check_mounts(config));
  MSB_CHECK(check_patches(config));
  MSB_CHECK(check_scripts(config.scripts));
  MSB_CHECK(check_network(config.network));
  MSB_CHECK(check_duration(config.max_duration, "the longest duration"));
  MSB_CHECK(check_duration(config.idle_timeout, "the idle timeout"));
  if (config.replace_grace && config.replace_grace->count() < 0)
    return invalid("the grace of a replacement is negative");
  return {};
}

}  // namespace msb
