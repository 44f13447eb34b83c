#include "net/flow/named_flow.h"

#include <algorithm>

#include "net/flow/first_bytes.h"

namespace msb::net {

void NamedFlow::accept(FlowContext& context, TcpRequest request, std::shared_ptr<void> place) {
  std::unique_ptr<NamedFlow> flow(new NamedFlow(context, request.remote(), std::move(place)));
  NamedFlow* self = flow.get();
  auto deadline = Timer::create(context.reactor, [self] {
    if (!self->judged_) self->look(false);
  });
  if (!deadline || !(*deadline)->arm(kPeekTime)) return request.reset();
  flow->deadline_ = std::move(*deadline);
  self->connection_ = request.accept(std::move(flow));
}

size_t NamedFlow::received(ByteView bytes) {
  if (relay_) return relay_->received(bytes);
  if (judged_ || !connection_) return 0;  // they wait in the engine for the relay
  const size_t taken = std::min(bytes.size(), kPeekBytes - first_.size());
  first_.insert(first_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(taken));
  look(first_.size() < kPeekBytes);
  return taken;
}

void NamedFlow::look(bool there_may_be_more) {
  const FirstBytes seen = read_first_bytes(first_);
  const bool silent = first_.empty();  // the server speaks first
  if (seen.state == FirstBytes::State::known || (silent && !there_may_be_more)) return judge(seen.name);
  // A name that is begun and not finished may be finished for the server when nobody looks any more.
  if (seen.state == FirstBytes::State::unclear || !there_may_be_more)
    deny({}, "the first bytes do not show just one name");
}

void NamedFlow::judge(const std::optional<std::string>& name) {
  const Verdict verdict =
      context_.policy.egress_named({NetworkProtocol::tcp, remote_.ip, remote_.port}, name, context_.pins);
  if (verdict.kind != Verdict::Kind::allow) return deny(name.value_or(""), verdict.reason);
  judged_ = true;
  deadline_.reset();
  dial_ = context_.upstream.dial(remote_, [this](Result<Fd> socket) { dialled(std::move(socket)); });
}

void NamedFlow::deny(const std::string& name, std::string rule) {
  judged_ = true;
  deadline_.reset();
  context_.on_denial({.protocol = NetworkProtocol::tcp, .name = name, .remote = remote_, .rule = std::move(rule)});
  std::exchange(connection_, nullptr)->reset();
}

void NamedFlow::dialled(Result<Fd> socket) {
  // Accepted already: what the host was told can only be told as a reset.
  if (!socket) return std::exchange(connection_, nullptr)->reset();
  relay_ = std::make_unique<TcpRelay>(context_.reactor, std::move(*socket), std::move(first_));
  relay_->join(*std::exchange(connection_, nullptr));
  if (ended_early_) relay_->received_end();
}

void NamedFlow::received_end() {
  if (relay_) return relay_->received_end();
  ended_early_ = true;
  if (!judged_) look(false);
}

void NamedFlow::writable() {
  if (relay_) relay_->writable();
}

void NamedFlow::ended(TcpEnd why) {
  connection_ = nullptr;
  deadline_.reset();
  dial_.reset();
  judged_ = true;
  if (relay_) relay_->ended(why);
}

}  // namespace msb::net
