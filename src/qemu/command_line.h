// The QEMU command that realises a MachineSpec. A pure function of its inputs: what it says is pinned by a golden test.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "disk/disk_lock.h"
#include "fence/fence.h"
#include "qemu/discovery.h"
#include "state/machine_check.h"

namespace msb::qemu {

// Descriptor numbers in QEMU's process. The disks follow.
inline constexpr int kAgentFd = 3;
inline constexpr int kConsoleFd = 4;
inline constexpr int kQmpFd = 5;
inline constexpr int kFirstDiskFd = 6;

// microvm without ACPI has 8 virtio-mmio slots; the agent channel, entropy and balloon take three, shares and a network
// one each.
inline constexpr size_t kMaxDisks = 5;

// A descriptor that QEMU is given for a disk.
struct DiskFile {
  using Access = disk::Access;
  int number = 0;    // in QEMU's process
  std::string path;  // on the host; empty: `contents` in a memory file
  Access access = Access::read_only;
  std::string contents;
};

struct QemuCommand {
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::vector<fence::FenceFile> files;  // what it opens by path
  std::vector<DiskFile> disk_files;
  // Where QEMU expects its end of the connection to the share device's back end; only with shares.
  std::optional<int> share_fd;
  // Where it expects the cable of its network card, a SOCK_SEQPACKET socket; only with a network.
  std::optional<int> network_fd;
};

struct CommandInput {
  const state::MachineSpec& spec;
  const QemuProgram& program;
  state::DiskSizes disk_sizes;
  uint32_t tb_size_mib = 0;  // 0: chosen by guest memory
  bool guest_log = false;
  std::string extra_kernel_words;
};

Result<QemuCommand> build_command(const CommandInput& input);

// What any run of this QEMU needs: its environment, and the files it opens by path.
std::vector<std::string> qemu_environment(const QemuProgram& program);
std::vector<fence::FenceFile> qemu_files(const QemuProgram& program);

// The kernel command line alone. tsc_khz 0 leaves the clock to the guest.
std::string kernel_words(const CommandInput& input);

}  // namespace msb::qemu
