// What an upstream's answer means to the policy.
#pragma once

#include "net/dns/dns_message.h"
#include "net/policy/pin_table.h"

namespace msb::net {

// Every address anywhere in the message: of A and AAAA records, and the hints of SVCB and HTTPS records, which clients
// connect to just the same.
std::vector<Ip> all_addresses(const DnsMessage& answer);

// Pins what the answer gives for its question: to the name that was asked for and to those its aliases (CNAME, DNAME)
// led to. Addresses of other names, which an answer can carry, are not pinned. An answer without any unpins the name.
void pin_answer(const DnsMessage& answer, PinTable& pins);

}  // namespace msb::net
