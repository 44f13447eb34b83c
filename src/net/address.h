// Addresses as values: Ip (IPv4 or IPv6), Endpoint (Ip and port), Cidr, Mac. Parsed at the door; bytes are in network
// order.
//
//   MSB_TRY(auto ip, Ip::parse("::1"));
//   Endpoint{ip, 80}.to_string()                              // "[::1]:80"
//   Cidr::parse("10.0.0.0/8")->contains(*Ip::parse("10.1.2.3"))
#pragma once

#include <netinet/in.h>

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace msb::net {

enum class Family : uint8_t { v4, v6 };

class Ip {
 public:
  Ip() = default;                // 0.0.0.0
  static Ip v4(uint32_t value);  // 0x7f000001 is 127.0.0.1
  static Ip v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) { return v4(uint32_t{a} << 24 | b << 16 | c << 8 | d); }
  static Ip v6(const std::array<uint8_t, 16>& bytes);
  // `bytes` has 4 or 16.
  static Ip from_bytes(ByteView bytes);
  // As inet_pton() reads it: no brackets, no scope, no leading zeros. invalid_config.
  static Result<Ip> parse(std::string_view text);

  Family family() const { return family_; }
  bool is_v4() const { return family_ == Family::v4; }
  ByteView bytes() const { return {bytes_.data(), is_v4() ? size_t{4} : size_t{16}}; }
  uint32_t v4_value() const { return load_be<uint32_t>(bytes_.data()); }  // of an IPv4 address
  bool is_unspecified() const;
  bool is_multicast() const;  // or the IPv4 broadcast address
  std::string to_string() const;

  auto operator<=>(const Ip&) const = default;

 private:
  std::array<uint8_t, 16> bytes_{};  // IPv4: the first four, zeros after them
  Family family_ = Family::v4;
};

struct Endpoint {
  Ip ip;
  uint16_t port = 0;

  // As to_string() writes it, or an address alone. invalid_config.
  static Result<Endpoint> parse(std::string_view text, uint16_t default_port);
  std::string to_string() const;  // "1.2.3.4:80", "[::1]:80"
  auto operator<=>(const Endpoint&) const = default;
};

// For the host's sockets.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};
SocketAddress to_socket_address(const Endpoint& endpoint);
// Of AF_INET and AF_INET6; an IPv4 address mapped into IPv6 comes out as IPv4.
Endpoint to_endpoint(const sockaddr_storage& address);

class Cidr {
 public:
  Cidr() = default;                       // 0.0.0.0/0
  Cidr(const Ip& base, unsigned prefix);  // the bits after the prefix are cleared
  // "10.0.0.0/8", or an address alone, which is all of itself. invalid_config.
  static Result<Cidr> parse(std::string_view text);

  bool contains(const Ip& ip) const;
  const Ip& base() const { return base_; }
  unsigned prefix() const { return prefix_; }
  std::string to_string() const;
  bool operator==(const Cidr&) const = default;

 private:
  Ip base_;
  unsigned prefix_ = 0;
};

struct Mac {
  std::array<uint8_t, 6> bytes{};
  static Result<Mac> parse(std::string_view text);  // "02:6d:73:00:01:02"
  std::string to_string() const;
  auto operator<=>(const Mac&) const = default;
};

}  // namespace msb::net

template <>
struct std::hash<msb::net::Ip> {
  size_t operator()(const msb::net::Ip& ip) const noexcept;
};
template <>
struct std::hash<msb::net::Endpoint> {
  size_t operator()(const msb::net::Endpoint& endpoint) const noexcept {
    return std::hash<msb::net::Ip>()(endpoint.ip) * 31 + endpoint.port;
  }
};
