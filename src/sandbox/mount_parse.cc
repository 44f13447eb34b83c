// The textual forms of Mount.
#include <set>

#include <microsandbox/mount.h>

#include "base/units.h"
#include "sandbox/paths.h"

namespace msb {
namespace {

Result<> invalid(std::string message, std::string hint) {
  return fail(Error(ErrorKind::invalid_config, std::move(message)).hint(std::move(hint)));
}

using Kind = Mount::Kind;

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::tmpfs:
      return "tmpfs";
    case Kind::disk:
      return "disk";
    case Kind::bind:
      return "bind";
    case Kind::named:
      return "volume";
  }
  return "?";
}

std::string_view own_options(Kind kind) {
  switch (kind) {
    case Kind::tmpfs:
      return "size=SIZE";
    case Kind::disk:
      return "format=raw, format=qcow2 and fstype=TYPE";
    case Kind::bind:
      return "stat-virt=strict|relaxed|off, host-perms=private|mirror, quota=SIZE, follow-root-symlinks and "
             "protect-hooks";
    case Kind::named:
      return "kind=dir|disk, size=SIZE, quota=SIZE, fstype=TYPE, stat-virt=strict|relaxed|off and "
             "host-perms=private|mirror";
  }
  return "";
}

bool apply_flag(Mount& mount, std::string_view key) {
  if (key == "rw") return true;
  if (key == "ro") return mount.read_only = true;
  if (key == "noexec") return mount.noexec = true;
  if (key == "nosuid") return mount.nosuid = true;
  if (key == "nodev") return mount.nodev = true;
  if (mount.kind != Kind::bind) return false;
  if (key == "follow-root-symlinks") return mount.follow_root_symlinks = true;
  if (key == "protect-hooks") return mount.protect_hooks = true;
  return false;
}

template <class T>
bool choose(T& field, std::string_view value, std::initializer_list<std::pair<std::string_view, T>> choices) {
  for (const auto& [name, choice] : choices)
    if (name == value) return field = choice, true;
  return false;
}

// Whether it is an option of this kind of mount with a value it can have.
Result<bool> apply_value(Mount& mount, std::string_view key, std::string_view value) {
  const bool disk = mount.kind == Kind::disk, named = mount.kind == Kind::named;
  const bool shared = named || mount.kind == Kind::bind;
  if (key == "size" && (named || mount.kind == Kind::tmpfs)) {
    MSB_TRY(mount.size_mib, parse_mib(value));
    return true;
  }
  if (key == "quota" && shared) {
    MSB_TRY(mount.quota_mib, parse_mib(value));
    return mount.quota_mib > 0;
  }
  if (key == "fstype" && (disk || named)) return mount.fstype = value, !value.empty();
  if (key == "format" && disk)
    return choose(mount.format.emplace(), value, {{"raw", DiskFormat::raw}, {"qcow2", DiskFormat::qcow2}});
  if (key == "kind" && named)
    return choose(mount.volume_kind.emplace(), value, {{"dir", VolumeKind::directory}, {"disk", VolumeKind::disk}});
  if (key == "stat-virt" && shared)
    return choose(mount.stat_virtualization, value,
                  {{"strict", StatVirtualization::strict},
                   {"relaxed", StatVirtualization::relaxed},
                   {"off", StatVirtualization::off}});
  if (key == "host-perms" && shared)
    return choose(mount.host_permissions, value,
                  {{"private", HostPermissions::private_}, {"mirror", HostPermissions::mirror}});
  return false;
}

Result<> apply_option(Mount& mount, std::string_view key, std::string_view value, bool has_value) {
  if (!has_value && (key == "suid" || key == "exec" || key == "dev"))
    return invalid(cat("'", key, "' is not an option of a mount: it is so without being said"),
                   cat("leave it away, or say no", key));
  bool known = false;
  if (has_value) {
    MSB_TRY(known, apply_value(mount, key, value));
  } else {
    known = apply_flag(mount, key);
  }
  if (known) return {};
  return invalid(cat("'", key, has_value ? "=" : "", value, "' is not an option of a ", name_of(mount.kind), " mount"),
                 cat("options are ro, rw, noexec, nosuid and nodev, and ", own_options(mount.kind)));
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

// "SOURCE:TARGET[:OPTIONS]"
struct Text {
  std::string_view source;
  std::string_view target;
  std::optional<std::string_view> options;
};

// `form`: what should have been written.
Result<Text> part(std::string_view text, std::string_view form) {
  const size_t colon = text.find(":/");
  if (colon == 0 || colon == text.npos)
    return fail(Error(ErrorKind::invalid_config, cat("'", text, "' does not say what is mounted where"))
                    .hint(cat("write ", form, "; the path in the guest is absolute")));
  std::string_view rest = text.substr(colon + 1);
  const size_t options = rest.find(':');
  Text parts{text.substr(0, colon), rest.substr(0, options), std::nullopt};
  if (options != rest.npos) parts.options = rest.substr(options + 1);
  return parts;
}

bool is_host_path(std::string_view source) {
  if (source == "." || source == ".." || source == "~") return true;
  for (std::string_view prefix : {"/", "./", "../", "~/"})
    if (source.starts_with(prefix)) return true;
  return false;
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
  MSB_TRY(Text parts, part(text, "IMAGE:/PATH, for example ./data.qcow2:/data:ro"));
  Mount mount{.kind = Kind::disk, .target = std::string(parts.target)};
  MSB_TRY(mount.source, expand_home(parts.source));
  mount.format = format_of_extension(parts.source);
  if (parts.options) MSB_CHECK(apply_options(mount, *parts.options));
  if (!mount.format)
    return fail(Error(ErrorKind::invalid_config, cat("the format of the disk image '", parts.source, "' is unknown"))
                    .hint("state it, as in IMAGE:/PATH:format=raw or IMAGE:/PATH:format=qcow2"));
  return mount;
}

Result<Mount> Mount::parse_bind(std::string_view text, SourceType type) {
  MSB_TRY(Text parts, part(text, "HOSTPATH:/PATH, for example ./src:/src:ro"));
  Mount mount{.kind = Kind::bind, .target = std::string(parts.target), .source_type = type};
  MSB_TRY(mount.source, expand_home(parts.source));
  if (parts.options) MSB_CHECK(apply_options(mount, *parts.options));
  return mount;
}

Result<Mount> Mount::parse_named(std::string_view text) {
  MSB_TRY(Text parts, part(text, "VOLUME:/PATH, for example cache:/var/cache"));
  Mount mount{.kind = Kind::named, .target = std::string(parts.target), .volume = std::string(parts.source)};
  if (parts.options) MSB_CHECK(apply_options(mount, *parts.options));
  return mount;
}

Result<Mount> Mount::parse_volume(std::string_view text) {
  MSB_TRY(Text parts, part(text, "HOSTPATH:/PATH or VOLUME:/PATH, for example ./src:/src:ro"));
  return is_host_path(parts.source) ? parse_bind(text) : parse_named(text);
}

}  // namespace msb
