// OwnerRecord: owner, mode and type that the guest gave a file, noted beside the host's file so that neither root nor
// device nodes are needed on the host.
//
// The note is the extended attribute that podman and buildah use for the same purpose on network shares, in their
// format: "UID:GID:MODE:TYPE", mode in octal, type one of file, dir, symlink, pipe, socket, char-MAJOR-MINOR,
// block-MAJOR-MINOR. Without a type it is the host file's own. A special file is an empty regular file on the host.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>

namespace msb::fs {

inline constexpr const char* kOwnerRecordName = "user.containers.override_stat";
inline constexpr size_t kMaxOwnerRecord = 128;  // bytes

struct OwnerRecord {
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t mode = 0;  // type and permission bits, as st_mode
  uint64_t rdev = 0;  // of devices, as st_rdev

  bool operator==(const OwnerRecord&) const = default;
};

std::string format(const OwnerRecord& record);
// `host_mode`: the type of the host's file, for notes without one. Nothing when the note is damaged, or claims a type
// that the host's file cannot stand for (a directory that is a file, a file that is a directory).
std::optional<OwnerRecord> parse_owner_record(std::string_view text, uint32_t host_mode);

}  // namespace msb::fs
