// DNS messages that the gateway makes itself: what it says to a guest in an upstream's stead, and what it asks an
// upstream.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "net/dns/dns_message.h"

namespace msb::net {

// Extended errors (RFC 8914), which a query with EDNS is told: `dig` and systemd-resolved show them.
enum class DnsExtendedError : uint16_t { none = 0, blocked = 15, no_reachable_authority = 22 };

// An answer without records.
Bytes dns_refusal(const DnsMessage& query, DnsRcode rcode, DnsExtendedError error = DnsExtendedError::none);
// The same to something that has a header and could not be read further.
Bytes dns_refusal(ByteView header, DnsRcode rcode);
// `addresses` of the query's name; none: the name exists and has no such record.
Bytes dns_addresses(const DnsMessage& query, const std::vector<Ip>& addresses, std::chrono::seconds ttl);

// The query as it goes to an upstream: its flags, its question and its OPT record to the byte, and no more.
Bytes dns_forwarded(const DnsMessage& query, uint16_t id);
// `answer` cut to `limit` bytes, which its question fits: the answers that fit, EDNS, and the bit that says so (RFC
// 2181, 9).
Bytes dns_cut(const DnsMessage& answer, size_t limit);

}  // namespace msb::net
