// TCP: the header of each segment, with the two options that are used here: maximum segment size and window scale.
#pragma once

#include <optional>

#include "net/packet/ip.h"

namespace msb::net {

enum TcpFlag : uint8_t { kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16 };

struct TcpHeader {
  static constexpr size_t kChecksumOffset = 16;
  static constexpr size_t kLargestWritten = 28;  // by write_tcp()
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint32_t sequence = 0;
  uint32_t acknowledgement = 0;
  uint8_t flags = 0;
  uint16_t window = 0;  // not scaled
  std::optional<uint16_t> mss = {};
  std::optional<uint8_t> window_scale = {};

  bool has(TcpFlag flag) const { return (flags & flag) != 0; }
  // As written by write_tcp().
  size_t size() const { return size_t{20} + (mss ? 4 : 0) + (window_scale ? 4 : 0); }
};

struct TcpPacket {
  TcpHeader header;
  ByteView payload;
};

// Of the payload of an IP packet. Options are read from SYNs only; a malformed one ends them.
std::optional<TcpPacket> parse_tcp(ByteView bytes);

// Writes header.size() bytes with a checksum that covers the pseudo-header only: who needs it whole adds the rest.
void write_tcp(const Ip& from, const Ip& to, const TcpHeader& header, size_t payload_size, uint8_t* out);

}  // namespace msb::net
