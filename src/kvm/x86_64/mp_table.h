// The MP table: how a kernel without ACPI learns of its processors and of the I/O APIC (Intel MultiProcessor
// Specification 1.4, chapter 4).
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace msb::kvm {

// Pins of the I/O APIC; interrupt n of the ISA bus is pin n.
inline constexpr uint32_t kIoApicPins = 24;

// The floating pointer and the table behind it, as they must lie at guest address `address`. At most 1 KiB for 32
// processors.
Bytes mp_table(uint64_t address, uint32_t vcpus);

}  // namespace msb::kvm
