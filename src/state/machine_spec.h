// MachineSpec: the one description that every machine (portable, later kvm) is built from. A value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

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

struct MachineSpec {
  uint32_t vcpus = 1;
  uint32_t memory_mib = 512;
  std::string kernel;     // host path of an uncompressed PVH vmlinux
  std::string initramfs;  // host path of a cpio archive (uncompressed)
  std::vector<DiskSpec> disks;
};

}  // namespace msb::state
