// FakeUpstream: a name server, over UDP and TCP, that says what a test tells it to. On 127.0.0.1 if not told otherwise.
#pragma once

#include <functional>
#include <list>
#include <vector>

#include "base/fd.h"
#include "base/reactor.h"
#include "net/address.h"
#include "net/dns/dns_message.h"

namespace msb::net::testing {

class FakeUpstream {
 public:
  // The messages to send back, in this order; over TCP an empty one closes the connection.
  using Script = std::function<std::vector<Bytes>(const DnsMessage& query)>;

  FakeUpstream(Reactor& reactor, Script udp, Script tcp = {}, const Ip& at = Ip::v4(127, 0, 0, 1));
  const Endpoint& endpoint() const { return endpoint_; }
  int udp_queries() const { return udp_queries_; }
  int tcp_queries() const { return tcp_queries_; }
  // Whom the last query over UDP came from.
  const Endpoint& client() const { return client_; }

 private:
  struct Connection {
    Fd socket;
    Bytes bytes;
    Reactor::Watch watch;
  };
  void receive();
  void accept();
  void read(Connection& connection);

  Reactor& reactor_;
  Script udp_script_;
  Script tcp_script_;
  Endpoint endpoint_;
  Endpoint client_;
  Fd udp_;
  Fd tcp_;
  std::list<Connection> connections_;
  Reactor::Watch udp_watch_;
  Reactor::Watch tcp_watch_;
  int udp_queries_ = 0;
  int tcp_queries_ = 0;
};

}  // namespace msb::net::testing
