#include "net/dns/testing/dns_messages.h"

namespace msb::net::testing {
namespace {

void put16(Bytes& out, uint16_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}
void put(Bytes& out, ByteView bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace

Bytes wire_name(std::string_view name) {
  Bytes out;
  while (!name.empty()) {
    const size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    out.push_back(static_cast<uint8_t>(label.size()));
    put(out, as_bytes(label));
    name.remove_prefix(dot == std::string_view::npos ? name.size() : dot + 1);
  }
  out.push_back(0);
  return out;
}

Bytes dns_query(std::string_view name, DnsType type, const QueryOptions& options) {
  Bytes out;
  for (const uint16_t value : {options.id, uint16_t{0x0100}, uint16_t{1}, uint16_t{0}, uint16_t{0},
                               static_cast<uint16_t>(options.edns_size != 0 ? 1 : 0)})
    put16(out, value);
  put(out, wire_name(name));
  put16(out, static_cast<uint16_t>(type));
  put16(out, kDnsInternet);
  if (options.edns_size == 0) return out;
  out.push_back(0);
  put16(out, static_cast<uint16_t>(DnsType::opt));
  put16(out, options.edns_size);
  put(out, Bytes(6));
  return out;
}

Answer::Answer(const DnsMessage& query, DnsRcode rcode)
    : bytes_(query.bytes().begin(), query.bytes().begin() + static_cast<ptrdiff_t>(query.questions_end())) {
  store_be(&bytes_[2], static_cast<uint16_t>(0x8180 | static_cast<unsigned>(rcode)));
  store_be(&bytes_[10], uint16_t{0});
}

Answer& Answer::record(std::string_view owner, DnsType type, const Bytes& data, uint32_t ttl) {
  put(bytes_, wire_name(owner));
  put16(bytes_, static_cast<uint16_t>(type));
  put16(bytes_, kDnsInternet);
  put16(bytes_, static_cast<uint16_t>(ttl >> 16));
  put16(bytes_, static_cast<uint16_t>(ttl));
  put16(bytes_, static_cast<uint16_t>(data.size()));
  put(bytes_, data);
  store_be(&bytes_[6], static_cast<uint16_t>(load_be<uint16_t>(&bytes_[6]) + 1));
  return *this;
}

Answer& Answer::address(std::string_view owner, std::string_view text, uint32_t ttl) {
  const Ip ip = Ip::parse(text).value();
  return record(owner, ip.is_v4() ? DnsType::a : DnsType::aaaa, {ip.bytes().begin(), ip.bytes().end()}, ttl);
}

Answer& Answer::alias(std::string_view owner, std::string_view target, DnsType type) {
  return record(owner, type, wire_name(target));
}

Answer& Answer::https(std::string_view owner, const std::vector<std::string>& hints) {
  Bytes addresses;
  for (const std::string& hint : hints) put(addresses, Ip::parse(hint)->bytes());
  Bytes data = {0, 1, 0};  // priority 1, the owner itself
  put16(data, hints[0].find(':') == std::string::npos ? 4 : 6);
  put16(data, static_cast<uint16_t>(addresses.size()));
  put(data, addresses);
  return record(owner, DnsType::https, data);
}

Answer& Answer::truncated() {
  bytes_[2] |= 0x02;
  return *this;
}

Answer& Answer::id(uint16_t id) {
  store_be(bytes_.data(), id);
  return *this;
}

}  // namespace msb::net::testing
