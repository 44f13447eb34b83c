// What must be right about a MachineSpec whichever machine it is for, looked at before anything starts.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "state/machine_spec.h"

namespace msb::state {

inline constexpr uint32_t kMaxVcpus = 32;  // CONFIG_NR_CPUS of the guest kernel
inline constexpr uint32_t kMinMemoryMib = 64;
inline constexpr size_t kMaxExtents = 200;  // files in one concatenated disk, bounded by the descriptor limit

// Bytes of each file of each disk.
using DiskSizes = std::vector<std::vector<uint64_t>>;

// What the specification says by itself. Pure. Errors: invalid_config, corrupt (a part of a concatenated disk that is
// not whole sectors).
Result<> check_shape(const MachineSpec& spec, const DiskSizes& sizes);

// Memory that this host does not have is invalid_config. Processors are shared: there may be more of them than the host
// has.
Result<> check_host_memory(uint32_t memory_mib);

// check_shape(), and this host: its memory; kernel (PVH), initramfs and disk files there, regular, readable headers.
Result<DiskSizes> check_machine(const MachineSpec& spec);

}  // namespace msb::state
