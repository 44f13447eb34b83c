// Nameservers: whom the gateway asks. Those of the configuration, or the host's: what its own programs ask, be it a
// server of the network or a stub of systemd's on loopback that knows about VPNs and split DNS.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace msb::net {

inline constexpr uint16_t kDnsPort = 53;

// The "nameserver" lines of a resolv.conf(5), at most as many as the C library heeds; without any, this host itself.
// Link-local servers with a scope ("fe80::1%eth0") are passed over.
std::vector<Endpoint> parse_resolv_conf(std::string_view text);

class Nameservers {
 public:
  // invalid_config: one of the texts is no address. Without any, those of the file are used.
  static Result<Nameservers> create(const std::vector<std::string>& texts, std::string resolv_conf);

  // In the order to ask them. The file is read again when it is another one, or has changed; what cannot be read has
  // none.
  const std::vector<Endpoint>& current();

 private:
  struct Version {
    uint64_t device = 0;
    uint64_t inode = 0;
    int64_t seconds = 0;
    int64_t nanoseconds = 0;
    bool operator==(const Version&) const = default;
  };
  explicit Nameservers(std::string resolv_conf) : resolv_conf_(std::move(resolv_conf)) {}

  std::string resolv_conf_;  // empty: they are given
  std::optional<Version> version_;
  std::vector<Endpoint> servers_;
};

}  // namespace msb::net
