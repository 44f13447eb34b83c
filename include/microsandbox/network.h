// NetworkConfig: what a sandbox may reach, and who may reach it.
//
//   config.network.policy = *msb::NetworkPolicy::from_profiles({msb::NetworkProfile::public_});   // the default
//   config.network.deny_domains = {"blocked.example.com"};
//   config.network.ports.push_back(*msb::PortBinding::parse("8080:80"));
//
// All traffic of the guest ends in the sandbox's own process, which makes connections of the host in its stead: there
// is no route from the guest to the host's network. The address that is dialled is what is judged, whatever name it
// had.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <microsandbox/export.h>
#include <microsandbox/result.h>

namespace msb {

enum class NetworkAction { allow, deny };
// egress: the guest begins; ingress: somebody else does, through a published port.
enum class NetworkDirection { egress, ingress, any };
enum class NetworkProtocol { tcp, udp, icmpv4, icmpv6 };

// Sets of addresses; each address belongs to at most one, the first of these that has it. One that embeds an IPv4
// address (mapped, NAT64, 6to4, Teredo) belongs where that belongs.
enum class NetworkGroup {
  host,        // the gateway's addresses, which stand for the host's loopback; host.microsandbox.internal
  metadata,    // of clouds: credentials for the asking
  loopback,    // 127.0.0.0/8, ::1
  private_,    // RFC 1918, 100.64.0.0/10, fc00::/7
  link_local,  // 169.254.0.0/16, fe80::/10
  multicast,   // 224.0.0.0/4, ff00::/8, broadcast
  public_,     // every other address that can be reached from everywhere; reserved ones are in no group
};
MSB_API std::string_view to_string(NetworkGroup group);  // as in a rule: "public", "link-local", "metadata"

// Whom a rule is about: for egress the other end, for ingress the peer.
struct NetworkDestination {
  enum class Kind { any, ip, cidr, domain, domain_suffix, group };
  Kind kind = Kind::any;
  std::string text = {};  // ip: "1.1.1.1"; cidr: "10.0.0.0/8"; domain: "api.github.com"; domain_suffix: "example.com"
  NetworkGroup group = NetworkGroup::public_;

  MSB_API static NetworkDestination any();
  MSB_API static Result<NetworkDestination> ip(std::string_view text);
  MSB_API static Result<NetworkDestination> cidr(std::string_view text);
  // Without case and dots at the ends. A suffix (given with or without "." or "*." before it) has at least two labels
  // and matches itself and every name below.
  MSB_API static Result<NetworkDestination> domain(std::string_view name);
  MSB_API static Result<NetworkDestination> domain_suffix(std::string_view suffix);
  MSB_API static NetworkDestination of(NetworkGroup group);

  bool operator==(const NetworkDestination&) const = default;
};

struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;
  bool operator==(const PortRange&) const = default;
};

// The first rule that matches decides.
struct NetworkRule {
  NetworkAction action = NetworkAction::deny;
  NetworkDirection direction = NetworkDirection::egress;
  NetworkDestination destination = {};
  std::vector<NetworkProtocol> protocols = {};  // empty: all
  std::vector<PortRange> ports = {};            // empty: all. The destination's; for ingress the guest's

  // "<allow|deny>[:<egress|ingress|any>]@<target>[:<proto>[:<ports>]]": "allow@api.github.com:tcp:443",
  // "deny@*.evil.com", "allow@private", "deny:ingress@any:tcp:22+8000-8999". The target "dns" stands for udp and tcp
  // port 53 of the host. Errors (network_policy) say what was meant.
  MSB_API static Result<NetworkRule> parse(std::string_view text);
  // Several, parted by commas.
  MSB_API static Result<std::vector<NetworkRule>> parse_all(std::string_view text);
  MSB_API std::string to_string() const;  // parse() reads it back
  bool operator==(const NetworkRule&) const = default;
};

enum class NetworkProfile { public_, private_, host };

struct NetworkPolicy {
  NetworkAction default_egress = NetworkAction::deny;
  NetworkAction default_ingress = NetworkAction::allow;
  std::vector<NetworkRule> rules = {};

  // DNS and the named groups, and nothing else; nothing at all without a profile. Order and repetition do not matter.
  MSB_API static NetworkPolicy from_profiles(const std::vector<NetworkProfile>& profiles);
  MSB_API static NetworkPolicy public_only();  // the default
  MSB_API static NetworkPolicy allow_all();
  MSB_API static NetworkPolicy none();
  bool operator==(const NetworkPolicy&) const = default;
};

// A port of the host that leads to one of the guest.
struct PortBinding {
  enum class Protocol { tcp, udp };
  std::string bind = "127.0.0.1";  // an address of the host, IPv4 or IPv6
  uint16_t host_port = 0;          // 0: any free one; SandboxInfo::ports tells which
  uint16_t guest_port = 0;
  Protocol protocol = Protocol::tcp;

  // "[BIND:]HOST:GUEST[/tcp|/udp]", an IPv6 address in brackets.
  MSB_API static Result<PortBinding> parse(std::string_view text);
  MSB_API std::string to_string() const;  // parse() reads it back
  bool operator==(const PortBinding&) const = default;
};

struct DnsConfig {
  // Answers with addresses that are not public are withheld unless a rule names those addresses.
  bool rebind_protection = true;
  std::vector<std::string> nameservers = {};  // "1.1.1.1", "[2606:4700::1111]:53"; empty: the host's
  std::chrono::milliseconds query_timeout{5000};
  bool operator==(const DnsConfig&) const = default;
};

// A bucket of `size` tokens that fills anew within `refill_time`, and `one_time_burst` tokens that do not come back. A
// frame larger than what is left passes when the bucket is not empty, and is paid back.
struct TokenBucket {
  uint64_t size = 0;
  std::chrono::milliseconds refill_time{1000};
  uint64_t one_time_burst = 0;
  bool operator==(const TokenBucket&) const = default;
};
struct RateLimiter {
  std::optional<TokenBucket> bandwidth = {};   // bytes
  std::optional<TokenBucket> operations = {};  // frames
  bool operator==(const RateLimiter&) const = default;
};

struct NetworkConfig {
  bool enabled = true;  // false: no network device at all
  NetworkPolicy policy = NetworkPolicy::public_only();
  // Denied before any rule of the policy is asked.
  std::vector<std::string> deny_domains = {};
  std::vector<std::string> deny_domain_suffixes = {};
  std::vector<PortBinding> ports = {};
  DnsConfig dns = {};
  std::string ipv4_pool = "172.16.0.0/12";      // a /30 of it is the sandbox's
  std::string ipv6_pool = "fd42:6d73:62::/48";  // a /64 of it is the sandbox's
  uint32_t max_connections = 256;               // TCP, both ways, at once; at most 4096
  // Through which connections go that the policy allows: "http://[user:password@]host:port" (CONNECT), "socks5://...",
  // "socks5h://...". Empty: what config.json says, else HTTPS_PROXY or ALL_PROXY of the process that starts the
  // sandbox, looked up at each start. "none": never. What NO_PROXY lists is reached directly. docs/network.md, "Behind
  // a proxy".
  std::string proxy = {};
  RateLimiter egress = {};   // what the guest sends
  RateLimiter ingress = {};  // what it receives

  bool operator==(const NetworkConfig&) const = default;
};

// What the policy (or a limit) refused, from the log of a sandbox; or one of the last two.
struct NetworkEvent {
  int64_t timestamp_ms = 0;  // Unix time
  NetworkDirection direction = NetworkDirection::egress;
  std::optional<NetworkProtocol> protocol = {};
  std::string address = {};  // egress: the other end's, ingress: the peer's; empty: of a DNS query's name
  uint16_t port = 0;         // likewise; 0: it has none
  std::optional<uint16_t> guest_port = {};  // of ingress
  std::string name = {};                    // of a DNS query, or what SNI or Host said; empty: none
  std::string rule = {};                    // that decided: "deny@private", "default egress"; or the limit
  std::string error = {};                   // what is wrong with the proxy
  uint64_t missing_bytes = 0;               // of the log, left out here because there was too much at once
  bool operator==(const NetworkEvent&) const = default;
};

// Something to ask a policy about: "api.github.com", "1.1.1.1:53/udp", "[2606:4700::1111]:443". Port 443 and TCP unless
// it says otherwise.
struct NetworkTarget {
  std::string host = {};  // an address or a name
  uint16_t port = 443;
  NetworkProtocol protocol = NetworkProtocol::tcp;

  MSB_API static Result<NetworkTarget> parse(std::string_view text);
  MSB_API std::string to_string() const;
};

// What a policy says to it, and why.
struct NetworkCheck {
  bool allowed = false;
  std::string rule = {};  // that decides: "allow@public"; or "default egress"
  std::string why = {};   // in words
};

}  // namespace msb
