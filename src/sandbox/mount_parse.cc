// The textual forms of Mount.
#include <set>

#include <microsandbox/mount.h>

#include "base/units.h"
#include "sandbox/paths.h"

namespace msb {
namespace {

constexpr std::string_view kFlags = "ro, rw, noexec, nosuid and nodev";

Result<> invalid(std::string message, std::string hint) {
  return fail(Error(ErrorKind::invalid_config, std::move(message)).hint(std::move(hint)));
}

Result<> apply_option(Mount& mount, std::string_view key, std::string_view value, bool has_value) {
  const bool disk = mount.kind == Mount::Kind::disk;
  if (!has_value) {
    if (key == "ro") return mount.read_only = true, Result<>();
    if (key == "rw") return Result<>();
    if (key == "noexec") return mount.noexec = true, Result<>();
    if (key == "nosuid") return mount.nosuid = true, Result<>();
    if (key == "nodev") return mount.nodev = true, Result<>();
  } else if (!disk && key == "size") {
    MSB_TRY(mount.size_mib, parse_mib(value));
    return {};
  } else if (disk && key == "format" && value == "raw") {
    return mount.format = DiskFormat::raw, Result<>();
  } else if (disk && key == "format" && value == "qcow2") {
    return mount.format = DiskFormat::qcow2, Result<>();
  } else if (disk && key == "fstype" && !value.empty()) {
    return mount.fstype = value, Result<>();
  }
  return invalid(
      cat("'", key, has_value ? "=" : "", value, "' is not an option of a ", disk ? "disk" : "tmpfs", " mount"),
      disk ? cat("options are ", kFlags, ", format=raw, format=qcow2 and fstype=TYPE")
           : cat("options are ", kFlags, " and size=SIZE"));
}

// "ro,noexec,size=64M": each at most once.
Result<> apply_options(Mount& mount, std::string_view text) {
  std::set<std::string_view> seen;
  while (true) {
    std::string_view option = text.substr(0, text.find(','));
    const size_t equals = option.find('=');
    std::string_view key = option.substr(0, equals);
    std::string_view value = equals == option.npos ? std::string_view() : option.substr(equals + 1);
    // The two are one option.
    if (!seen.insert(key == "rw" ? "ro" : key).second)
      return invalid(cat("the option '", key, "' of the mount on ", mount.target, " is given twice"), "give it once");
    MSB_CHECK(apply_option(mount, key, value, equals != option.npos));
    if (option.size() == text.size()) return {};
    text.remove_prefix(option.size() + 1);
  }
}

bool is_size(std::string_view text) {
  return !text.empty() && text.front() >= '0' && text.front() <= '9';
}

}  // namespace

Result<Mount> Mount::parse_tmpfs(std::string_view text) {
  Mount mount;
  const size_t colon = text.find(':');
  mount.target = text.substr(0, colon);
  if (colon == text.npos) return mount;
  std::string_view rest = text.substr(colon + 1);
  std::string_view first = rest.substr(0, rest.find(':'));
  if (is_size(first)) {
    auto size = parse_mib(first);
    if (!size) return fail(std::move(size).error().context(cat("tmpfs ", mount.target)));
    mount.size_mib = *size;
    if (first.size() == rest.size()) return mount;
    rest.remove_prefix(first.size() + 1);
  }
  MSB_CHECK(apply_options(mount, rest));
  return mount;
}

Result<Mount> Mount::parse_disk(std::string_view text) {
  Mount mount{.kind = Kind::disk};
  const size_t colon = text.find(":/");
  if (colon == 0 || colon == text.npos)
    return fail(Error(ErrorKind::invalid_config, cat("'", text, "' does not say which disk is mounted where"))
                    .hint("write IMAGE:/PATH, for example ./data.qcow2:/data:ro"));
  std::string_view source = text.substr(0, colon), rest = text.substr(colon + 1);
  const size_t options = rest.find(':');
  mount.target = rest.substr(0, options);
  MSB_TRY(mount.source, expand_home(source));
  mount.format = format_of_extension(source);
  if (options != rest.npos) MSB_CHECK(apply_options(mount, rest.substr(options + 1)));
  if (!mount.format)
    return fail(Error(ErrorKind::invalid_config, cat("the format of the disk image '", source, "' is unknown"))
                    .hint("state it, as in IMAGE:/PATH:format=raw or IMAGE:/PATH:format=qcow2"));
  return mount;
}

}  // namespace msb
