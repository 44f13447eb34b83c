// TcpRelay: carries bytes between a guest's connection and a connected socket of the host, each way at the pace of the
// slower side. Bytes from the host go from the socket straight into the guest's send buffer, bytes from the guest
// straight out of its frames into the socket; what does not fit waits on the side it comes from, never here.
//
//   auto relay = std::make_unique<TcpRelay>(reactor, std::move(socket));
//   TcpRelay* raw = relay.get();
//   if (TcpConnection* connection = request.accept(std::move(relay))) raw->join(*connection);
//
// Each half closes by itself. A reset on one side is a reset on the other.
#pragma once

#include <memory>

#include "base/fd.h"
#include "base/reactor.h"
#include "net/tcp/tcp_engine.h"

namespace msb::net {

class TcpRelay final : public TcpUser {
 public:
  // `first`: bytes of the guest's that were looked at before, and go to the host before all others.
  TcpRelay(Reactor& reactor, Fd socket, Bytes first = {});
  ~TcpRelay() override;

  // From here on bytes flow, those that the engine has kept, too. The connection is this user's.
  void join(TcpConnection& connection);
  // Something that lives as long as the relay.
  void hold(std::shared_ptr<void> place) { place_ = std::move(place); }

  size_t received(ByteView bytes) override { return *received_pieces({&bytes, 1}); }
  std::optional<size_t> received_pieces(std::span<const ByteView> pieces) override;
  void received_end() override;
  void writable() override;
  void ended(TcpEnd why) override;

 private:
  // Reads of one turn, so that one flow cannot keep the thread from the others.
  static constexpr int kTurn = 4;

  void on_socket(uint32_t events);
  void send_first();
  void read_socket();
  void end_writing();
  void give_up();  // the host's side is broken: nothing of this object may be touched after it
  void watch();

  Reactor& reactor_;
  Fd socket_;
  Bytes first_;
  std::shared_ptr<void> place_;
  TcpConnection* connection_ = nullptr;
  bool reading_ = true;     // the host may send more, and the guest has room
  bool blocked_ = false;    // the socket takes no more for now
  bool host_end_ = false;   // the host sends no more
  bool guest_end_ = false;  // the guest sends no more
  Reactor::Watch watch_;
};

}  // namespace msb::net
