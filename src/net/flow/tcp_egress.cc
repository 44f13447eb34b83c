#include "net/flow/tcp_egress.h"

#include "net/dns/dns_tcp_user.h"
#include "net/flow/named_flow.h"
#include "net/flow/tcp_relay.h"

namespace msb::net {
namespace {

constexpr uint16_t kDnsPort = 53;
constexpr uint16_t kDnsOverTls = 853;

}  // namespace

struct TcpEgress::Dialling {
  TcpRequest request;
  std::shared_ptr<void> place;
  std::unique_ptr<Attempt> dial;
};

TcpEgress::TcpEgress(FlowContext& context) : context_(context) {}

TcpEgress::~TcpEgress() = default;

std::shared_ptr<void> TcpEgress::take_place() {
  if (*count_ >= context_.max_connections) return nullptr;
  ++*count_;
  return {count_.get(), [count = count_](void*) { --*count; }};
}

void TcpEgress::deny(const Endpoint& remote, std::string rule) {
  context_.on_denial({.protocol = NetworkProtocol::tcp, .remote = remote, .rule = std::move(rule)});
}

void TcpEgress::handle(TcpRequest request) {
  const Endpoint remote = request.remote();
  auto place = take_place();
  if (!place) {
    deny(remote, cat("limit of ", context_.max_connections, " connections"));
    return request.reset();
  }
  if (remote.port == kDnsPort) {
    // It judges each query, and its connections are no flows to anywhere.
    return serve_dns(context_.dns, std::move(request));
  }
  // Encrypted DNS would pass by all that the policy says of names.
  if (remote.port == kDnsOverTls) {
    deny(remote, "DNS over TLS is refused: names are asked of the gateway, port 53");
    return request.reset();
  }
  const Verdict verdict = context_.policy.egress({NetworkProtocol::tcp, remote.ip, remote.port}, context_.pins);
  switch (verdict.kind) {
    case Verdict::Kind::deny:
      deny(remote, verdict.reason);
      return request.reset();
    case Verdict::Kind::allow:
      return dial(std::move(request), std::move(place));
    case Verdict::Kind::ask_name:
      return NamedFlow::accept(context_, std::move(request), std::move(place));
  }
}

void TcpEgress::dial(TcpRequest request, std::shared_ptr<void> place) {
  const uint64_t id = ++last_id_;
  const Endpoint remote = request.remote();
  auto& entry = dialling_[id];
  entry = std::make_unique<Dialling>(Dialling{std::move(request), std::move(place), nullptr});
  entry->dial = context_.upstream.dial(remote, [this, id](Result<Fd> socket) { dialled(id, std::move(socket)); });
}

void TcpEgress::dialled(uint64_t id, Result<Fd> socket) {
  auto node = dialling_.extract(id);
  TcpRequest& request = node.mapped()->request;
  if (!socket) {
    if (const auto why = meaning_of(socket.error().errnum()))
      request.unreachable(*why);
    else
      request.reset();
    return;
  }
  auto relay = std::make_unique<TcpRelay>(context_.reactor, std::move(*socket));
  relay->hold(std::move(node.mapped()->place));
  TcpRelay* raw = relay.get();
  if (TcpConnection* connection = request.accept(std::move(relay))) raw->join(*connection);
}

}  // namespace msb::net
