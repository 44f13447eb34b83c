#include "state/network_json.h"

#include "state/strict_json.h"

namespace msb::state {
namespace {

using nlohmann::json;

constexpr const char* kActions[] = {"allow", "deny"};
constexpr const char* kDirections[] = {"egress", "ingress", "any"};
constexpr const char* kProtocols[] = {"tcp", "udp", "icmpv4", "icmpv6"};
constexpr const char* kGroups[] = {"host", "metadata", "loopback", "private", "link-local", "multicast", "public"};
constexpr const char* kKinds[] = {"any", "ip", "cidr", "domain", "domain-suffix", "group"};
constexpr const char* kPortProtocols[] = {"tcp", "udp"};

template <class Enum, size_t N>
const char* name_of(const char* const (&names)[N], Enum value) {
  return names[static_cast<size_t>(value)];
}

// A vector through functions for one element.
template <class T, class Write>
json list_to_json(const std::vector<T>& values, Write write) {
  json out = json::array();
  for (const T& value : values) out.push_back(write(value));
  return out;
}
template <class Read>
auto list_from_json(const json& value, Read read) {
  if (!value.is_array()) throw std::runtime_error("not an array");
  std::vector<decltype(read(value))> out;
  for (const json& item : value) out.push_back(read(item));
  return out;
}
template <class T, class Write>
json optional_to_json(const std::optional<T>& value, Write write) {
  return value ? write(*value) : json();
}
template <class Read>
auto optional_from_json(const json& value, Read read) {
  using Value = std::optional<decltype(read(value))>;
  return value.is_null() ? Value() : Value(read(value));
}

json destination_to_json(const NetworkDestination& destination) {
  const bool group = destination.kind == NetworkDestination::Kind::group;
  return {{"kind", name_of(kKinds, destination.kind)},
          {"text", group ? name_of(kGroups, destination.group) : destination.text}};
}
NetworkDestination destination_from_json(const json& value) {
  StrictReader in(value);
  NetworkDestination out;
  out.kind = enum_named<NetworkDestination::Kind>(kKinds, in.get<std::string>("kind"), "a destination's kind");
  out.text = in.get<std::string>("text");
  in.finish();
  if (out.kind == NetworkDestination::Kind::group)
    out.group = enum_named<NetworkGroup>(kGroups, std::exchange(out.text, {}), "a group");
  return out;
}

json ports_to_json(const PortRange& range) {
  return json::array({range.first, range.last});
}
PortRange ports_from_json(const json& value) {
  const auto ends = list_from_json(value, [](const json& end) {
    if (!end.is_number_unsigned() || !std::in_range<uint16_t>(end.get<uint64_t>()))
      throw std::runtime_error("a port is out of range");
    return end.get<uint16_t>();
  });
  if (ends.size() != 2) throw std::runtime_error("a range of ports has two ends");
  return {ends[0], ends[1]};
}

json rule_to_json(const NetworkRule& rule) {
  return {{"action", name_of(kActions, rule.action)},
          {"direction", name_of(kDirections, rule.direction)},
          {"destination", destination_to_json(rule.destination)},
          {"protocols", list_to_json(rule.protocols, [](NetworkProtocol each) { return name_of(kProtocols, each); })},
          {"ports", list_to_json(rule.ports, ports_to_json)}};
}
NetworkRule rule_from_json(const json& value) {
  StrictReader in(value);
  NetworkRule out;
  out.action = enum_named<NetworkAction>(kActions, in.get<std::string>("action"), "an action");
  out.direction = enum_named<NetworkDirection>(kDirections, in.get<std::string>("direction"), "a direction");
  out.destination = destination_from_json(in.get<json>("destination"));
  out.protocols = list_from_json(in.get<json>("protocols"), [](const json& name) {
    return enum_named<NetworkProtocol>(kProtocols, name.get<std::string>(), "a protocol");
  });
  out.ports = list_from_json(in.get<json>("ports"), ports_from_json);
  in.finish();
  return out;
}

json policy_to_json(const NetworkPolicy& policy) {
  return {{"default_egress", name_of(kActions, policy.default_egress)},
          {"default_ingress", name_of(kActions, policy.default_ingress)},
          {"rules", list_to_json(policy.rules, rule_to_json)}};
}
NetworkPolicy policy_from_json(const json& value) {
  StrictReader in(value);
  NetworkPolicy out;
  out.default_egress = enum_named<NetworkAction>(kActions, in.get<std::string>("default_egress"), "an action");
  out.default_ingress = enum_named<NetworkAction>(kActions, in.get<std::string>("default_ingress"), "an action");
  out.rules = list_from_json(in.get<json>("rules"), rule_from_json);
  in.finish();
  return out;
}

json binding_to_json(const PortBinding& binding) {
  return {{"bind", binding.bind},
          {"host_port", binding.host_port},
          {"guest_port", binding.guest_port},
          {"protocol", name_of(kPortProtocols, binding.protocol)}};
}
PortBinding binding_from_json(const json& value) {
  StrictReader in(value);
  PortBinding out;
  out.bind = in.get<std::string>("bind");
  out.host_port = in.get<uint16_t>("host_port");
  out.guest_port = in.get<uint16_t>("guest_port");
  out.protocol =
      enum_named<PortBinding::Protocol>(kPortProtocols, in.get<std::string>("protocol"), "a port's protocol");
  in.finish();
  return out;
}

json dns_to_json(const DnsConfig& dns) {
  return {{"rebind_protection", dns.rebind_protection},
          {"nameservers", dns.nameservers},
          {"query_timeout_ms", dns.query_timeout.count()}};
}
DnsConfig dns_from_json(const json& value) {
  StrictReader in(value);
  DnsConfig out;
  out.rebind_protection = in.get<bool>("rebind_protection");
  out.nameservers = in.get<std::vector<std::string>>("nameservers");
  out.query_timeout = std::chrono::milliseconds(in.get<int64_t>("query_timeout_ms"));
  in.finish();
  return out;
}

json bucket_to_json(const TokenBucket& bucket) {
  return {
      {"size", bucket.size}, {"refill_time_ms", bucket.refill_time.count()}, {"one_time_burst", bucket.one_time_burst}};
}
TokenBucket bucket_from_json(const json& value) {
  StrictReader in(value);
  TokenBucket out;
  out.size = in.get<uint64_t>("size");
  out.refill_time = std::chrono::milliseconds(in.get<int64_t>("refill_time_ms"));
  out.one_time_burst = in.get<uint64_t>("one_time_burst");
  in.finish();
  return out;
}

json limiter_to_json(const RateLimiter& limiter) {
  return {{"bandwidth", optional_to_json(limiter.bandwidth, bucket_to_json)},
          {"operations", optional_to_json(limiter.operations, bucket_to_json)}};
}
RateLimiter limiter_from_json(const json& value) {
  StrictReader in(value);
  RateLimiter out;
  out.bandwidth = optional_from_json(in.get<json>("bandwidth"), bucket_from_json);
  out.operations = optional_from_json(in.get<json>("operations"), bucket_from_json);
  in.finish();
  return out;
}

json link_to_json(const LinkSpec& link) {
  return {{"gateway", link.gateway}, {"guest", link.guest}, {"prefix", link.prefix}};
}
LinkSpec link_from_json(const json& value) {
  StrictReader in(value);
  LinkSpec out;
  out.gateway = in.get<std::string>("gateway");
  out.guest = in.get<std::string>("guest");
  out.prefix = in.get<uint8_t>("prefix");
  in.finish();
  return out;
}

json proxy_to_json(const ProxySpec& proxy) {
  return {{"url", proxy.url}, {"addresses", proxy.addresses}, {"exceptions", proxy.exceptions}};
}
ProxySpec proxy_from_json(const json& value) {
  StrictReader in(value);
  ProxySpec out;
  out.url = in.get<std::string>("url");
  out.addresses = in.get<std::vector<std::string>>("addresses");
  out.exceptions = in.get<std::string>("exceptions");
  in.finish();
  return out;
}

}  // namespace

json network_to_json(const NetworkConfig& config) {
  return {{"enabled", config.enabled},
          {"policy", policy_to_json(config.policy)},
          {"deny_domains", config.deny_domains},
          {"deny_domain_suffixes", config.deny_domain_suffixes},
          {"ports", list_to_json(config.ports, binding_to_json)},
          {"dns", dns_to_json(config.dns)},
          {"ipv4_pool", config.ipv4_pool},
          {"ipv6_pool", config.ipv6_pool},
          {"max_connections", config.max_connections},
          {"proxy", config.proxy},
          {"egress", limiter_to_json(config.egress)},
          {"ingress", limiter_to_json(config.ingress)}};
}

NetworkConfig network_from_json(const json& value) {
  StrictReader in(value);
  NetworkConfig out;
  out.enabled = in.get<bool>("enabled");
  out.policy = policy_from_json(in.get<json>("policy"));
  out.deny_domains = in.get<std::vector<std::string>>("deny_domains");
  out.deny_domain_suffixes = in.get<std::vector<std::string>>("deny_domain_suffixes");
  out.ports = list_from_json(in.get<json>("ports"), binding_from_json);
  out.dns = dns_from_json(in.get<json>("dns"));
  out.ipv4_pool = in.get<std::string>("ipv4_pool");
  out.ipv6_pool = in.get<std::string>("ipv6_pool");
  out.max_connections = in.get<uint32_t>("max_connections");
  out.proxy = in.later<std::string>("proxy", "");
  out.egress = limiter_from_json(in.get<json>("egress"));
  out.ingress = limiter_from_json(in.get<json>("ingress"));
  in.finish();
  return out;
}

json network_spec_to_json(const NetworkSpec& spec) {
  return {{"config", network_to_json(spec.config)},
          {"gateway_mac", spec.gateway_mac},
          {"guest_mac", spec.guest_mac},
          {"v4", optional_to_json(spec.v4, link_to_json)},
          {"v6", optional_to_json(spec.v6, link_to_json)},
          {"mtu", spec.mtu},
          {"proxy", optional_to_json(spec.proxy, proxy_to_json)}};
}

NetworkSpec network_spec_from_json(const json& value) {
  StrictReader in(value);
  NetworkSpec out;
  out.config = network_from_json(in.get<json>("config"));
  out.gateway_mac = in.get<std::string>("gateway_mac");
  out.guest_mac = in.get<std::string>("guest_mac");
  out.v4 = optional_from_json(in.get<json>("v4"), link_from_json);
  out.v6 = optional_from_json(in.get<json>("v6"), link_from_json);
  out.mtu = in.get<uint16_t>("mtu");
  out.proxy = optional_from_json(in.get<json>("proxy"), proxy_from_json);
  in.finish();
  return out;
}

}  // namespace msb::state
