#include "net/dns/dns_name.h"

#include "net/dns/dns_message.h"

namespace msb::net {
namespace {

constexpr size_t kLongest = 255;
constexpr uint8_t kPointer = 0xc0;

// A dot inside a label must not look like one between labels.
void append_label(std::string& out, ByteView label) {
  for (const uint8_t byte : label) {
    const auto c = static_cast<char>(byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte);
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '*' || c == '/') {
      out += c;
    } else {
      out += '\\';
      out += static_cast<char>('0' + byte / 100);
      out += static_cast<char>('0' + byte / 10 % 10);
      out += static_cast<char>('0' + byte % 10);
    }
  }
}

}  // namespace

std::optional<DnsName> read_dns_name(ByteView message, size_t offset) {
  DnsName out;
  size_t length = 1;  // the root's label
  size_t at = offset;
  size_t before = offset;  // where the next pointer has to lead: to the left of this
  for (;;) {
    if (at >= message.size()) return std::nullopt;
    const uint8_t first = message[at];
    if ((first & kPointer) == kPointer) {
      if (at + 1 >= message.size()) return std::nullopt;
      const size_t to = load_be<uint16_t>(&message[at]) & 0x3fff;
      if (out.end == 0) out.end = at + 2;
      // A name in the header would be another one as soon as a reply's flags are set.
      if (to >= before || to < kDnsHeaderSize) return std::nullopt;
      at = before = to;
      continue;
    }
    if ((first & kPointer) != 0) return std::nullopt;  // RFC 6891, 5: such labels are no more
    if (first == 0) {
      if (out.end == 0) out.end = at + 1;
      return out;
    }
    length += first + size_t{1};
    if (length > kLongest || at + 1 + first > message.size()) return std::nullopt;
    if (!out.text.empty()) out.text += '.';
    append_label(out.text, message.subspan(at + 1, first));
    at += first + size_t{1};
  }
}

}  // namespace msb::net
