// Ethernet: the header of each frame.
#pragma once

#include <algorithm>
#include <optional>

#include "net/address.h"

namespace msb::net {

enum class EtherType : uint16_t { ipv4 = 0x0800, arp = 0x0806, ipv6 = 0x86dd };

struct EthernetHeader {
  static constexpr size_t kSize = 14;
  Mac destination;
  Mac source;
  EtherType type{};
};

struct EthernetFrame {
  EthernetHeader header;
  ByteView payload;
};

inline std::optional<EthernetFrame> parse_ethernet(ByteView bytes) {
  if (bytes.size() < EthernetHeader::kSize) return std::nullopt;
  EthernetFrame frame;
  std::copy_n(bytes.data(), 6, frame.header.destination.bytes.begin());
  std::copy_n(bytes.data() + 6, 6, frame.header.source.bytes.begin());
  frame.header.type = static_cast<EtherType>(load_be<uint16_t>(bytes.data() + 12));
  frame.payload = bytes.subspan(EthernetHeader::kSize);
  return frame;
}

inline void write_ethernet(const EthernetHeader& header, uint8_t* out) {
  std::ranges::copy(header.destination.bytes, out);
  std::ranges::copy(header.source.bytes, out + 6);
  store_be(out + 12, static_cast<uint16_t>(header.type));
}

}  // namespace msb::net
