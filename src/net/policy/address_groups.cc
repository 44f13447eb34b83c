#include "net/policy/address_groups.h"

#include <algorithm>
#include <array>
#include <vector>

namespace msb::net {
namespace {

using Group = std::optional<NetworkGroup>;
constexpr Group kReserved = std::nullopt;

struct Row {
  const char* range;
  Group group;
};

// The first that has the address. IANA's registries of special-purpose addresses (RFC 6890 and what came after) say
// what is reserved.
constexpr Row kRows[] = {
    // Metadata services of clouds: who can reach them is given credentials.
    {"169.254.169.254", NetworkGroup::metadata},     // nearly all of them
    {"169.254.170.2", NetworkGroup::metadata},       // AWS ECS tasks
    {"169.254.170.23", NetworkGroup::metadata},      // AWS EKS pod identity
    {"169.254.42.42", NetworkGroup::metadata},       // Scaleway
    {"169.254.0.23", NetworkGroup::metadata},        // Tencent
    {"168.63.129.16", NetworkGroup::metadata},       // Azure's wire server, with a public address
    {"100.100.100.200", NetworkGroup::metadata},     // Alibaba
    {"192.0.0.192", NetworkGroup::metadata},         // Oracle Cloud Classic
    {"fd00:ec2::254", NetworkGroup::metadata},       // AWS
    {"fd00:ec2::23", NetworkGroup::metadata},        // AWS EKS pod identity
    {"fd20:ce::254", NetworkGroup::metadata},        // Google
    {"fd00:c1::a9fe:a9fe", NetworkGroup::metadata},  // Oracle
    {"fd00:100::100:200", NetworkGroup::metadata},   // Alibaba
    {"fd00:42::42", NetworkGroup::metadata},         // Scaleway
    {"fd00:a9fe:a9fe::1", NetworkGroup::metadata},   // Akamai
    {"fe80::a9fe:a9fe", NetworkGroup::metadata},     // OpenStack, Akamai

    {"127.0.0.0/8", NetworkGroup::loopback},       // RFC 1122
    {"::1", NetworkGroup::loopback},               // RFC 4291
    {"10.0.0.0/8", NetworkGroup::private_},        // RFC 1918
    {"172.16.0.0/12", NetworkGroup::private_},     // RFC 1918
    {"192.168.0.0/16", NetworkGroup::private_},    // RFC 1918
    {"100.64.0.0/10", NetworkGroup::private_},     // RFC 6598: between a carrier and its customers, and VPNs
    {"fc00::/7", NetworkGroup::private_},          // RFC 4193
    {"169.254.0.0/16", NetworkGroup::link_local},  // RFC 3927
    {"fe80::/10", NetworkGroup::link_local},       // RFC 4291
    {"224.0.0.0/4", NetworkGroup::multicast},      // RFC 5771
    {"255.255.255.255", NetworkGroup::multicast},  // RFC 919: broadcast
    {"ff00::/8", NetworkGroup::multicast},         // RFC 4291

    {"0.0.0.0/8", kReserved},        // RFC 791: "this network"
    {"192.0.0.0/24", kReserved},     // RFC 6890: IETF protocol assignments
    {"192.0.2.0/24", kReserved},     // RFC 5737: documentation
    {"192.88.99.0/24", kReserved},   // RFC 7526: 6to4 relays, no more
    {"198.18.0.0/15", kReserved},    // RFC 2544: benchmarks
    {"198.51.100.0/24", kReserved},  // RFC 5737
    {"203.0.113.0/24", kReserved},   // RFC 5737
    {"240.0.0.0/4", kReserved},      // RFC 1112: for the future
    {"0.0.0.0/0", NetworkGroup::public_},

    {"2001::/23", kReserved},      // RFC 2928: IETF protocol assignments (Teredo is judged by what it embeds)
    {"2001:db8::/32", kReserved},  // RFC 3849: documentation
    {"3fff::/20", kReserved},      // RFC 9637: documentation
    {"2000::/3", NetworkGroup::public_},
    // All the rest: IANA has given out nothing but 2000::/3. Among it 100::/64 (RFC 6666: discard), 5f00::/16 (RFC
    // 9602:
    // segment routing), fec0::/10 (RFC 3879: site-local, no more), the rest of 64:ff9b:1::/48 (RFC 8215).
    {"::/0", kReserved},
};

// IPv6 prefixes whose addresses carry an IPv4 address at `offset`.
struct Carrier {
  const char* range;
  size_t offset;
  uint8_t mask;  // that its bytes are combined with
};
constexpr Carrier kCarriers[] = {
    {"64:ff9b::/96", 12, 0},     // RFC 6052: NAT64
    {"64:ff9b:1::/96", 12, 0},   // RFC 8215: NAT64 of a site
    {"::ffff:0:0:0/96", 12, 0},  // RFC 2765: stateless translation
    {"::/96", 12, 0},            // RFC 4291: "IPv4-compatible"
    {"2002::/16", 2, 0},         // RFC 3056: 6to4
    {"2001::/32", 12, 0xff},     // RFC 4380: Teredo, the client's address inverted
};
// RFC 5214: ISATAP, in the interface identifier of any global prefix.
constexpr size_t kIsatapOffset = 12;
constexpr std::array<uint8_t, 4> kIsatap = {0x00, 0x00, 0x5e, 0xfe};
constexpr std::array<uint8_t, 4> kIsatapUniversal = {0x02, 0x00, 0x5e, 0xfe};

template <class T>
struct Parsed {
  Cidr range;
  T row;
};
template <class T, size_t N>
std::vector<Parsed<T>> parse_all(const T (&rows)[N]) {
  std::vector<Parsed<T>> out;
  for (const T& row : rows) out.push_back({Cidr::parse(row.range).value(), row});
  return out;
}

Ip v4_at(const Ip& ip, size_t offset, uint8_t mask) {
  std::array<uint8_t, 4> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = ip.bytes()[offset + i] ^ mask;
  return Ip::from_bytes(bytes);
}

bool is_isatap(const Ip& ip) {
  const ByteView mark = ip.bytes().subspan(8, 4);
  const bool global = ip.bytes()[0] >> 5 == 1;  // 2000::/3
  return global && (std::ranges::equal(mark, kIsatap) || std::ranges::equal(mark, kIsatapUniversal));
}

}  // namespace

Ip unmapped(const Ip& ip) {
  static const Cidr mapped = Cidr::parse("::ffff:0:0/96").value();
  return mapped.contains(ip) ? v4_at(ip, 12, 0) : ip;
}

std::optional<Ip> embedded_v4(const Ip& ip) {
  static const auto carriers = parse_all(kCarriers);
  if (ip.is_v4()) return std::nullopt;
  // "::" and "::1" carry nothing.
  if (std::ranges::all_of(ip.bytes().first(15), [](uint8_t byte) { return byte == 0; }) && ip.bytes()[15] <= 1)
    return std::nullopt;
  for (const auto& [range, row] : carriers) {
    if (range.contains(ip)) return v4_at(ip, row.offset, row.mask);
  }
  if (is_isatap(ip)) return v4_at(ip, kIsatapOffset, 0);
  return std::nullopt;
}

std::optional<NetworkGroup> group_of(const Ip& ip) {
  static const auto rows = parse_all(kRows);
  const Ip plain = unmapped(ip);
  const Ip judged = embedded_v4(plain).value_or(plain);
  const auto found = std::ranges::find_if(rows, [&](const auto& parsed) { return parsed.range.contains(judged); });
  return found->row.group;
}

}  // namespace msb::net
