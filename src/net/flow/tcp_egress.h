// TcpEgress: the connections that the guest opens, from the SYN to the relay.
//
//   request -> port 53? the DNS gateway
//           -> policy: deny  -> refused, and an event
//                      allow    -> dial (Upstream); connected: accept, relay. Not: the guest is told why
//                      ask_name -> accept, read the first bytes, ask again; then dial, or reset
//
// A connection is made before the guest's is accepted, so that a refusal is a refusal in the guest. One reactor thread.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "net/dns/dns_gateway.h"
#include "net/events.h"
#include "net/flow/upstream.h"
#include "net/policy/policy.h"
#include "net/tcp/tcp_engine.h"

namespace msb::net {

// What the flows of one guest share. Outlives them all.
struct FlowContext {
  Reactor& reactor;
  const Policy& policy;
  PinTable& pins;
  DnsGateway& dns;
  Upstream& upstream;
  std::vector<Ip> gateways;
  uint32_t max_connections = 256;
  std::function<void(DenialEvent)> on_denial;
};

class TcpEgress {
 public:
  explicit TcpEgress(FlowContext& context);
  ~TcpEgress();

  void handle(TcpRequest request);
  // Connections of the guest's that are dialled or relayed.
  uint32_t connections() const { return *count_; }
  // A place among max_connections, held as long as the pointer lives; nullptr when there is none.
  std::shared_ptr<void> take_place();

 private:
  struct Dialling;
  void dial(TcpRequest request, std::shared_ptr<void> place);
  void dialled(uint64_t id, Result<Fd> socket);
  void deny(const Endpoint& remote, std::string rule);

  FlowContext& context_;
  std::shared_ptr<uint32_t> count_ = std::make_shared<uint32_t>(0);
  uint64_t last_id_ = 0;
  std::unordered_map<uint64_t, std::unique_ptr<Dialling>> dialling_;
};

}  // namespace msb::net
