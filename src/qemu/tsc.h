// The frequency of the time stamp counter that a TCG guest sees.
#pragma once

#include <cstdint>
#include <string_view>

namespace msb::qemu {

// kHz of what QEMU's TCG hands the guest as its TSC: the host's own counter, unscaled. 0 where that is unknown (the
// guest then calibrates by itself). Takes 10 ms of processor time: cache it; it is constant from boot to boot.
uint64_t host_tsc_khz();

// From the text of /proc/cpuinfo; 0 when it does not say. Exported for its test.
uint64_t tsc_khz_from_cpuinfo(std::string_view cpuinfo);

}  // namespace msb::qemu
