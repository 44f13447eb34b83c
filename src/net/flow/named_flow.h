// NamedFlow: a connection of the guest's on which policy wants to see a name before it is dialled. It is accepted, its
// first bytes are read and judged with the address, and then it becomes a relay to the host, or is reset.
#pragma once

#include <memory>

#include "net/flow/tcp_egress.h"
#include "net/flow/tcp_relay.h"

namespace msb::net {

class NamedFlow final : public TcpUser {
 public:
  // How long the guest may take to say the name; a protocol in which the server speaks first is judged without.
  static constexpr std::chrono::seconds kPeekTime{5};

  static void accept(FlowContext& context, TcpRequest request, std::shared_ptr<void> place);

  size_t received(ByteView bytes) override;
  void received_end() override;
  void writable() override;
  void ended(TcpEnd why) override;

 private:
  NamedFlow(FlowContext& context, const Endpoint& remote, std::shared_ptr<void> place)
      : context_(context), remote_(remote), place_(std::move(place)) {}
  void look(bool there_may_be_more);
  void judge(const std::optional<std::string>& name);
  void deny(const std::string& name, std::string rule);
  void dialled(Result<Fd> socket);

  FlowContext& context_;
  Endpoint remote_;
  std::shared_ptr<void> place_;
  TcpConnection* connection_ = nullptr;
  Bytes first_;
  bool judged_ = false;
  bool ended_early_ = false;  // the guest sends no more, before there was a relay
  std::unique_ptr<Timer> deadline_;
  std::unique_ptr<Attempt> dial_;
  std::unique_ptr<TcpRelay> relay_;  // from when it is dialled
};

}  // namespace msb::net
