// DNS over TCP (RFC 7766) with the guest: messages behind their lengths, each put to the gateway. One at a time: what
// the guest sends meanwhile waits in its own buffers.
//
//   serve_dns(gateway, std::move(request));    // the TcpRequest of a connection to port 53
#pragma once

#include <memory>

#include "net/dns/dns_gateway.h"
#include "net/tcp/tcp_engine.h"

namespace msb::net {

// Accepts. `gateway` outlives the connection.
void serve_dns(DnsGateway& gateway, TcpRequest request);

}  // namespace msb::net
