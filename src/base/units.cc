#include "base/units.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace msb {
namespace {

struct Quantity {
  double value;
  std::string suffix;  // lower case
};

Result<Quantity> split(std::string_view text, std::string_view what) {
  Quantity quantity{};
  const char* begin = text.data();
  const char* end = begin + text.size();
  auto [rest, error] = std::from_chars(begin, end, quantity.value, std::chars_format::fixed);
  if (error != std::errc() || quantity.value < 0 || !std::isfinite(quantity.value))
    return fail(ErrorKind::invalid_config, cat("'", text, "' is not a ", what));
  quantity.suffix.assign(rest, end);
  std::transform(quantity.suffix.begin(), quantity.suffix.end(), quantity.suffix.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  return quantity;
}

}  // namespace

Result<uint32_t> parse_mib(std::string_view text) {
  MSB_TRY(auto quantity, split(text, "size; write it like 512M or 2G"));
  const auto& suffix = quantity.suffix;
  double factor = 0;
  if (suffix.empty() || suffix == "m" || suffix == "mb" || suffix == "mib") factor = 1;
  if (suffix == "g" || suffix == "gb" || suffix == "gib") factor = 1024;
  if (suffix == "t" || suffix == "tb" || suffix == "tib") factor = 1024.0 * 1024;
  if (factor == 0)
    return fail(ErrorKind::invalid_config, cat("'", text, "' has an unknown unit; use M or G, for example 512M or 2G"));
  double mib = quantity.value * factor;
  if (mib < 1 || mib > 4294967295.0)
    return fail(ErrorKind::invalid_config, cat("'", text, "' is out of range; the smallest size is 1M"));
  if (mib != std::floor(mib)) return fail(ErrorKind::invalid_config, cat("'", text, "' is not a whole number of MiB"));
  return static_cast<uint32_t>(mib);
}

Result<uint64_t> parse_bytes(std::string_view text) {
  MSB_TRY(auto quantity, split(text, "number of bytes; write it like 64K or 10M"));
  std::string unit = quantity.suffix;
  if (unit.ends_with('b')) unit.pop_back();
  if (unit.size() == 2 && unit.ends_with('i')) unit.pop_back();
  static constexpr std::string_view kUnits = "kmgt";
  const size_t power = unit.empty() ? 0 : unit.size() == 1 ? kUnits.find(unit[0]) + 1 : 0;
  if (power == 0 && !unit.empty())
    return fail(ErrorKind::invalid_config, cat("'", text, "' has an unknown unit; use K, M or G, for example 10M"));
  const double bytes = std::ldexp(quantity.value, static_cast<int>(power) * 10);
  if (bytes != std::floor(bytes) || bytes < 1 || bytes > 1e15)
    return fail(ErrorKind::invalid_config, cat("'", text, "' is out of range, or no whole number of bytes"));
  return static_cast<uint64_t>(bytes);
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  MSB_TRY(auto quantity, split(text, "duration; write it like 30s, 5m or 2h"));
  const auto& suffix = quantity.suffix;
  double factor = 0;
  if (suffix == "ms") factor = 1;
  if (suffix.empty() || suffix == "s") factor = 1000;
  if (suffix == "m") factor = 60'000;
  if (suffix == "h") factor = 3'600'000;
  if (suffix == "d") factor = 86'400'000;
  if (factor == 0)
    return fail(ErrorKind::invalid_config, cat("'", text, "' has an unknown unit; use ms, s, m, h or d"));
  double value = quantity.value * factor;
  if (value > 1e15) return fail(ErrorKind::invalid_config, cat("'", text, "' is too long a duration"));
  return std::chrono::milliseconds(static_cast<int64_t>(value));
}

Result<uint64_t> parse_integer(std::string_view text, uint64_t low, uint64_t high, std::string_view what) {
  uint64_t value = 0;
  const char* begin = text.data();
  const char* end = begin + text.size();
  auto [rest, error] = std::from_chars(begin, end, value);
  if (error != std::errc() || rest != end || value < low || value > high)
    return fail(ErrorKind::invalid_config, cat(what, " '", text, "' must be a whole number from ", low, " to ", high));
  return value;
}

std::string format_size(uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) value /= 1024, ++unit;
  char text[32];
  std::snprintf(text, sizeof(text), unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string format_duration(std::chrono::milliseconds value) {
  auto ms = value.count();
  char text[48];
  if (ms < 1000) {
    std::snprintf(text, sizeof(text), "%lldms", static_cast<long long>(ms));
  } else if (ms < 60'000) {
    std::snprintf(text, sizeof(text), "%.1fs", static_cast<double>(ms) / 1000);
  } else if (ms < 3'600'000) {
    std::snprintf(text, sizeof(text), "%lldm%02llds", static_cast<long long>(ms / 60'000),
                  static_cast<long long>(ms / 1000 % 60));
  } else {
    std::snprintf(text, sizeof(text), "%lldh%02lldm", static_cast<long long>(ms / 3'600'000),
                  static_cast<long long>(ms / 60'000 % 60));
  }
  return text;
}

}  // namespace msb
