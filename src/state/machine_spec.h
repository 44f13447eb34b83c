// MachineSpec: the one description that every machine (portable, later kvm) is built from. A value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "state/network_spec.h"

namespace msb::state {

// A block device of the guest: /dev/vda is the first of the list, and so on.
struct DiskSpec {
  enum class Format {
    raw,
    qcow2,   // no backing file, no data file: disk::Qcow2 has checked it
    concat,  // `files` one after another form one read-only disk; each is a multiple of 4096 bytes
  };
  Format format = Format::raw;
  std::vector<std::string> files;  // host paths; one, unless concat
  bool read_only = false;
  // Nobody reads it after the machine's end: what the guest flushes need not reach the host's disk.
  bool scratch = false;
};

// A directory of the host that the guest sees, or one file of it. The guest mounts one file system with the tag
// kShareTag, in whose root each share is a directory of its name.
inline constexpr const char* kShareTag = "msb";

struct ShareSpec {
  enum class Ownership { strict, relaxed, host };  // fs::Ownership
  enum class HostModes { private_, mirror };       // fs::HostModes
  std::string name;                                // "0", "1", ...
  std::string path;                                // host directory, absolute
  std::string only = {};                           // the one file of it that is shared; empty: all of it
  bool read_only = false;
  Ownership ownership = Ownership::strict;
  HostModes host_modes = HostModes::private_;
  uint64_t quota_bytes = 0;  // 0: none
  // With a quota: host path of the record that all users of a named volume count in. Empty: what this machine adds
  // is counted, from its start.
  std::string usage = {};
  bool protect_hooks = false;  // names that programs of the host would run or obey (.git/hooks) cannot be written
};

struct MachineSpec {
  uint32_t vcpus = 1;
  uint32_t memory_mib = 512;
  std::string kernel;     // host path of an uncompressed PVH vmlinux
  std::string initramfs;  // host path of a cpio archive (uncompressed)
  std::vector<DiskSpec> disks;
  std::vector<ShareSpec> shares;
  std::optional<NetworkSpec> network;  // none: no network device
};

}  // namespace msb::state
