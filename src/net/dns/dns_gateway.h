// DnsGateway: the only resolver a guest has. Every query on port 53, to whatever address and over UDP or TCP, comes
// here.
//
//   query -> one question? -> policy: may it be asked? (NXDOMAIN) -> a family the guest has? (empty answer)
//         -> host.microsandbox.internal? (the gateway) -> upstream servers in their order, the next when one cannot be
//         reached or does not answer -> rebind protection (NXDOMAIN) -> pins -> the guest, byte for byte as upstream
//         gave it
//
// A refusal of ours says so to whoever understands it: extended error 15, "blocked" (RFC 8914).
//
// Upstream are the servers given in the configuration, or those of the host's /etc/resolv.conf, read anew when it
// changes; or, when the guest aimed at a server of its own choice, that one, if policy allows it (else NXDOMAIN). What
// such a server says is passed on, but pins nothing: it could say anything of names that the policy trusts.
//
// Bounded: kMaximumQueries at once (more: SERVFAIL), each with a deadline. One reactor thread.
#pragma once

#include <functional>
#include <memory>

#include "base/reactor.h"
#include "net/address.h"
#include "net/guest_stack.h"
#include "net/policy/policy.h"

namespace msb::net {

struct DenialEvent;  // net/events.h

class DnsGateway {
 public:
  struct Config {
    DnsConfig dns;
    std::optional<LinkAddresses> v4;  // families the guest has
    std::optional<LinkAddresses> v6;
    std::string resolv_conf = "/etc/resolv.conf";
  };
  struct Query {
    NetworkProtocol protocol = NetworkProtocol::udp;  // udp or tcp: how it came
    Endpoint guest;
    Endpoint aimed;  // the gateway's, or another server's
    ByteView message;
  };
  static constexpr size_t kMaximumQueries = 256;

  // `policy` and `pins` outlive the gateway.
  static Result<std::unique_ptr<DnsGateway>> create(Reactor& reactor, const Config& config, const Policy& policy,
                                                    PinTable& pins, std::function<void(DenialEvent)> on_denial);
  virtual ~DnsGateway() = default;

  // `reply` is called once, perhaps at once, with a message to send back (for UDP cut to what the query's EDNS allows);
  // never when the gateway is destroyed first. False: this is no query at all, and nothing answers it.
  virtual bool ask(const Query& query, std::function<void(Bytes)> reply) = 0;
};

}  // namespace msb::net
