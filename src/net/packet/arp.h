// ARP for IPv4 over Ethernet (RFC 826).
#pragma once

#include <optional>

#include "net/address.h"

namespace msb::net {

struct ArpPacket {
  static constexpr size_t kSize = 28;
  enum class Operation : uint16_t { request = 1, reply = 2 };
  Operation operation = Operation::request;
  Mac sender_mac;
  Ip sender;
  Mac target_mac;
  Ip target;
};

std::optional<ArpPacket> parse_arp(ByteView bytes);
void write_arp(const ArpPacket& packet, uint8_t* out);

}  // namespace msb::net
