// From structs to CBOR maps and back, from one description of the fields:
//
//   struct Ping {
//     uint64_t sequence = 0;
//     static void fields(auto& self, auto&& field) { field("sequence", self.sequence); }
//   };
//   Bytes body = encode(Ping{7});
//   Result<Ping> back = decode<Ping>(body);
//
// Unknown keys are skipped and missing keys keep their defaults, so that fields can
// be added without a new protocol version. std::string_view and ByteView fields point
// into the decoded buffer. Counts are bounded by the input's size.
#pragma once

#include <concepts>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "wire/cbor.h"

namespace msb::wire {

template <class T>
concept Message = requires(T& message) { T::fields(message, [](std::string_view, auto&) {}); };

namespace codec_detail {

inline void write(CborWriter& out, const std::string& value) {
  out.text(value);
}
inline void write(CborWriter& out, std::string_view value) {
  out.text(value);
}
inline void write(CborWriter& out, ByteView value) {
  out.bytes(value);
}
inline void write(CborWriter& out, const Bytes& value) {
  out.bytes(value);
}
inline void write(CborWriter& out, bool value) {
  out.boolean(value);
}
template <std::integral T>
void write(CborWriter& out, T value) {
  if constexpr (std::is_signed_v<T>) {
    out.integer(value);
  } else {
    out.unsigned_integer(value);
  }
}
template <class T>
  requires std::is_enum_v<T>
void write(CborWriter& out, T value) {
  out.text(to_string(value));
}
template <Message T>
void write(CborWriter& out, const T& message);
template <class T>
void write(CborWriter& out, const std::vector<T>& values) {
  out.array(values.size());
  for (const auto& value : values) write(out, value);
}
template <class T>
void write(CborWriter& out, const std::optional<T>& value) {
  if (value) {
    write(out, *value);
  } else {
    out.null();
  }
}

template <class T>
bool is_absent(const T&) {
  return false;
}
template <class T>
bool is_absent(const std::optional<T>& value) {
  return !value.has_value();
}

template <Message T>
void write(CborWriter& out, const T& message) {
  size_t present = 0;
  T::fields(message, [&](std::string_view, const auto& value) { present += is_absent(value) ? 0 : 1; });
  out.map(present);
  T::fields(message, [&](std::string_view key, const auto& value) {
    if (is_absent(value)) return;
    out.text(key);
    write(out, value);
  });
}

inline Result<> read(CborReader& in, std::string& value) {
  MSB_TRY(std::string_view view, in.text());
  value = view;
  return {};
}
inline Result<> read(CborReader& in, std::string_view& value) {
  MSB_TRY(value, in.text());
  return {};
}
inline Result<> read(CborReader& in, ByteView& value) {
  MSB_TRY(value, in.bytes());
  return {};
}
inline Result<> read(CborReader& in, Bytes& value) {
  MSB_TRY(ByteView view, in.bytes());
  value.assign(view.begin(), view.end());
  return {};
}
inline Result<> read(CborReader& in, bool& value) {
  MSB_TRY(value, in.boolean());
  return {};
}
template <std::integral T>
Result<> read(CborReader& in, T& value) {
  if constexpr (std::is_signed_v<T>) {
    MSB_TRY(int64_t wide, in.integer());
    if (wide < std::numeric_limits<T>::min() || wide > std::numeric_limits<T>::max())
      return fail(ErrorKind::protocol, "integer is out of range");
    value = static_cast<T>(wide);
  } else {
    MSB_TRY(uint64_t wide, in.unsigned_integer());
    if (wide > std::numeric_limits<T>::max()) return fail(ErrorKind::protocol, "integer is out of range");
    value = static_cast<T>(wide);
  }
  return {};
}
template <class T>
  requires std::is_enum_v<T>
Result<> read(CborReader& in, T& value) {
  MSB_TRY(std::string_view name, in.text());
  // from_string(name, T&) is found next to the enum and says whether it knows the name.
  if (!from_string(name, value)) return fail(ErrorKind::protocol, cat("unknown value '", name, "'"));
  return {};
}
template <Message T>
Result<> read(CborReader& in, T& message);
template <class T>
Result<> read(CborReader& in, std::vector<T>& values) {
  MSB_TRY(size_t count, in.array());
  values.clear();
  for (size_t i = 0; i < count; ++i) MSB_CHECK(read(in, values.emplace_back()));
  return {};
}
template <class T>
Result<> read(CborReader& in, std::optional<T>& value) {
  if (in.next_is_null()) return in.null();
  return read(in, value.emplace());
}

template <Message T>
Result<> read(CborReader& in, T& message) {
  MSB_TRY(size_t pairs, in.map());
  for (size_t i = 0; i < pairs; ++i) {
    MSB_TRY(std::string_view key, in.text());
    bool known = false;
    Result<> outcome;
    T::fields(message, [&](std::string_view name, auto& value) {
      if (known || name != key) return;
      known = true;
      outcome = read(in, value);
    });
    if (!known) outcome = in.skip();
    if (!outcome) return fail(std::move(outcome).error().context(cat("field '", key, "'")));
  }
  return {};
}

}  // namespace codec_detail

template <Message T>
Bytes encode(const T& message) {
  CborWriter out;
  codec_detail::write(out, message);
  return out.take();
}

template <Message T>
Result<T> decode(ByteView body) {
  CborReader in(body);
  T message;
  MSB_CHECK(codec_detail::read(in, message));
  if (!in.at_end()) return fail(ErrorKind::protocol, "bytes follow the end of a message");
  return message;
}

}  // namespace msb::wire
