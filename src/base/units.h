// Sizes and durations as people write them, and back.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace msb {

inline constexpr uint64_t kKiB = 1024;
inline constexpr uint64_t kMiB = 1024 * kKiB;
inline constexpr uint64_t kGiB = 1024 * kMiB;

// "512" and "512M" are MiB, "1.5G" and "8GiB" are GiB (suffixes M, MB, MiB, G, GB, GiB, T.., any case; all binary).
// Returns MiB. Fractions are allowed where they give whole MiB. 0 is refused.
Result<uint32_t> parse_mib(std::string_view text);

// "1500", "64K", "10M", "1.5G": bytes, in the same units.
Result<uint64_t> parse_bytes(std::string_view text);

// "90", "90s", "5m", "2h", "1d" and, as parts of a second, "250ms".
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// A plain decimal integer within bounds; the error names `what`.
Result<uint64_t> parse_integer(std::string_view text, uint64_t low, uint64_t high, std::string_view what);

std::string format_size(uint64_t bytes);                       // "4.0 KiB", "512 MiB", "1.2 GiB"
std::string format_duration(std::chrono::milliseconds value);  // "340ms", "2.5s", "3m12s"

}  // namespace msb
