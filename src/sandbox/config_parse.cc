// The textual forms of ImageSource, RootDisk and ResourceLimit.
#include <algorithm>
#include <array>

#include "base/units.h"
#include "sandbox/paths.h"
#include "sandbox/validate.h"

namespace msb {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return result;
}

bool looks_like_path(std::string_view text) {
  return text == "." || text == ".." || text == "~" || text.starts_with('/') || text.starts_with("./") ||
         text.starts_with("../") || text.starts_with("~/");
}

// Splits "PATH:key=value,key=value", and says whether there were options. A colon that is followed by no '=' belongs to
// the path. `source` is an ImageSource or a RootDisk.
Result<bool> take_options(std::string_view& path, auto& source) {
  auto colon = path.rfind(':');
  if (colon == std::string_view::npos || path.find('=', colon) == std::string_view::npos) return false;
  std::string_view options = path.substr(colon + 1);
  path = path.substr(0, colon);
  while (!options.empty()) {
    std::string_view option = options.substr(0, options.find(','));
    options.remove_prefix(std::min(options.size(), option.size() + 1));
    std::string_view key = option.substr(0, option.find('='));
    std::string_view value = key.size() < option.size() ? option.substr(key.size() + 1) : std::string_view();
    if (key == "format" && value == "raw") {
      source.format = DiskFormat::raw;
    } else if (key == "format" && value == "qcow2") {
      source.format = DiskFormat::qcow2;
    } else if (key == "fstype" && !value.empty()) {
      source.fstype = value;
    } else {
      return fail(Error(ErrorKind::invalid_config, cat("'", option, "' is not an option of a disk image"))
                      .hint("options are format=raw, format=qcow2 and fstype=TYPE"));
    }
  }
  return true;
}

Error unknown_format(std::string_view text) {
  return Error(ErrorKind::invalid_config, cat("the format of the disk image '", text, "' is unknown"))
      .hint("state it, as in PATH:format=raw or PATH:format=qcow2");
}

Result<RootDisk> parse_user_disk(std::string_view text) {
  RootDisk disk{.kind = RootDisk::Kind::disk, .size_mib = 0};
  std::string_view path = text;
  MSB_CHECK(take_options(path, disk));
  MSB_TRY(disk.source, expand_home(path));
  if (!disk.format) disk.format = format_of_extension(path);
  if (!disk.format) return fail(unknown_format(text));
  return disk;
}

// What follows "flat": ":SIZE", ",fstype=ext4", ",clone=HOW".
Result<RootDisk> parse_flat(std::string_view rest) {
  RootDisk disk{.kind = RootDisk::Kind::flat};
  if (rest.starts_with(':')) {
    std::string_view size = rest.substr(1, rest.find(',') - 1);
    MSB_TRY(disk.size_mib, parse_mib(size));
    rest.remove_prefix(size.size() + 1);
  }
  while (!rest.empty()) {
    std::string_view option = rest.substr(1, rest.find(',', 1) - 1);
    rest.remove_prefix(option.size() + 1);
    if (option == "clone=auto") {
      disk.clone = RootDisk::Clone::automatic;
    } else if (option == "clone=copy") {
      disk.clone = RootDisk::Clone::copy;
    } else if (option == "clone=reflink") {
      disk.clone = RootDisk::Clone::reflink;
    } else if (option == "fstype=ext4") {
      disk.fstype = "ext4";
    } else {
      return fail(Error(ErrorKind::invalid_config, cat("'", option, "' is not an option of a flat root disk"))
                      .hint("options are fstype=ext4, clone=auto, clone=copy and clone=reflink"));
    }
  }
  return disk;
}

Result<uint64_t> parse_limit_value(std::string_view text, std::string_view resource) {
  if (lower(text) == "unlimited" || lower(text) == "infinity") return UINT64_MAX;
  return parse_integer(text, 0, UINT64_MAX, cat("the limit of ", resource));
}

}  // namespace

std::optional<DiskFormat> format_of_extension(std::string_view path) {
  std::string name = lower(path);
  if (name.ends_with(".raw") || name.ends_with(".img")) return DiskFormat::raw;
  if (name.ends_with(".qcow2")) return DiskFormat::qcow2;
  return std::nullopt;
}

Result<std::string> expand_home(std::string_view path) {
  if (path != "~" && !path.starts_with("~/")) return std::string(path);
  const char* home = ::getenv("HOME");
  if (!home || !*home)
    return fail(ErrorKind::invalid_config, cat("'", path, "' needs a home directory, but HOME is not set"));
  return home + std::string(path.substr(1));
}

Result<ImageSource> ImageSource::parse(std::string_view text) {
  if (text.empty()) return fail(ErrorKind::invalid_config, "no image is given");
  if (text.find('\0') != std::string_view::npos)
    return fail(ErrorKind::invalid_config, "the image contains a NUL byte");
  ImageSource source;
  if (!looks_like_path(text)) {
    source.reference = text;
    return source;
  }
  source.kind = Kind::directory;
  MSB_TRY(const bool has_options, take_options(text, source));
  if (has_options) source.kind = Kind::disk;
  MSB_TRY(source.reference, expand_home(text));
  auto by_extension = format_of_extension(text);
  if (by_extension) source.kind = Kind::disk;
  if (source.kind == Kind::disk && !source.format) source.format = by_extension;
  if (source.kind == Kind::disk && !source.format) return fail(unknown_format(text));
  return source;
}

Result<RootDisk> RootDisk::parse(std::string_view text) {
  constexpr std::string_view kForms = "write 8G, tmpfs, tmpfs:512M, flat, flat:8G or the path of a disk image";
  if (text == "flat" || text.starts_with("flat:") || text.starts_with("flat,")) {
    auto disk = parse_flat(text.substr(4));
    if (!disk) return fail(std::move(disk).error().context("root disk").hint(std::string(kForms)));
    return disk;
  }
  if (text.find('/') != text.npos || text.starts_with('.') || text.starts_with('~')) return parse_user_disk(text);
  RootDisk disk;
  if (text == "tmpfs") {
    disk.kind = Kind::tmpfs;
    disk.size_mib = 0;
    return disk;
  }
  if (text.starts_with("tmpfs:")) {
    disk.kind = Kind::tmpfs;
    text.remove_prefix(6);
  }
  auto size = parse_mib(text);
  if (!size) return fail(std::move(size).error().context("root disk").hint(std::string(kForms)));
  disk.size_mib = *size;
  return disk;
}

Result<ResourceLimit> ResourceLimit::parse(std::string_view text) {
  auto equals = text.find('=');
  if (equals == std::string_view::npos)
    return fail(ErrorKind::invalid_config,
                cat("'", text, "' is not a limit; write it like nofile=1024 or nofile=1024:4096"));
  ResourceLimit limit;
  limit.resource = lower(text.substr(0, equals));
  if (limit.resource.starts_with("rlimit_")) limit.resource.erase(0, 7);
  std::string_view values = text.substr(equals + 1);
  auto colon = values.find(':');
  MSB_TRY(limit.soft, parse_limit_value(values.substr(0, colon), limit.resource));
  limit.hard = limit.soft;
  if (colon != std::string_view::npos) {
    MSB_TRY(limit.hard, parse_limit_value(values.substr(colon + 1), limit.resource));
  }
  MSB_CHECK(check_limit(limit));
  return limit;
}

}  // namespace msb
