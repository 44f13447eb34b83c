// MachineConfig: everything the program msb-kvm is told, as CBOR in a sealed memory file on descriptor kConfigFd. It
// can open nothing of the host itself: each file and each shared directory is an inherited descriptor, named here by
// number.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wire/codec.h"

namespace msb::kvm {

inline constexpr int kConfigFd = 3;
inline constexpr int kFirstFreeFd = 4;  // the others follow from here, as the configuration says

struct DiskConfig {
  std::string format = "raw";  // "raw", "qcow2", "concat" (state::DiskSpec::Format)
  std::vector<int32_t> fds;    // one, unless concat
  int32_t direct_fd = -1;      // the same file for long writes (disk/direct_io.h); none: all go through the page cache
  bool read_only = false;
  bool scratch = false;
  static void fields(auto& self, auto&& field) {
    field("format", self.format);
    field("fds", self.fds);
    field("direct_fd", self.direct_fd);
    field("read_only", self.read_only);
    field("scratch", self.scratch);
  }
};

// A directory of the host that the guest sees (state::ShareSpec).
struct ShareConfig {
  std::string name;
  int32_t fd = -1;  // O_PATH
  std::string only = {};
  bool read_only = false;
  bool protect_hooks = false;
  uint8_t ownership = 0;     // fs::Ownership
  uint8_t host_modes = 0;    // fs::HostModes
  uint64_t quota_bytes = 0;  // 0: none
  int32_t usage_fd = -1;  // the record that it is counted in, entered (fs/usage_record.h); none: what this guest adds
  static void fields(auto& self, auto&& field) {
    field("name", self.name);
    field("fd", self.fd);
    field("only", self.only);
    field("read_only", self.read_only);
    field("protect_hooks", self.protect_hooks);
    field("ownership", self.ownership);
    field("host_modes", self.host_modes);
    field("quota_bytes", self.quota_bytes);
    field("usage_fd", self.usage_fd);
  }
};

// The network card (virtio/net_device.h).
struct NetworkCardConfig {
  int32_t cable_fd = -1;  // SOCK_SEQPACKET
  std::vector<uint8_t> mac;
  uint16_t mtu = 1500;
  static void fields(auto& self, auto&& field) {
    field("cable_fd", self.cable_fd);
    field("mac", self.mac);
    field("mtu", self.mtu);
  }
};

struct MachineConfig {
  uint32_t vcpus = 1;
  uint32_t memory_mib = 512;
  std::string kernel_words;  // the kernel command line, without the words for devices, which the machine adds
  int32_t kvm_fd = -1;       // /dev/kvm
  int32_t kernel_fd = -1;    // uncompressed PVH vmlinux
  int32_t initramfs_fd = -1;
  int32_t agent_fd = -1;    // stream socket: the guest's port "agent"
  int32_t console_fd = -1;  // stream socket: what the guest prints on its serial port
  int32_t control_fd = -1;  // SOCK_SEQPACKET: control.h
  std::vector<DiskConfig> disks;
  std::vector<ShareConfig> shares;
  std::optional<NetworkCardConfig> network;
  static void fields(auto& self, auto&& field) {
    field("vcpus", self.vcpus);
    field("memory_mib", self.memory_mib);
    field("kernel_words", self.kernel_words);
    field("kvm_fd", self.kvm_fd);
    field("kernel_fd", self.kernel_fd);
    field("initramfs_fd", self.initramfs_fd);
    field("agent_fd", self.agent_fd);
    field("console_fd", self.console_fd);
    field("control_fd", self.control_fd);
    field("disks", self.disks);
    field("shares", self.shares);
    field("network", self.network);
  }
};

}  // namespace msb::kvm
