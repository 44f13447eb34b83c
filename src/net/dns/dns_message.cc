#include "net/dns/dns_message.h"

#include <algorithm>

#include "net/dns/dns_name.h"

namespace msb::net {
namespace {

constexpr size_t kSvcbPrioritySize = 2;
// RFC 9460, 14.3.2: parameters of SVCB and HTTPS that are addresses.
constexpr uint16_t kIpv4Hint = 4;
constexpr uint16_t kIpv6Hint = 6;

bool is_svcb(DnsType type) {
  return type == DnsType::svcb || type == DnsType::https;
}

// Calls `each(key, value)` for the parameters; false when they are not well-formed.
template <class Each>
bool for_each_parameter(ByteView parameters, Each each) {
  ByteReader in(parameters);
  while (in.remaining() > 0) {
    const auto key = in.be<uint16_t>();
    const auto size = in.be<uint16_t>();
    const auto value = size ? in.take(*size) : std::nullopt;
    if (!key || !value) return false;
    each(*key, *value);
  }
  return true;
}

void append_addresses(std::vector<Ip>& out, ByteView bytes, size_t size) {
  for (size_t at = 0; at + size <= bytes.size(); at += size) out.push_back(Ip::from_bytes(bytes.subspan(at, size)));
}

}  // namespace

std::optional<DnsMessage> DnsMessage::parse(ByteView bytes) {
  if (bytes.size() < kDnsHeaderSize || bytes.size() > kDnsLargest) return std::nullopt;
  DnsMessage out;
  out.bytes_ = bytes;
  const auto count = [&](size_t at) { return load_be<uint16_t>(bytes.data() + at); };
  ByteReader in(bytes.subspan(kDnsHeaderSize));
  for (size_t left = count(4); left > 0; --left) {
    const auto name = read_dns_name(bytes, bytes.size() - in.remaining());
    if (!name) return std::nullopt;
    in = ByteReader(bytes.subspan(name->end));
    const auto type = in.be<uint16_t>();
    const auto klass = in.be<uint16_t>();
    if (!klass) return std::nullopt;
    out.questions_.push_back({.name = name->text, .type = static_cast<DnsType>(*type), .klass = *klass});
  }
  out.questions_end_ = bytes.size() - in.remaining();
  if (!out.read_section(in, count(6), out.answers_) || !out.read_section(in, count(8), out.authority_) ||
      !out.read_section(in, count(10), out.additional_) || in.remaining() > 0)
    return std::nullopt;
  for (const DnsRecord& record : out.additional_) {
    if (record.type != DnsType::opt) continue;
    if (out.opt_) return std::nullopt;  // RFC 6891, 6.1.1
    out.opt_ = record;
  }
  return out;
}

bool DnsMessage::read_section(ByteReader& in, size_t count, std::vector<DnsRecord>& out) {
  for (; count > 0; --count) {
    DnsRecord record;
    record.begin = bytes_.size() - in.remaining();
    const auto name = read_dns_name(bytes_, record.begin);
    if (!name) return false;
    in = ByteReader(bytes_.subspan(name->end));
    const auto type = in.be<uint16_t>();
    const auto klass = in.be<uint16_t>();
    const auto ttl = in.be<uint32_t>();
    const auto size = in.be<uint16_t>();
    record.data = bytes_.size() - in.remaining();
    if (!size || !in.take(*size)) return false;
    record.end = record.data + *size;
    record.type = static_cast<DnsType>(*type);
    record.klass = *klass;
    record.ttl = *ttl;
    if (!is_sound(record)) return false;
    out.push_back(record);
  }
  return true;
}

bool DnsMessage::is_sound(const DnsRecord& record) const {
  const ByteView data = bytes_.subspan(record.data, record.end - record.data);
  if (record.type == DnsType::opt) return bytes_[record.begin] == 0;  // RFC 6891, 6.1.2: its owner is the root
  if (record.klass != kDnsInternet) return true;
  switch (record.type) {
    case DnsType::a:
      return data.size() == 4;
    case DnsType::aaaa:
      return data.size() == 16;
    case DnsType::cname:
    case DnsType::dname: {
      const auto name = read_dns_name(bytes_, record.data);
      return name && name->end == record.end;
    }
    case DnsType::svcb:
    case DnsType::https: {
      if (data.size() < kSvcbPrioritySize) return false;
      const auto name = read_dns_name(bytes_, record.data + kSvcbPrioritySize);
      if (!name || name->end > record.end) return false;
      bool whole = true;
      return for_each_parameter(bytes_.subspan(name->end, record.end - name->end),
                                [&](uint16_t key, ByteView value) {
                                  if (key == kIpv4Hint) whole = whole && value.size() % 4 == 0;
                                  if (key == kIpv6Hint) whole = whole && value.size() % 16 == 0;
                                }) &&
             whole;
    }
    default:
      return true;
  }
}

size_t DnsMessage::udp_size() const {
  return opt_ ? std::max<size_t>(opt_->klass, kDnsPlainUdpSize) : kDnsPlainUdpSize;
}

std::string DnsMessage::owner(const DnsRecord& record) const {
  return read_dns_name(bytes_, record.begin)->text;
}

std::string DnsMessage::target(const DnsRecord& record) const {
  return read_dns_name(bytes_, record.data + (is_svcb(record.type) ? kSvcbPrioritySize : 0))->text;
}

std::vector<Ip> DnsMessage::addresses(const DnsRecord& record) const {
  std::vector<Ip> out;
  if (record.klass != kDnsInternet) return out;
  if (record.type == DnsType::a || record.type == DnsType::aaaa) {
    out.push_back(Ip::from_bytes(bytes_.subspan(record.data, record.end - record.data)));
  } else if (is_svcb(record.type)) {
    const size_t begin = read_dns_name(bytes_, record.data + kSvcbPrioritySize)->end;
    for_each_parameter(bytes_.subspan(begin, record.end - begin), [&](uint16_t key, ByteView value) {
      if (key == kIpv4Hint) append_addresses(out, value, 4);
      if (key == kIpv6Hint) append_addresses(out, value, 16);
    });
  }
  return out;
}

}  // namespace msb::net
