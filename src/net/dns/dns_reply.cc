#include "net/dns/dns_reply.h"

#include <algorithm>

namespace msb::net {
namespace {

constexpr uint16_t kResponse = 0x8000;
constexpr uint16_t kOpcode = 0x7800;
constexpr uint16_t kTruncated = 0x0200;
constexpr uint16_t kRecursionDesired = 0x0100;
constexpr uint16_t kRecursionAvailable = 0x0080;
constexpr uint16_t kAuthenticData = 0x0020;
constexpr uint16_t kCheckingDisabled = 0x0010;
// RFC 6891, 6.2.5: what passes any network without fragments (DNS flag day 2020).
constexpr uint16_t kOurUdpSize = 1232;
constexpr uint32_t kDnssecOk = 0x8000;
constexpr uint16_t kExtendedErrorOption = 15;
constexpr std::string_view kExtendedErrorText = "the sandbox's network policy";

class Writer {
 public:
  explicit Writer(uint16_t id) { u16(id).u16(0).u16(0).u16(0).u16(0).u16(0); }

  Writer& u16(uint16_t value) {
    out_.resize(out_.size() + 2);
    store_be(&out_[out_.size() - 2], value);
    return *this;
  }
  Writer& u32(uint32_t value) { return u16(static_cast<uint16_t>(value >> 16)).u16(static_cast<uint16_t>(value)); }
  Writer& raw(ByteView bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  void flags(uint16_t value) { store_be(&out_[2], value); }
  // Of questions, answers, authority, additional.
  void counts(uint16_t questions, uint16_t answers, uint16_t additional) {
    store_be(&out_[4], questions);
    store_be(&out_[6], answers);
    store_be(&out_[10], additional);
  }
  Bytes take() { return std::move(out_); }

 private:
  Bytes out_;
};

ByteView part(const DnsMessage& message, size_t begin, size_t end) {
  return message.bytes().subspan(begin, end - begin);
}
ByteView question(const DnsMessage& message) {
  return part(message, kDnsHeaderSize, message.questions_end());
}
uint16_t question_count(const DnsMessage& message) {
  return static_cast<uint16_t>(message.questions().size());
}

uint16_t reply_flags(uint16_t query, DnsRcode rcode) {
  return kResponse | kRecursionAvailable | (query & (kOpcode | kRecursionDesired | kCheckingDisabled)) |
         static_cast<uint16_t>(rcode);
}

// An OPT record of ours, if the query had one. Returns how many were written.
uint16_t write_opt(Writer& out, const DnsMessage& query, DnsExtendedError error) {
  if (!query.opt()) return 0;
  out.raw(Bytes{0}).u16(static_cast<uint16_t>(DnsType::opt)).u16(kOurUdpSize).u32(query.opt()->ttl & kDnssecOk);
  if (error == DnsExtendedError::none) {
    out.u16(0);
    return 1;
  }
  const bool explained = error == DnsExtendedError::blocked;
  const auto text = explained ? kExtendedErrorText : std::string_view();
  const auto size = static_cast<uint16_t>(2 + text.size());
  out.u16(4 + size).u16(kExtendedErrorOption).u16(size).u16(static_cast<uint16_t>(error)).raw(as_bytes(text));
  return 1;
}

}  // namespace

Bytes dns_refusal(const DnsMessage& query, DnsRcode rcode, DnsExtendedError error) {
  Writer out(query.id());
  out.flags(reply_flags(query.flags(), rcode));
  out.raw(question(query));
  out.counts(question_count(query), 0, write_opt(out, query, error));
  return out.take();
}

Bytes dns_refusal(ByteView header, DnsRcode rcode) {
  Writer out(load_be<uint16_t>(header.data()));
  out.flags(reply_flags(load_be<uint16_t>(header.data() + 2), rcode));
  return out.take();
}

Bytes dns_addresses(const DnsMessage& query, const std::vector<Ip>& addresses, std::chrono::seconds ttl) {
  constexpr uint16_t kPointerToQuestion = 0xc000 | kDnsHeaderSize;
  Writer out(query.id());
  out.flags(reply_flags(query.flags(), DnsRcode::no_error));
  out.raw(question(query));
  for (const Ip& address : addresses) {
    out.u16(kPointerToQuestion).u16(static_cast<uint16_t>(address.is_v4() ? DnsType::a : DnsType::aaaa));
    out.u16(kDnsInternet).u32(static_cast<uint32_t>(ttl.count()));
    out.u16(static_cast<uint16_t>(address.bytes().size())).raw(address.bytes());
  }
  const uint16_t additional = write_opt(out, query, DnsExtendedError::none);
  out.counts(question_count(query), static_cast<uint16_t>(addresses.size()), additional);
  return out.take();
}

Bytes dns_forwarded(const DnsMessage& query, uint16_t id) {
  Writer out(id);
  out.flags(query.flags() & (kRecursionDesired | kAuthenticData | kCheckingDisabled));
  out.raw(question(query));
  if (query.opt()) out.raw(part(query, query.opt()->begin, query.opt()->end));
  out.counts(question_count(query), 0, query.opt() ? 1 : 0);
  return out.take();
}

Bytes dns_cut(const DnsMessage& answer, size_t limit) {
  const ByteView opt = answer.opt() ? part(answer, answer.opt()->begin, answer.opt()->end) : ByteView();
  // An OPT record that leaves no room for the question is left out, too.
  const bool keeps_opt = !opt.empty() && answer.questions_end() + opt.size() <= limit;
  const size_t room = limit - (keeps_opt ? opt.size() : 0);
  size_t end = answer.questions_end();
  uint16_t answers = 0;
  for (const DnsRecord& record : answer.answers()) {
    if (record.end > room) break;
    end = record.end;
    ++answers;
  }
  Writer out(answer.id());
  out.flags(answer.flags() | kTruncated);
  out.raw(part(answer, kDnsHeaderSize, end));
  if (keeps_opt) out.raw(opt);
  out.counts(question_count(answer), answers, keeps_opt ? 1 : 0);
  return out.take();
}

}  // namespace msb::net
