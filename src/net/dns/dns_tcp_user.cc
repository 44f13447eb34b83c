#include "net/dns/dns_tcp_user.h"

#include <algorithm>

namespace msb::net {
namespace {

constexpr size_t kLengthSize = 2;

class DnsTcpUser final : public TcpUser {
 public:
  DnsTcpUser(DnsGateway& gateway, const Endpoint& guest, const Endpoint& aimed)
      : gateway_(gateway), guest_(guest), aimed_(aimed) {}

  void attach(TcpConnection* connection) {
    connection_ = connection;
    connection_->resume();
  }

  size_t received(ByteView bytes) override;
  void received_end() override {
    guest_ended_ = true;
    if (connection_ && !is_busy()) connection_->finish();
  }
  void writable() override {
    if (!outgoing_.empty()) send();
  }
  void ended(TcpEnd) override { connection_ = nullptr; }

 private:
  // How many bytes of the message that comes in, and its length, there have to be to go on.
  size_t wanted() const {
    return incoming_.size() < kLengthSize ? kLengthSize : kLengthSize + load_be<uint16_t>(incoming_.data());
  }
  bool is_busy() const { return asking_ || !outgoing_.empty(); }
  bool ask();
  void replied(const Bytes& reply);
  void send();

  DnsGateway& gateway_;
  Endpoint guest_;
  Endpoint aimed_;
  TcpConnection* connection_ = nullptr;
  Bytes incoming_;
  Bytes outgoing_;
  bool asking_ = false;
  bool receiving_ = false;
  bool guest_ended_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // replies can come later than our end
};

size_t DnsTcpUser::received(ByteView bytes) {
  if (!connection_) return 0;
  size_t taken = 0;
  receiving_ = true;
  while (taken < bytes.size() && !is_busy()) {
    const size_t count = std::min(wanted() - incoming_.size(), bytes.size() - taken);
    incoming_.insert(incoming_.end(), bytes.begin() + static_cast<ptrdiff_t>(taken),
                     bytes.begin() + static_cast<ptrdiff_t>(taken + count));
    taken += count;
    if (incoming_.size() < kLengthSize || incoming_.size() < wanted()) continue;
    if (ask()) continue;
    connection_->reset();  // no DNS; this is gone
    return taken;
  }
  receiving_ = false;
  return taken;
}

bool DnsTcpUser::ask() {
  asking_ = true;
  const Bytes message = std::exchange(incoming_, {});
  return gateway_.ask({.protocol = NetworkProtocol::tcp,
                       .guest = guest_,
                       .aimed = aimed_,
                       .message = ByteView(message).subspan(kLengthSize)},
                      [this, alive = std::weak_ptr<bool>(alive_)](const Bytes& reply) {
                        if (!alive.expired() && connection_) replied(reply);
                      });
}

void DnsTcpUser::replied(const Bytes& reply) {
  asking_ = false;
  outgoing_.resize(kLengthSize);
  store_be(outgoing_.data(), static_cast<uint16_t>(reply.size()));
  outgoing_.insert(outgoing_.end(), reply.begin(), reply.end());
  send();
}

void DnsTcpUser::send() {
  while (!outgoing_.empty()) {
    const MutableByteView room = connection_->send_room();
    const size_t count = std::min(room.size(), outgoing_.size());
    if (count == 0) return;  // writable() goes on
    std::copy_n(outgoing_.begin(), count, room.begin());
    outgoing_.erase(outgoing_.begin(), outgoing_.begin() + static_cast<ptrdiff_t>(count));
    connection_->commit(count);
  }
  if (guest_ended_) {
    connection_->finish();
  } else if (!receiving_) {  // received() goes on by itself
    connection_->resume();
  }
}

}  // namespace

void serve_dns(DnsGateway& gateway, TcpRequest request) {
  auto user = std::make_unique<DnsTcpUser>(gateway, request.guest(), request.remote());
  DnsTcpUser* raw = user.get();
  if (TcpConnection* connection = request.accept(std::move(user))) raw->attach(connection);
}

}  // namespace msb::net
