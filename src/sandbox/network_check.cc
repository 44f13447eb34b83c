#include "sandbox/network_check.h"

#include <microsandbox/sandbox.h>

#include "base/units.h"
#include "net/policy/address_groups.h"
#include "net/policy/policy.h"
#include "sandbox/config_json.h"
#include "sandbox/network_plan.h"
#include "sandbox/store.h"
#include "state/network_slots.h"

namespace msb {
namespace {

constexpr std::string_view kHostName = "host.microsandbox.internal";
// Addresses of the internet that no rule has a reason to name (RFC 7535): stand for what a name resolves to.
constexpr const char* kSomewhere[] = {"192.31.196.1", "2620:4f:8000::1"};

NetworkCheck verdict(const net::Verdict& said, std::string why) {
  return {.allowed = said.kind == net::Verdict::Kind::allow, .rule = said.reason, .why = std::move(why)};
}

// "a private address", "the sandbox's host".
std::string kind_of(const net::Ip& ip, const std::vector<net::Ip>& gateways) {
  if (std::find(gateways.begin(), gateways.end(), net::unmapped(ip)) != gateways.end()) return "the sandbox's host";
  const auto group = net::group_of(ip);
  return group ? cat("a ", to_string(*group), " address") : "a reserved address, of no group";
}

bool has_rules_about_names(const NetworkConfig& config) {
  const auto is_name = [](const NetworkRule& rule) {
    return rule.destination.kind == NetworkDestination::Kind::domain ||
           rule.destination.kind == NetworkDestination::Kind::domain_suffix;
  };
  return !config.deny_domains.empty() || !config.deny_domain_suffixes.empty() ||
         std::any_of(config.policy.rules.begin(), config.policy.rules.end(), is_name);
}

NetworkCheck check_address(const NetworkConfig& config, const net::Policy& policy, const std::vector<net::Ip>& gateways,
                           const net::Flow& flow) {
  std::string why = cat("it is ", kind_of(flow.remote, gateways));
  if (has_rules_about_names(config)) why += "; as the name of a site it may be judged otherwise";
  return verdict(policy.egress_named(flow, std::nullopt, net::PinTable()), std::move(why));
}

// A name that resolves to `ip`, and is shown by the connection.
net::Verdict check_name_at(const net::Policy& policy, const std::string& name, const net::Flow& flow) {
  net::PinTable pins;
  pins.pin(name, flow.remote, net::PinTable::kMaximumTtl);
  return policy.egress_named(flow, name, pins);
}

NetworkCheck check_name(const net::Policy& policy, const std::vector<net::Ip>& gateways, const std::string& name,
                        net::Flow flow) {
  if (const net::Verdict asked = policy.query(name, NetworkProtocol::udp); asked.kind != net::Verdict::Kind::allow)
    return verdict(asked, "the name may not be asked for: its DNS query is answered NXDOMAIN");
  if (name == kHostName && !gateways.empty()) {
    flow.remote = gateways.front();
    return verdict(check_name_at(policy, name, flow), "it is the sandbox's host");
  }
  net::Verdict said;
  for (const char* somewhere : kSomewhere) {
    flow.remote = net::Ip::parse(somewhere).value();
    said = check_name_at(policy, name, flow);
    if (said.kind == net::Verdict::Kind::allow) break;
  }
  return verdict(said, said.kind == net::Verdict::Kind::allow
                           ? "the name may be asked for, and connected to at the public addresses that DNS gives"
                           : "the name may be asked for, and not connected to");
}

}  // namespace

Result<NetworkTarget> NetworkTarget::parse(std::string_view text) {
  NetworkTarget out;
  std::string_view rest = text;
  const auto bad = [&](std::string_view why) {
    return fail(Error(ErrorKind::invalid_config, cat("'", text, "': ", why))
                    .hint("as in api.github.com, 1.1.1.1:53/udp or [2606:4700::1111]:443"));
  };
  if (const size_t slash = rest.rfind('/'); slash != std::string_view::npos) {
    const std::string_view protocol = rest.substr(slash + 1);
    if (protocol != "tcp" && protocol != "udp") return bad("the protocol is tcp or udp");
    if (protocol == "udp") out.protocol = NetworkProtocol::udp;
    rest = rest.substr(0, slash);
  }
  if (const auto endpoint = net::Endpoint::parse(rest, out.port)) {
    out.host = endpoint->ip.to_string();
    out.port = endpoint->port;
    return out;
  }
  const size_t colon = rest.rfind(':');
  if (colon != std::string_view::npos) {
    const auto port = parse_integer(rest.substr(colon + 1), 1, UINT16_MAX, "the port");
    if (!port) return bad("the port has to be 1 to 65535");
    out.port = static_cast<uint16_t>(*port);
  }
  auto name = NetworkDestination::domain(rest.substr(0, colon));
  if (!name) return bad("it begins with neither an address nor a name");
  out.host = name->text;
  return out;
}

std::string NetworkTarget::to_string() const {
  const auto ip = net::Ip::parse(host);
  return cat(ip ? net::Endpoint{*ip, port}.to_string() : cat(host, ":", port),
             protocol == NetworkProtocol::udp ? "/udp" : "/tcp");
}

Result<NetworkCheck> check_target(const NetworkConfig& config, const std::vector<net::Ip>& gateways,
                                  const NetworkTarget& target) {
  if (!config.enabled) return NetworkCheck{.rule = "no network", .why = "the sandbox has no network device"};
  MSB_TRY(const net::Policy policy, net::Policy::compile(config, gateways));
  const net::Flow flow{.protocol = target.protocol, .remote = {}, .port = target.port};
  const auto ip = net::Ip::parse(target.host);
  if (!ip) return check_name(policy, gateways, net::canonical_name(target.host), flow);
  return check_address(config, policy, gateways, {.protocol = target.protocol, .remote = *ip, .port = target.port});
}

Result<NetworkCheck> Sandbox::check_network(const std::string& name, const NetworkTarget& target) {
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto row, state::get_sandbox(store.database, name));
  MSB_TRY(StoredConfig stored, stored_config_from_json(row.config_json));
  MSB_TRY(const uint16_t slot, state::network_slot(store.database, name));
  std::vector<net::Ip> gateways;
  if (const auto spec = plan_network(stored.config.network, slot, {.v4 = true, .v6 = true}))
    for (const auto& link : {spec->v4, spec->v6}) gateways.push_back(net::Ip::parse(link->gateway).value());
  return check_target(stored.config.network, gateways, target);
}

}  // namespace msb
