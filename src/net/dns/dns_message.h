// DnsMessage: a DNS message (RFC 1035; EDNS, RFC 6891) read where it lies. Every byte is foreign: a message that parses
// has well-formed names and sections, and addresses, aliases and hints of the right size; what its other records mean
// nobody here needs to know.
//
//   const auto message = DnsMessage::parse(bytes);         // a view: `bytes` stay alive
//   if (message && message->questions().size() == 1) message->questions()[0].name;   // "www.example.com"
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "net/address.h"

namespace msb::net {

enum class DnsType : uint16_t {
  a = 1,
  cname = 5,
  aaaa = 28,
  dname = 39,
  opt = 41,
  svcb = 64,
  https = 65,
  ixfr = 251,
  axfr = 252,
};
enum class DnsRcode : uint8_t {
  no_error = 0,
  format_error = 1,
  server_failure = 2,
  name_error = 3,
  not_implemented = 4
};
inline constexpr uint16_t kDnsInternet = 1;  // the only class with addresses
inline constexpr size_t kDnsHeaderSize = 12;
inline constexpr size_t kDnsPlainUdpSize = 512;  // without EDNS, RFC 1035, 4.2.1
inline constexpr size_t kDnsLargest = 65535;

struct DnsQuestion {
  std::string name;  // canonical: lower case, no dot at the end; bytes that are no host name's as \DDD
  DnsType type{};
  uint16_t klass = 0;
  bool operator==(const DnsQuestion&) const = default;
};

struct DnsRecord {
  size_t begin = 0;  // offsets into the message: the owner's name,
  size_t data = 0;   // the RDATA,
  size_t end = 0;    // its end
  DnsType type{};
  uint16_t klass = 0;
  uint32_t ttl = 0;
};

class DnsMessage {
 public:
  static std::optional<DnsMessage> parse(ByteView bytes);

  ByteView bytes() const { return bytes_; }
  uint16_t id() const { return load_be<uint16_t>(bytes_.data()); }
  uint16_t flags() const { return load_be<uint16_t>(bytes_.data() + 2); }
  bool is_response() const { return (flags() & 0x8000) != 0; }
  unsigned opcode() const { return flags() >> 11 & 0xf; }
  bool is_truncated() const { return (flags() & 0x0200) != 0; }
  DnsRcode rcode() const { return static_cast<DnsRcode>(flags() & 0xf); }  // without EDNS's extension

  const std::vector<DnsQuestion>& questions() const { return questions_; }
  size_t questions_end() const { return questions_end_; }
  const std::vector<DnsRecord>& answers() const { return answers_; }
  const std::vector<DnsRecord>& authority() const { return authority_; }
  const std::vector<DnsRecord>& additional() const { return additional_; }  // OPT among them
  const std::optional<DnsRecord>& opt() const { return opt_; }
  // What a client that sent this can take in one datagram.
  size_t udp_size() const;

  std::string owner(const DnsRecord& record) const;
  std::string target(const DnsRecord& record) const;  // of CNAME and DNAME; of SVCB and HTTPS, "" means the owner
  // Of A and AAAA the address, of SVCB and HTTPS the hints; of other types and classes none.
  std::vector<Ip> addresses(const DnsRecord& record) const;

 private:
  DnsMessage() = default;
  bool read_section(ByteReader& in, size_t count, std::vector<DnsRecord>& out);
  bool is_sound(const DnsRecord& record) const;

  ByteView bytes_;
  std::vector<DnsQuestion> questions_;
  size_t questions_end_ = 0;
  std::vector<DnsRecord> answers_;
  std::vector<DnsRecord> authority_;
  std::vector<DnsRecord> additional_;
  std::optional<DnsRecord> opt_;
};

}  // namespace msb::net
