// The subset of CBOR (RFC 8949) that the agent protocol uses: integers, booleans,
// null, text, byte strings, arrays and maps, all of definite length.
//
// Why not the JSON library's CBOR: its reader recurses on hostile input and copies
// byte strings one byte at a time, which costs most of the stream throughput inside
// an emulated guest. This reader does not allocate; strings are views of the input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace msb::wire {

// Deepest nesting that CborReader::skip() follows.
inline constexpr size_t kMaxCborDepth = 64;

class CborWriter {
 public:
  void unsigned_integer(uint64_t value) { head(0, value); }
  void integer(int64_t value);
  void boolean(bool value) { out_.push_back(value ? 0xf5 : 0xf4); }
  void null() { out_.push_back(0xf6); }
  void text(std::string_view value);
  void bytes(ByteView value);
  void bytes_head(size_t size) { head(2, size); }  // followed by `size` bytes that somebody else appends
  void array(size_t count) { head(4, count); }     // followed by `count` items
  void map(size_t pairs) { head(5, pairs); }       // followed by `pairs` keys and values

  const Bytes& data() const { return out_; }
  Bytes take() { return std::move(out_); }

 private:
  void head(uint8_t major, uint64_t argument);
  Bytes out_;
};

// Reads one item after another. Errors are ErrorKind::protocol. Views live as long as the input.
class CborReader {
 public:
  explicit CborReader(ByteView input) : input_(input) {}

  bool at_end() const { return input_.remaining() == 0; }
  bool next_is_null() const { return !at_end() && input_.rest()[0] == 0xf6; }

  Result<uint64_t> unsigned_integer();
  Result<int64_t> integer();
  Result<bool> boolean();
  Result<> null();
  Result<std::string_view> text();
  Result<ByteView> bytes();
  // Number of items that follow. Never more than the input has bytes for.
  Result<size_t> array();
  Result<size_t> map();
  // Steps over one whole item.
  Result<> skip();

 private:
  struct Head {
    uint8_t major;
    uint8_t info;
    uint64_t argument;
  };
  Result<Head> head();
  Result<Head> expect(uint8_t major, const char* what);
  ByteReader input_;
};

}  // namespace msb::wire
