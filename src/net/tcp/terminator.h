// TcpTerminator: the TcpEngine. Connections by their ends, SYNs that wait for an answer, and what is left of
// connections that are over. It knows packets and a TcpLink, and no descriptor, timer or thread: all of it can be run
// by hand.
//
//   for each packet of a batch: packet(); then settle(), until which the packets have to stay
//   when the link has room again: settle()
//   when the time of wake_at() has come: expire()
#pragma once

#include <deque>
#include <functional>
#include <unordered_map>

#include "net/tcp/connection.h"
#include "net/tcp/keyed_hash.h"
#include "net/tcp/time_wait.h"

namespace msb::net {

class TcpTerminator final : public TcpEngine, private ConnectionOwner {
 public:
  // `on_request` is asked about each SYN; TcpEngine's rules apply.
  TcpTerminator(TcpLink& link, std::function<void(TcpRequest)> on_request, const Limits& limits,
                const TcpTimings& timings = {});
  ~TcpTerminator() override;

  // False when it is not a segment.
  bool packet(const IpPacket& packet);
  // The guest would not take this packet of ours. If it is the SYN of connect() that is a refusal; otherwise whether it
  // arrives is seen by whether it is acknowledged (RFC 5927, 5.2).
  void undeliverable(const IpPacket& ours);
  // Whether it belongs to a connection that there is.
  bool is_of_connection(const IpPacket& packet) const;
  void settle();
  void expire();

  Result<TcpConnection*> connect(const Endpoint& from, const Endpoint& guest, std::unique_ptr<TcpUser> user) override;
  uint32_t connections() const override { return static_cast<uint32_t>(table_.size()); }

 private:
  class PendingSyn;
  struct Pending {
    uint64_t id;
    SynOffer offer;
  };
  template <class Value>
  using Table = std::unordered_map<TcpEnds, Value, KeyedHash>;

  void without_connection(const TcpEnds& ends, const TcpPacket& packet);
  void request(const TcpEnds& ends, const TcpHeader& syn);
  void refuse(const TcpEnds& ends, const TcpHeader& header, size_t payload_size);
  std::optional<SynOffer> take_pending(const TcpEnds& ends, uint64_t id);
  Connection& add(const TcpEnds& ends, std::unique_ptr<TcpUser> user);
  uint32_t first_sequence(const TcpEnds& ends);
  void transmit();

  void changed(Connection& connection) override;
  void arrived(Connection& connection) override { arrived_.push_back(&connection); }
  void schedule(Connection& connection, Clock::time_point when) override;
  void remove(Connection& connection) override;
  void wait(const TcpEnds& ends, uint32_t sequence, uint32_t acknowledgement) override;

  TcpShared shared_;
  std::function<void(TcpRequest)> on_request_;
  const KeyedHash hash_ = KeyedHash::random();
  Table<std::unique_ptr<Connection>> table_;
  Table<Pending> pending_;
  uint64_t pending_ids_ = 0;
  TimeWait time_wait_;
  DeadlineHeap deadlines_;
  std::vector<Connection*> arrived_;
  std::deque<Connection*> changed_;  // a connection that is gone leaves nullptr
  // Gone, but a call of their user's may still be on the stack.
  std::vector<std::unique_ptr<Connection>> gone_;
  int busy_ = 0;  // calls that end with settle() or transmit()
  std::shared_ptr<TcpTerminator*> self_ = std::make_shared<TcpTerminator*>(this);  // of requests, which may live longer
};

}  // namespace msb::net
