// The flags that describe a sandbox's network: --net and its kin, ports, DNS, limits. docs/network.md explains them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <microsandbox/network.h>

#include "cli/invocation.h"

namespace msb::cli {

class NetworkFlags {
 public:
  void add_to(CLI::App& command);
  Result<NetworkConfig> config() const;
  // Rules that allow something and nothing that takes the public profile away: not what it looks like.
  std::optional<std::string> warning(const NetworkConfig& config) const;

 private:
  struct Limit {
    std::string bandwidth;
    std::string bandwidth_burst;
    std::string operations;
    std::string operations_burst;
  };
  static void add_limit(CLI::App& command, const std::string& direction, Limit& limit);
  static Result<RateLimiter> limiter(const std::string& direction, const Limit& limit);
  bool has_defaults() const { return !both_.empty() || !default_egress_.empty() || !default_ingress_.empty(); }
  Result<NetworkPolicy> base_policy() const;

  std::vector<std::string> ports_;
  std::string profiles_;
  bool none_ = false;
  std::vector<std::string> rules_;
  std::string both_;
  std::string default_egress_;
  std::string default_ingress_;
  std::vector<std::string> nameservers_;
  std::optional<uint64_t> query_timeout_ms_;
  bool no_rebind_protection_ = false;
  std::string ipv4_pool_;
  std::string ipv6_pool_;
  std::optional<uint32_t> max_connections_;
  std::string proxy_;
  Limit egress_;
  Limit ingress_;
};

// "allow@dns, allow@public; else deny egress, allow ingress"; "none" without a network.
std::string describe_policy(const NetworkConfig& config);

}  // namespace msb::cli
