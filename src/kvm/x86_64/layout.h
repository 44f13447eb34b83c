// The guest's low memory and its gap below 4 GiB, as the machine lays them out (x86-64).
//
//   0x6000      start_info, its module list           0x7000      memory map
//   0x20000     kernel command line                   0x9fc00     MP table (where kernels look for it)
//   0xa0000     reserved up to 1 MiB                  0x100000    kernel (by its own addresses), initramfs at the end
//   0xd0000000  windows of virtio devices             0xfec00000  I/O APIC, 0xfee00000 local APICs
//   0xfffbc000  identity map and task state segment that KVM needs on Intel
#pragma once

#include <cstdint>

namespace msb::kvm {

inline constexpr uint64_t kStartInfo = 0x6000;
inline constexpr uint64_t kModuleList = 0x6040;
inline constexpr uint64_t kMemoryMap = 0x7000;
inline constexpr uint64_t kCommandLine = 0x20000;
inline constexpr uint64_t kMaxCommandLine = 2048;  // COMMAND_LINE_SIZE of the kernel, with the final zero
inline constexpr uint64_t kMpTable = 0x9fc00;
inline constexpr uint64_t kLowMemoryEnd = 0x9fc00;
inline constexpr uint64_t kMegabyte = 0x100000;

inline constexpr uint64_t kDeviceWindows = 0xd0000000;
inline constexpr uint32_t kFirstDeviceIrq = 5;  // 0-4 are the timer, keyboard, cascade and serial ports of a PC
inline constexpr uint32_t kLastDeviceIrq = 23;  // pins of the I/O APIC

inline constexpr uint32_t kIoApic = 0xfec00000;
inline constexpr uint32_t kLocalApic = 0xfee00000;
inline constexpr uint64_t kIdentityMap = 0xfffbc000;
inline constexpr uint64_t kTaskState = 0xfffbd000;  // three pages

}  // namespace msb::kvm
