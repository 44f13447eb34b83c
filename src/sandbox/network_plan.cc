#include "sandbox/network_plan.h"

#include <sys/socket.h>

#include <algorithm>
#include <set>

#include "base/fd.h"
#include "net/address.h"
#include "net/dns/nameservers.h"
#include "net/policy/policy.h"
#include "state/proxy_url.h"

namespace msb {
namespace {

constexpr unsigned kV4Prefix = 30;
constexpr unsigned kV6Prefix = 64;
constexpr uint32_t kMostConnections = 4096;
constexpr uint8_t kGateway = 1;
constexpr uint8_t kGuest = 2;

bool has_route(const char* somewhere) {
  const net::Ip ip = net::Ip::parse(somewhere).value();
  const Fd socket(::socket(ip.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const net::SocketAddress address = net::to_socket_address({ip, net::kDnsPort});
  return socket && ::connect(socket.get(), address.get(), address.size) == 0;
}

Result<net::Cidr> parse_pool(const std::string& text, net::Family family, unsigned prefix) {
  const std::string_view kind = family == net::Family::v4 ? "an IPv4" : "an IPv6";
  auto pool = net::Cidr::parse(text);
  if (!pool || pool->base().family() != family || pool->prefix() > prefix) {
    return fail(Error(ErrorKind::invalid_config, cat("'", text, "' is no pool of addresses"))
                    .hint(cat("it has to be ", kind, " network of /", prefix, " or larger")));
  }
  return pool;
}

// Network number `slot` of the size `prefix` in the pool.
net::Cidr subnet(const net::Cidr& pool, unsigned prefix, uint16_t slot) {
  const unsigned bits = std::min(prefix - pool.prefix(), 16U);
  uint32_t number = slot & ((1U << bits) - 1);
  Bytes bytes(pool.base().bytes().begin(), pool.base().bytes().end());
  for (unsigned bit = prefix; number != 0; number >>= 1) {
    --bit;
    if ((number & 1) != 0) bytes[bit / 8] |= 0x80 >> (bit % 8);
  }
  return {net::Ip::from_bytes(bytes), prefix};
}

state::LinkSpec link_of(const net::Cidr& network) {
  const auto host = [&](uint8_t number) {
    Bytes bytes(network.base().bytes().begin(), network.base().bytes().end());
    bytes.back() |= number;
    return net::Ip::from_bytes(bytes).to_string();
  };
  return {.gateway = host(kGateway), .guest = host(kGuest), .prefix = static_cast<uint8_t>(network.prefix())};
}

std::string mac_of(uint16_t slot, uint8_t number) {
  // 02: a unicast address that its owner chose; "ms".
  return net::Mac{{0x02, 0x6d, 0x73, static_cast<uint8_t>(slot >> 8), static_cast<uint8_t>(slot), number}}.to_string();
}

Result<> check_bucket(const std::optional<TokenBucket>& bucket, std::string_view what) {
  if (!bucket) return {};
  if (bucket->size == 0)
    return fail(ErrorKind::invalid_config, cat(what, " is 0: leave it out, or switch the network off"));
  if (bucket->refill_time.count() <= 0)
    return fail(ErrorKind::invalid_config, cat("the time of ", what, " must be longer than zero"));
  return {};
}

Result<> check_limiter(const RateLimiter& limiter, std::string_view direction) {
  MSB_CHECK(check_bucket(limiter.bandwidth, cat("the ", direction, " bandwidth limit")));
  return check_bucket(limiter.operations, cat("the ", direction, " limit of operations"));
}

Result<> check_ports(const std::vector<PortBinding>& ports) {
  std::set<std::string> taken;
  for (const PortBinding& port : ports) {
    MSB_TRY(const PortBinding parsed, PortBinding::parse(port.to_string()));
    if (parsed.host_port == 0) continue;
    const std::string host = cat(net::Endpoint{net::Ip::parse(parsed.bind).value(), parsed.host_port}.to_string(),
                                 parsed.protocol == PortBinding::Protocol::udp ? "/udp" : "/tcp");
    if (!taken.insert(host).second)
      return fail(ErrorKind::invalid_config, cat("port ", host, " of the host is published twice"));
  }
  return {};
}

}  // namespace

HostFamilies host_families() {
  // Any addresses of the internet: those of the root servers have been the same for decades.
  return {.v4 = has_route("198.41.0.4"), .v6 = has_route("2001:503:ba3e::2:30")};
}

Result<> check_network(const NetworkConfig& config) {
  MSB_CHECK(net::Policy::compile(config, {}));
  MSB_CHECK(check_ports(config.ports));
  if (!config.enabled && !config.ports.empty())
    return fail(ErrorKind::invalid_config, "a sandbox without a network cannot publish ports");
  MSB_CHECK(parse_pool(config.ipv4_pool, net::Family::v4, kV4Prefix));
  MSB_CHECK(parse_pool(config.ipv6_pool, net::Family::v6, kV6Prefix));
  MSB_CHECK(net::Nameservers::create(config.dns.nameservers, {}));
  if (config.dns.query_timeout.count() <= 0)
    return fail(ErrorKind::invalid_config, "the time a nameserver has to answer must be longer than zero");
  if (config.max_connections < 1 || config.max_connections > kMostConnections)
    return fail(ErrorKind::invalid_config,
                cat(config.max_connections, " connections are not possible; a sandbox has 1 to ", kMostConnections));
  MSB_CHECK(state::check_proxy(config.proxy));
  MSB_CHECK(check_limiter(config.egress, "egress"));
  return check_limiter(config.ingress, "ingress");
}

std::optional<state::NetworkSpec> plan_network(const NetworkConfig& config, uint16_t slot, HostFamilies families) {
  if (!config.enabled) return std::nullopt;
  const NetworkConfig standard;
  state::NetworkSpec spec{
      .config = config, .gateway_mac = mac_of(slot, kGateway), .guest_mac = mac_of(slot, kGuest), .v4 = {}, .v6 = {}};
  if (families.v6 || config.ipv6_pool != standard.ipv6_pool)
    spec.v6 = link_of(subnet(net::Cidr::parse(config.ipv6_pool).value(), kV6Prefix, slot));
  if (families.v4 || config.ipv4_pool != standard.ipv4_pool || !spec.v6)
    spec.v4 = link_of(subnet(net::Cidr::parse(config.ipv4_pool).value(), kV4Prefix, slot));
  return spec;
}

void plan_guest_network(const state::NetworkSpec& spec, wire::Bootstrap& bootstrap) {
  wire::NetworkSetup setup{.mtu = spec.mtu, .addresses = {}};
  for (const auto& link : {spec.v4, spec.v6}) {
    if (!link) continue;
    setup.addresses.push_back({.address = link->guest, .prefix = link->prefix, .gateway = link->gateway});
    bootstrap.nameservers.push_back(link->gateway);
  }
  bootstrap.network = std::move(setup);
}

}  // namespace msb
