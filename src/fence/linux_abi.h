// Constants of newer kernels than the C library headers of the oldest supported distribution know.
#pragma once

#include <linux/landlock.h>
#include <sys/syscall.h>

#include <cstdint>

namespace msb::fence::abi {

inline constexpr int kAtRecursive = 0x8000;
inline constexpr uint64_t kMountAttrReadOnly = 1, kMountAttrNoSuid = 2, kMountAttrNoDev = 4, kMountAttrNoExec = 8;
inline constexpr unsigned kOpenTreeClone = 1;
inline constexpr long kSysOpenTree = 428;
inline constexpr long kSysMountSetattr = 442;  // the same number on every architecture
inline constexpr long kSysLandlockCreateRuleset = 444, kSysLandlockAddRule = 445, kSysLandlockRestrictSelf = 446;
inline constexpr long kSysClone3 = 435, kSysCloseRange = 436;

inline constexpr uint64_t kCloneIntoCgroup = uint64_t{1} << 33;  // Linux 5.7
struct CloneArguments {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

struct MountAttributes {
  uint64_t set, clear, propagation, user_namespace;
};

inline constexpr uint64_t kFsExecute = 1 << 0, kFsWriteFile = 1 << 1, kFsReadFile = 1 << 2, kFsReadDir = 1 << 3,
                          kFsRemoveDir = 1 << 4, kFsRemoveFile = 1 << 5, kFsMakeDir = 1 << 7, kFsMakeRegular = 1 << 8,
                          kFsMakeSocket = 1 << 9, kFsMakeSymlink = 1 << 12;
inline constexpr uint64_t kFsRefer = 1 << 13;                                    // ABI 2
inline constexpr uint64_t kFsTruncate = 1 << 14;                                 // ABI 3
inline constexpr uint64_t kNetBindTcp = 1 << 0, kNetConnectTcp = 1 << 1;         // ABI 4
inline constexpr uint64_t kScopeAbstractSocket = 1 << 0, kScopeSignal = 1 << 1;  // ABI 6

struct LandlockRuleset {
  uint64_t fs, net, scoped;
};
struct [[gnu::packed]] LandlockPathRule {
  uint64_t allowed;
  int32_t parent;
};

// Every file access right that ABI version knows. 1: thirteen; 2: refer; 3: truncate; 5: ioctl on devices.
constexpr uint64_t landlock_fs_rights(long version) {
  int bits = version >= 5 ? 16 : version >= 3 ? 15 : version == 2 ? 14 : 13;
  return (uint64_t{1} << bits) - 1;
}
constexpr size_t landlock_ruleset_size(long version) {
  return version >= 6 ? 24 : version >= 4 ? 16 : 8;
}

}  // namespace msb::fence::abi
