// Volume: storage with a name, which outlives the sandboxes that mount it.
//
//   msb::Volume::create({.name = "data", .quota_mib = 100});
//   config.mounts.push_back({.kind = msb::Mount::Kind::named, .target = "/data", .volume = "data"});
//   ... any number of sandboxes, one after another or at once ...
//   msb::Volume::remove("data");
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <microsandbox/mount.h>

namespace msb {

struct VolumeConfig {
  std::string name = {};  // as a sandbox's
  VolumeKind kind = VolumeKind::directory;
  uint32_t size_mib = 0;   // disk: its size, must be given
  uint32_t quota_mib = 0;  // directory: what all its files together may take; 0: no bound
  std::map<std::string, std::string> labels = {};
};

struct VolumeInfo {
  std::string name;
  VolumeKind kind = VolumeKind::directory;
  std::string path;  // of the directory with the files, or of the disk image, on this host
  uint32_t size_mib = 0;
  uint32_t quota_mib = 0;
  std::string disk_format;  // "raw"; empty for a directory
  std::string disk_fstype;  // "ext4"
  std::map<std::string, std::string> labels;
  int64_t created_at_ms = 0;  // Unix time
  // A directory: the length of its files and 4 KiB for each file and directory, which is what a quota bounds. A disk:
  // what its image occupies on the host. list() leaves it out where it would have to count.
  std::optional<uint64_t> used_bytes;
  std::vector<std::string> sandboxes;  // that mount it, running or not
};

class MSB_API Volume {
 public:
  // Failures: invalid_config, volume_already_exists.
  static Result<VolumeInfo> create(const VolumeConfig& config);
  // ErrorKind::volume_not_found.
  static Result<VolumeInfo> get(const std::string& name);
  static Result<std::vector<VolumeInfo>> list();  // newest first
  // With everything in it. Failures: volume_not_found, volume_in_use (a sandbox mounts it, running or not).
  static Result<> remove(const std::string& name);
};

}  // namespace msb
