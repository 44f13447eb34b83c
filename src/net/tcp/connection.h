// Connection: one TCP connection to the guest, RFC 9293 for a neighbour behind a link that loses nothing. The states
// of the RFC are what each side has done: `open` covers ESTABLISHED to LAST-ACK, told apart by whose FIN is where.
// TIME-WAIT is not a connection any more (time_wait.h).
//
// Sending and receiving are decoupled. What a batch of frames brings is delivered to the user when the batch has been
// read, all at once; and what happens marks the connection as changed, which the owner then has transmit(), one segment
// at a time. So one segment acknowledges the batch.
//
// Users' calls may end the connection under the caller's feet: after each of them is_gone() has to be looked at. The
// object itself stays until the owner's next settle().
#pragma once

#include "net/tcp/byte_queue.h"
#include "net/tcp/deadline_heap.h"
#include "net/tcp/round_trip.h"
#include "net/tcp/tcp_link.h"

namespace msb::net {

class Connection;

// What connections need of the terminator.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  virtual void changed(Connection& connection) = 0;  // it may have something to transmit
  virtual void arrived(Connection& connection) = 0;  // it has something to deliver()
  virtual void schedule(Connection& connection, Clock::time_point when) = 0;
  // It is gone; to be destroyed later.
  virtual void remove(Connection& connection) = 0;
  virtual void wait(const TcpEnds& ends, uint32_t sequence, uint32_t acknowledgement) = 0;  // TIME-WAIT
};

// What all connections of a terminator share.
struct TcpShared {
  TcpLink& link;
  TcpEngine::Limits limits;
  TcpTimings timings;
  ChunkPool pool = {};
  size_t connections = 0;

  // What each connection may have of a buffer of that size.
  size_t share(size_t buffer) const {
    constexpr size_t kLeast = 32 << 10;
    return std::min(buffer, std::max(kLeast, TcpEngine::kMemory / std::max<size_t>(connections, 1)));
  }
};

// What a SYN says.
struct SynOffer {
  uint32_t sequence = 0;
  uint16_t window = 0;
  uint16_t mss = 536;  // RFC 9293, 3.7.1
  std::optional<uint8_t> window_scale = {};
  static SynOffer of(const TcpHeader& header);
};

class Connection final : public TcpConnection, public DeadlineHeap::Node {
 public:
  enum class Step { idle, sent, full };

  Connection(ConnectionOwner& owner, TcpShared& shared, const TcpEnds& ends, std::unique_ptr<TcpUser> user,
             uint32_t first_sequence);

  // The owner's side; one of the first two, once.
  void answer(const SynOffer& offer);
  void open();
  void segment(const TcpPacket& packet);  // its payload stays until deliver()
  void syn_refused(uint32_t sequence);    // not by a segment: it never reached a socket
  void deliver();
  Step transmit();  // one segment, if there is something to say
  void wake(Clock::time_point now);
  void stop();  // ended(stopped)
  bool is_gone() const { return state_ == State::gone; }
  const TcpEnds& ends() const { return ends_; }
  bool is_listed = false;  // the owner's: among those that have changed

  const Endpoint& guest() const override { return ends_.guest; }
  const Endpoint& remote() const override { return ends_.remote; }
  MutableByteView send_room() override;
  void commit(size_t bytes) override;
  size_t unacknowledged() const override { return out_.size(); }
  void finish() override;
  void resume() override;
  void reset() override;

 private:
  enum class State : uint8_t { syn_sent, syn_received, open, gone };
  static constexpr Clock::time_point kNever = Clock::time_point::max();

  // connection.cc: life.
  void become_open(const TcpHeader& header);
  void accept_offer(const SynOffer& offer);
  void finish_if_both_have();
  void end(TcpEnd why);
  TcpHeader header(uint8_t flags) const;
  void send_reset(uint32_t sequence);
  void schedule();

  // connection_receive.cc
  void answer_of_connect(const TcpHeader& header);
  bool in_sequence(const TcpHeader& header, uint32_t size);
  bool acknowledged(const TcpHeader& header, bool bare);
  void take_acknowledgement(uint32_t progress);
  void take_payload(const TcpHeader& header, ByteView payload);
  size_t offer_arrived();
  void offer_kept();
  void tell_end();
  void acknowledge();
  TcpHeader speak();
  uint32_t wanted_edge() const;

  // connection_send.cc
  Step transmit_syn();
  Step transmit_bare();
  uint32_t sendable();
  Step put(const TcpHeader& header, const std::array<ByteView, 2>& payload, uint32_t length);
  void go_back();

  ConnectionOwner& owner_;
  TcpShared& shared_;
  const TcpEnds ends_;
  std::unique_ptr<TcpUser> user_;
  State state_ = State::syn_sent;

  // Sending (RFC 9293, 3.3.1): acknowledged up to una, sent up to nxt; max is the furthest that was ever sent.
  ByteQueue out_;  // from una on
  uint32_t una_;
  uint32_t nxt_;
  uint32_t max_;
  uint32_t window_ = 0;
  uint32_t largest_window_ = 0;
  uint32_t window_sequence_ = 0;         // SND.WL1
  uint32_t window_acknowledgement_ = 0;  // SND.WL2
  uint32_t timed_ = 0;                   // acknowledged, it tells the round trip time
  uint16_t mss_ = 536;
  uint8_t scale_ = 0;
  uint8_t duplicates_ = 0;  // acknowledgements of una

  // Receiving: taken up to next, allowed up to edge.
  uint8_t own_scale_ = 0;
  uint32_t next_ = 0;
  uint32_t edge_ = 0;
  ByteQueue kept_;                 // what the user has not taken
  std::vector<ByteView> arrived_;  // in this batch
  size_t arrived_size_ = 0;

  bool syn_due_ = false;
  bool scaling_ = false;  // both have offered it
  bool active_ = false;   // open(), not answer()
  bool acknowledge_due_ = false;
  bool probe_due_ = false;
  bool timing_ = false;
  bool recovering_ = false;  // one segment at a time until the guest says something
  bool starved_ = false;     // the user found no room
  bool finishing_ = false;   // finish() was called
  bool finished_first_ = false;
  bool finish_acknowledged_ = false;
  bool guest_finished_ = false;
  bool end_told_ = false;
  bool delivering_ = false;
  bool again_ = false;  // resume() while delivering

  RoundTrip round_trip_;
  Clock::time_point timed_at_;
  Clock::time_point retransmit_at_ = kNever;
  Clock::time_point unanswered_since_;
  Clock::time_point heard_at_;
  int keepalives_ = 0;
};

}  // namespace msb::net
