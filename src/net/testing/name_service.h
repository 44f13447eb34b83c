// Names in tests of the gateway: who gives their addresses, and a guest that asks for one.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "net/dns/testing/dns_messages.h"
#include "net/dns/testing/fake_upstream.h"
#include "net/testing/blocking_sockets.h"

namespace msb::net::testing {

// A name server that gives `address` for every name, as the gateway's only one. Lives on the gateway's reactor.
inline std::shared_ptr<void> name_everything(Reactor& reactor, NetworkConfig& config, const Ip& address) {
  auto upstream = std::make_shared<FakeUpstream>(reactor, [address](const DnsMessage& query) {
    return std::vector<Bytes>{Answer(query).address(query.questions()[0].name, address.to_string()).bytes()};
  });
  config.dns.nameservers = {upstream->endpoint().to_string()};
  return upstream;
}

// Asks the gateway for the name's address of this family, over a UDP socket of the guest's: it is pinned then.
inline void ask_for(const std::string& name, Family family, const Fd& resolver, const Ip& gateway) {
  ASSERT_EQ(connect_to(resolver, {gateway, 53}), 0);
  const Bytes query = dns_query(name, family == Family::v4 ? DnsType::a : DnsType::aaaa, {});
  say(resolver, as_text(query));
  char reply[512];
  ASSERT_GT(::recv(resolver.get(), reply, sizeof(reply), 0), 12);
}

}  // namespace msb::net::testing
