#include "image/layer_tar_fields.h"

#include <charconv>

namespace msb::image::tar {

std::string_view text(const uint8_t* header, Field field) {
  std::string_view all(reinterpret_cast<const char*>(header) + field.offset, field.length);
  return all.substr(0, all.find('\0'));
}

std::optional<int64_t> number(const uint8_t* header, Field field) {
  ByteView bytes(header + field.offset, field.length);
  if (bytes[0] & 0x80) {
    // Base-256, two's complement: bit 6 of the first byte is the sign.
    const bool negative = bytes[0] & 0x40;
    uint64_t value = negative ? UINT64_MAX : 0;
    for (size_t i = 0; i < bytes.size(); ++i) {
      uint8_t byte = i == 0 ? static_cast<uint8_t>(negative ? bytes[0] : bytes[0] & 0x7f) : bytes[i];
      if ((value >> 56) != (negative ? 0xffu : 0u)) return std::nullopt;
      value = value << 8 | byte;
    }
    if ((value >> 63) != (negative ? 1u : 0u)) return std::nullopt;
    return static_cast<int64_t>(value);
  }
  size_t at = 0;
  while (at < bytes.size() && bytes[at] == ' ') ++at;
  uint64_t value = 0;
  for (; at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '7'; ++at) {
    if (value >> 60) return std::nullopt;
    value = value << 3 | static_cast<uint64_t>(bytes[at] - '0');
  }
  // Behind the digits: an end mark, and whatever old tars left there.
  if (at < bytes.size() && bytes[at] != ' ' && bytes[at] != '\0') return std::nullopt;
  return static_cast<int64_t>(value);
}

bool checksum_ok(const uint8_t* header) {
  auto wanted = number(header, kChecksum);
  if (!wanted) return false;
  int64_t sum = 0, signed_sum = 0;
  for (size_t i = 0; i < 512; ++i) {
    const bool own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.length;
    const uint8_t byte = own ? ' ' : header[i];
    sum += byte;
    signed_sum += static_cast<int8_t>(byte);
  }
  return *wanted == sum || *wanted == signed_sum;
}

std::optional<uint64_t> decimal(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Time> decimal_time(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const size_t dot = text.find('.');
  auto seconds = decimal(text.substr(0, dot));
  if (!seconds || *seconds > uint64_t{1} << 60) return std::nullopt;
  uint32_t nanoseconds = 0;
  if (dot != text.npos) {
    std::string_view fraction = text.substr(dot + 1);
    uint32_t unit = 100'000'000;
    for (char digit : fraction) {
      if (digit < '0' || digit > '9') return std::nullopt;
      nanoseconds += unit * static_cast<uint32_t>(digit - '0');
      unit /= 10;
    }
  }
  Time time{static_cast<int64_t>(*seconds), nanoseconds};
  if (negative) {
    time.seconds = -time.seconds;
    if (nanoseconds > 0) {
      --time.seconds;
      time.nanoseconds = 1'000'000'000 - nanoseconds;
    }
  }
  return time;
}

std::string decode_percent(std::string_view text) {
  auto hex = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

}  // namespace msb::image::tar
