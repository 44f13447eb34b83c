// Mount: a file system that a sandbox has beside its root.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <microsandbox/export.h>
#include <microsandbox/result.h>

namespace msb {

enum class DiskFormat { raw, qcow2 };

struct Mount {
  enum class Kind {
    tmpfs,  // in the guest's memory, empty at every start
    disk,   // a disk image of the host; written in place, by one sandbox at a time
  };
  Kind kind = Kind::tmpfs;
  std::string target = {};                // absolute path in the guest; made when it is not there
  uint32_t size_mib = 0;                  // tmpfs: 0 = half of the memory
  std::string source = {};                // disk: host path
  std::optional<DiskFormat> format = {};  // disk: by extension when absent; contents are never sniffed
  std::string fstype = {};                // disk: empty = the guest tries those it knows
  bool read_only = false;
  bool noexec = false;
  bool nosuid = false;
  bool nodev = false;

  // "PATH", "PATH:SIZE", "PATH:SIZE:OPTIONS" or "PATH:OPTIONS"; options: ro, rw, noexec, nosuid, nodev, size=SIZE.
  MSB_API static Result<Mount> parse_tmpfs(std::string_view text);
  // "SOURCE:TARGET" or "SOURCE:TARGET:OPTIONS", parted at the first ":/"; options: ro, rw, noexec, nosuid, nodev,
  // format=raw|qcow2, fstype=TYPE. "~/" in the source is the home directory.
  MSB_API static Result<Mount> parse_disk(std::string_view text);
};

}  // namespace msb
