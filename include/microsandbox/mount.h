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

// Owner, group, mode and device number that the guest gives to a file of the host.
enum class StatVirtualization {
  strict,   // kept in an extended attribute of the file, without rights on the host; an error where that is impossible
  relaxed,  // the same, but kept only while the guest remembers the file where the host has no such attributes
  off,      // the host's own, changed as far as the user who runs the sandbox may
};

// What else the host's own file gets of the mode that the guest gives it.
enum class HostPermissions {
  private_,  // nothing: the host's other users see nothing of what the guest makes
  mirror,    // the permission bits
};

enum class VolumeKind {
  directory,  // files, shared by any number of sandboxes at once
  disk,       // an ext4 file system in a disk image: one sandbox writes it, or several read it
};
// Of a named volume that a sandbox mounts when it is made.
enum class VolumeMode {
  ensure_exists,  // made when there is none
  existing,       // must be there
  create,         // must not be there
};

struct Mount {
  enum class Kind {
    tmpfs,  // in the guest's memory, empty at every start
    disk,   // a disk image of the host; written in place, by one sandbox at a time
    bind,   // a directory or a file of the host, live in both directions
    named,  // a volume of this home
  };
  enum class SourceType { any, directory, file };

  Kind kind = Kind::tmpfs;
  std::string target = {};                // absolute path in the guest; made when it is not there
  uint32_t size_mib = 0;                  // tmpfs: 0 = half of the memory; named: capacity of a disk volume
  std::string source = {};                // disk and bind: host path
  std::optional<DiskFormat> format = {};  // disk: by extension when absent; contents are never sniffed
  std::string fstype = {};                // disk: empty = the guest tries those it knows
  bool read_only = false;                 // a bind's: enforced on the host
  bool noexec = false;
  bool nosuid = false;
  bool nodev = false;

  // bind
  SourceType source_type = SourceType::any;  // what the source must be; once created, what it was
  // Symbolic links in the source are followed anew at each start, instead of once when the sandbox is created.
  bool follow_root_symlinks = false;
  // Names in the directory that programs of the host would run or obey (.git/hooks, .git/config) cannot be written.
  bool protect_hooks = false;
  // bind and named directory
  StatVirtualization stat_virtualization = StatVirtualization::strict;
  HostPermissions host_permissions = HostPermissions::private_;
  uint32_t quota_mib = 0;  // bind: what the guest may add; named: what the volume may hold; 0: no limit
  // named
  std::string volume = {};
  std::optional<VolumeKind> volume_kind = {};  // of a volume that is made now; of one that is there: must be so
  VolumeMode volume_mode = VolumeMode::ensure_exists;

  // "PATH", "PATH:SIZE", "PATH:SIZE:OPTIONS" or "PATH:OPTIONS"; options: ro, rw, noexec, nosuid, nodev, size=SIZE.
  MSB_API static Result<Mount> parse_tmpfs(std::string_view text);

  // The others are "SOURCE:TARGET" or "SOURCE:TARGET:OPTIONS", parted at the first ":/"; options are ro, rw, noexec,
  // nosuid, nodev and those named. "~/" in a host path is the home directory.

  // format=raw|qcow2, fstype=TYPE
  MSB_API static Result<Mount> parse_disk(std::string_view text);
  // stat-virt=strict|relaxed|off, host-perms=private|mirror, quota=SIZE, follow-root-symlinks, protect-hooks
  MSB_API static Result<Mount> parse_bind(std::string_view text, SourceType type = SourceType::any);
  // kind=dir|disk, size=SIZE, quota=SIZE, fstype=TYPE, stat-virt=, host-perms=
  MSB_API static Result<Mount> parse_named(std::string_view text);
  // A bind when the source is a path (".", "..", or it begins with "/", "./", "../", "~/"), else a named volume.
  MSB_API static Result<Mount> parse_volume(std::string_view text);
};

}  // namespace msb
