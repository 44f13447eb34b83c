// Names inside DNS messages: labels, and pointers to labels that stand before (RFC 1035, 4.1.4).
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"

namespace msb::net {

struct DnsName {
  std::string text;  // as DnsQuestion::name
  size_t end = 0;    // offset behind it, where it stands
};
// Nothing when it runs past the end, is longer than 255 bytes, or a pointer does not lead strictly backwards,
// or leads into the header.
std::optional<DnsName> read_dns_name(ByteView message, size_t offset);

}  // namespace msb::net
