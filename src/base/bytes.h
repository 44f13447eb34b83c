// Bytes and views of them, and a reader that cannot run past the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace msb {

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;
using MutableByteView = std::span<uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(std::string_view text) {
  return {text.begin(), text.end()};
}

// Fixed-width integers at unaligned addresses; the caller has checked the bounds.
template <class T>
T load_le(const uint8_t* at) {
  static_assert(std::is_unsigned_v<T>);
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(static_cast<T>(at[i]) << (8 * i));
  return value;
}
template <class T>
T load_be(const uint8_t* at) {
  static_assert(std::is_unsigned_v<T>);
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>((value << (sizeof(T) > 1 ? 8 : 0)) | at[i]);
  return value;
}
template <class T>
void store_le(uint8_t* at, T value) {
  static_assert(std::is_unsigned_v<T>);
  for (size_t i = 0; i < sizeof(T); ++i) at[i] = static_cast<uint8_t>(value >> (8 * i));
}
template <class T>
void store_be(uint8_t* at, T value) {
  static_assert(std::is_unsigned_v<T>);
  for (size_t i = 0; i < sizeof(T); ++i) at[i] = static_cast<uint8_t>(value >> (8 * (sizeof(T) - 1 - i)));
}

// Reads foreign bytes front to back. Every read says whether there was enough.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : rest_(bytes) {}

  size_t remaining() const { return rest_.size(); }
  ByteView rest() const { return rest_; }

  std::optional<ByteView> take(size_t count) {
    if (count > rest_.size()) return std::nullopt;
    ByteView taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  template <class T>
  std::optional<T> le() {
    auto taken = take(sizeof(T));
    return taken ? std::optional<T>(load_le<T>(taken->data())) : std::nullopt;
  }
  template <class T>
  std::optional<T> be() {
    auto taken = take(sizeof(T));
    return taken ? std::optional<T>(load_be<T>(taken->data())) : std::nullopt;
  }

 private:
  ByteView rest_;
};

}  // namespace msb
