// DNS messages for tests, as guests and servers make them; names are not compressed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/dns/dns_message.h"

namespace msb::net::testing {

Bytes wire_name(std::string_view name);

struct QueryOptions {
  uint16_t id = 0x1234;
  uint16_t edns_size = 0;  // 0: no EDNS
};
Bytes dns_query(std::string_view name, DnsType type, const QueryOptions& options = {});

// What a server says to `query`.
class Answer {
 public:
  explicit Answer(const DnsMessage& query, DnsRcode rcode = DnsRcode::no_error);

  Answer& address(std::string_view owner, std::string_view ip, uint32_t ttl = 60);
  Answer& alias(std::string_view owner, std::string_view target, DnsType type = DnsType::cname);
  // An HTTPS record for the owner itself, with hints of one family.
  Answer& https(std::string_view owner, const std::vector<std::string>& hints);
  Answer& record(std::string_view owner, DnsType type, const Bytes& data, uint32_t ttl = 60);
  Answer& truncated();
  Answer& id(uint16_t id);
  Bytes bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

}  // namespace msb::net::testing
