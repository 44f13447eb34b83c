// The fields of a tar header block and of pax records.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace msb::image::tar {

// Offsets and lengths in the 512-byte header.
struct Field {
  size_t offset;
  size_t length;
};
inline constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kMtime{136, 12},
    kChecksum{148, 8}, kLink{157, 100}, kMagic{257, 8}, kMajor{329, 8}, kMinor{337, 8}, kPrefix{345, 155};
inline constexpr size_t kType = 156;
// Old GNU sparse: four segments in the header, 21 in each block that follows.
inline constexpr size_t kGnuSegments = 386, kGnuIsExtended = 482, kGnuRealSize = 483;
inline constexpr size_t kGnuExtendedCount = 21, kGnuMoreExtended = 504;

// Up to the first NUL.
std::string_view text(const uint8_t* header, Field field);
// Octal with spaces or NULs around it, or base-256. nullopt when it is neither, or does not fit.
std::optional<int64_t> number(const uint8_t* header, Field field);
// The sum over unsigned bytes, or over signed ones as some old tars computed it.
bool checksum_ok(const uint8_t* header);

std::optional<uint64_t> decimal(std::string_view text);
// "1234.56", "-1.5".
struct Time {
  int64_t seconds;
  uint32_t nanoseconds;
};
std::optional<Time> decimal_time(std::string_view text);
// %XX, as in the names of LIBARCHIVE.xattr.
std::string decode_percent(std::string_view text);

}  // namespace msb::image::tar
