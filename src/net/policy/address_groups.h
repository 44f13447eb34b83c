// Address groups: what kind of place an address is. The table is in the .cc file; docs/network.md shows it.
//
//   group_of(*Ip::parse("10.1.2.3"))                // private_
//   group_of(*Ip::parse("64:ff9b::a9fe:a9fe"))      // metadata: NAT64 would carry it to 169.254.169.254
//   group_of(*Ip::parse("192.0.2.1"))               // nothing: documentation, which is nowhere
//
// An address is in one group at most. The group "host" is not from here: it depends on the sandbox (Policy).
#pragma once

#include <optional>

#include <microsandbox/network.h>

#include "net/address.h"

namespace msb::net {

// ::ffff:1.2.3.4 is 1.2.3.4 by another name: a socket that dials it speaks IPv4. Every other address is itself.
Ip unmapped(const Ip& ip);

// Where an IPv6 address that carries an IPv4 address leads, by a translator (NAT64, RFC 6052) or a tunnel (6to4,
// Teredo, ISATAP) that the host's network may have.
std::optional<Ip> embedded_v4(const Ip& ip);

// Judges unmapped(ip), by what it embeds if it embeds something. Nothing: reserved, documentation, unspecified ...
std::optional<NetworkGroup> group_of(const Ip& ip);

}  // namespace msb::net
