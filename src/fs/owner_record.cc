#include "fs/owner_record.h"

#include <sys/sysmacros.h>

#include <charconv>
#include <vector>

#include "base/cat.h"

namespace msb::fs {
namespace {

constexpr uint32_t kPermissions = 07777;

template <class T>
std::optional<T> number(std::string_view text, int base = 10) {
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (true) {
    size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == text.npos) return parts;
    text.remove_prefix(end + 1);
  }
}

struct Type {
  uint32_t mode = 0;
  uint64_t rdev = 0;
};

std::optional<Type> parse_type(std::string_view text) {
  if (text == "file") return Type{S_IFREG};
  if (text == "dir") return Type{S_IFDIR};
  if (text == "symlink") return Type{S_IFLNK};
  if (text == "pipe") return Type{S_IFIFO};
  if (text == "socket") return Type{S_IFSOCK};
  auto parts = split(text, '-');
  if (parts.size() != 3 || (parts[0] != "char" && parts[0] != "block")) return std::nullopt;
  auto major_number = number<uint32_t>(parts[1]), minor_number = number<uint32_t>(parts[2]);
  if (!major_number || !minor_number) return std::nullopt;
  return Type{parts[0] == "char" ? uint32_t{S_IFCHR} : uint32_t{S_IFBLK}, makedev(*major_number, *minor_number)};
}

std::string type_text(const OwnerRecord& record) {
  switch (record.mode & S_IFMT) {
    case S_IFDIR:
      return "dir";
    case S_IFLNK:
      return "symlink";
    case S_IFIFO:
      return "pipe";
    case S_IFSOCK:
      return "socket";
    case S_IFCHR:
      return cat("char-", major(record.rdev), "-", minor(record.rdev));
    case S_IFBLK:
      return cat("block-", major(record.rdev), "-", minor(record.rdev));
    default:
      return "file";
  }
}

// Regular files stand for themselves and for what needs no contents; everything else for itself only.
bool can_stand_for(uint32_t host_type, uint32_t type) {
  return host_type == type || (host_type == S_IFREG && type != S_IFDIR && type != S_IFLNK);
}

}  // namespace

std::string format(const OwnerRecord& record) {
  char mode[8];
  char* end = std::to_chars(mode, mode + sizeof(mode), record.mode & kPermissions, 8).ptr;
  return cat(record.uid, ":", record.gid, ":0", std::string_view(mode, end), ":", type_text(record));
}

std::optional<OwnerRecord> parse_owner_record(std::string_view text, uint32_t host_mode) {
  auto parts = split(text, ':');
  if (parts.size() < 3 || parts.size() > 4) return std::nullopt;
  auto uid = number<uint32_t>(parts[0]), gid = number<uint32_t>(parts[1]), mode = number<uint32_t>(parts[2], 8);
  const uint32_t host_type = host_mode & S_IFMT;
  auto type = parts.size() == 4 ? parse_type(parts[3]) : std::optional(Type{host_type});
  if (!uid || !gid || !mode || !type || !can_stand_for(host_type, type->mode)) return std::nullopt;
  return OwnerRecord{*uid, *gid, type->mode | (*mode & kPermissions), type->rdev};
}

}  // namespace msb::fs
