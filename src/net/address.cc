#include "net/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "base/cat.h"

namespace msb::net {

Ip Ip::v4(uint32_t value) {
  Ip ip;
  store_be(ip.bytes_.data(), value);
  return ip;
}

Ip Ip::v6(const std::array<uint8_t, 16>& bytes) {
  Ip ip;
  ip.bytes_ = bytes;
  ip.family_ = Family::v6;
  return ip;
}

Ip Ip::from_bytes(ByteView bytes) {
  Ip ip;
  ip.family_ = bytes.size() == 4 ? Family::v4 : Family::v6;
  std::copy_n(bytes.begin(), std::min(bytes.size(), ip.bytes_.size()), ip.bytes_.begin());
  return ip;
}

Result<Ip> Ip::parse(std::string_view text) {
  const std::string copy(text);
  Ip ip;
  // A zero byte would end the text for inet_pton() before its end.
  if (copy.find('\0') == std::string::npos) {
    if (::inet_pton(AF_INET, copy.c_str(), ip.bytes_.data()) == 1) return ip;
    ip.family_ = Family::v6;
    if (::inet_pton(AF_INET6, copy.c_str(), ip.bytes_.data()) == 1) return ip;
  }
  return fail(ErrorKind::invalid_config, cat("'", copy, "' is not an IP address"));
}

bool Ip::is_unspecified() const {
  return std::ranges::all_of(bytes_, [](uint8_t byte) { return byte == 0; });
}

bool Ip::is_multicast() const {
  return is_v4() ? bytes_[0] >> 4 == 14 || v4_value() == 0xffffffff : bytes_[0] == 0xff;
}

std::string Ip::to_string() const {
  char text[INET6_ADDRSTRLEN];
  ::inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof(text));
  return text;
}

Result<Endpoint> Endpoint::parse(std::string_view text, uint16_t default_port) {
  if (const auto ip = Ip::parse(text)) return Endpoint{*ip, default_port};
  std::string_view address = text;
  uint16_t port = default_port;
  if (const size_t colon = text.rfind(':'); colon != std::string_view::npos && !text.ends_with(']')) {
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error == std::errc() && end == digits.data() + digits.size() && port != 0) address = text.substr(0, colon);
  }
  const bool brackets = address.starts_with('[') && address.ends_with(']');
  if (brackets) address = address.substr(1, address.size() - 2);
  if (const auto ip = Ip::parse(address); ip && ip->is_v4() != brackets) return Endpoint{*ip, port};
  return fail(ErrorKind::invalid_config,
              cat("'", text, "' is no address with or without a port (1.2.3.4:80, [::1]:80)"));
}

std::string Endpoint::to_string() const {
  return ip.is_v4() ? cat(ip.to_string(), ":", port) : cat("[", ip.to_string(), "]:", port);
}

SocketAddress to_socket_address(const Endpoint& endpoint) {
  SocketAddress address;
  const ByteView bytes = endpoint.ip.bytes();
  if (endpoint.ip.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(endpoint.port);
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<uint8_t*>(&v4->sin_addr));
    address.size = sizeof(*v4);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(endpoint.port);
    std::copy(bytes.begin(), bytes.end(), v6->sin6_addr.s6_addr);
    address.size = sizeof(*v6);
  }
  return address;
}

Endpoint to_endpoint(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return {Ip::v4(ntohl(v4.sin_addr.s_addr)), ntohs(v4.sin_port)};
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  const ByteView bytes(v6.sin6_addr.s6_addr);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return {Ip::from_bytes(bytes.subspan(12)), ntohs(v6.sin6_port)};
  return {Ip::from_bytes(bytes), ntohs(v6.sin6_port)};
}

Cidr::Cidr(const Ip& base, unsigned prefix) {
  std::array<uint8_t, 16> bytes{};
  const ByteView given = base.bytes();
  prefix_ = std::min<unsigned>(prefix, static_cast<unsigned>(given.size()) * 8);
  for (size_t i = 0; i < given.size(); ++i) {
    const unsigned kept = std::clamp<int>(static_cast<int>(prefix_) - static_cast<int>(i) * 8, 0, 8);
    bytes[i] = given[i] & static_cast<uint8_t>(0xff00 >> kept);
  }
  base_ = Ip::from_bytes(ByteView(bytes).first(given.size()));
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const size_t slash = text.find('/');
  MSB_TRY(Ip ip, Ip::parse(text.substr(0, slash)));
  const unsigned whole = ip.is_v4() ? 32 : 128;
  if (slash == std::string_view::npos) return Cidr(ip, whole);
  const std::string_view digits = text.substr(slash + 1);
  unsigned prefix = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
  if (error != std::errc() || end != digits.data() + digits.size() || prefix > whole)
    return fail(ErrorKind::invalid_config, cat("'", std::string(text), "': the prefix has to be 0 to ", whole));
  return Cidr(ip, prefix);
}

bool Cidr::contains(const Ip& ip) const {
  return ip.family() == base_.family() && Cidr(ip, prefix_).base_ == base_;
}

std::string Cidr::to_string() const {
  return cat(base_.to_string(), "/", prefix_);
}

Result<Mac> Mac::parse(std::string_view text) {
  Mac mac;
  const auto bad = [&] {
    return fail(ErrorKind::invalid_config, cat("'", std::string(text), "' is not a MAC address"));
  };
  if (text.size() != 17) return bad();
  for (size_t i = 0; i < 6; ++i) {
    const char* at = text.data() + i * 3;
    const auto [end, error] = std::from_chars(at, at + 2, mac.bytes[i], 16);
    if (error != std::errc() || end != at + 2 || (i < 5 && at[2] != ':')) return bad();
  }
  return mac;
}

std::string Mac::to_string() const {
  char text[18];
  std::snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
                bytes[5]);
  return text;
}

}  // namespace msb::net

size_t std::hash<msb::net::Ip>::operator()(const msb::net::Ip& ip) const noexcept {
  return std::hash<std::string_view>()(msb::as_text(ip.bytes()));
}
