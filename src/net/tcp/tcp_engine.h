// TcpEngine: the guest's end of every TCP connection. The guest believes it talks to whatever address it dialled; here
// is the other end, and what is done with the bytes is the business of a TcpUser (a relay to a socket of the host, the
// DNS gateway, later an interceptor).
//
//   guest --SYN--> engine --TcpRequest--> policy, dialling ... --accept(user)--> TcpConnection <--> TcpUser
//
// A SYN is not answered until its request is completed: accept() sends the SYN-ACK, reset() refuses as a closed port
// does, unreachable() as a router does. So a connection that the host cannot make is refused in the guest, too.
// Dropping a request resets it. Repeated SYNs of a pending request are swallowed.
//
// The link to the guest loses nothing and keeps the order, but the guest itself may drop what it has no memory for:
// data is kept until acknowledged and sent again after a timeout. There is no congestion control: the guest's window
// and the link's back-pressure are all there is.
//
// One reactor thread; everything is bounded: connections, pending requests, bytes held for each.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "net/address.h"

namespace msb::net {

enum class TcpEnd {
  closed,     // both sides have finished
  reset,      // by the guest
  timed_out,  // the guest does not answer
  refused,    // of connect(): the guest has nothing there
  stopped,    // the engine goes down
};

// What is done with a connection. Every call comes from the engine, on its thread; a user may call its connection's
// functions from inside any of them, but may not destroy the engine.
class TcpUser {
 public:
  virtual ~TcpUser() = default;
  // Of connect() only: the guest has accepted.
  virtual void established() {}
  // Bytes from the guest, in order; gone after the call. Returns how many were taken. What was not taken the engine
  // keeps (its receive window bounds it) and offers again after TcpConnection::resume().
  virtual size_t received(ByteView bytes) = 0;
  // The same for what several frames brought at once, for users that pass it on with one call. nullopt: one piece after
  // the other, by received().
  virtual std::optional<size_t> received_pieces(std::span<const ByteView>) { return std::nullopt; }
  // The guest sends no more; everything before has been taken. Writing is still possible.
  virtual void received_end() = 0;
  // There is room again, after send_room() was smaller than wanted; or all of it has been acknowledged.
  virtual void writable() = 0;
  // The connection is gone, and so is the TcpConnection when this returns. Called exactly once, last, unless reset()
  // was called first.
  virtual void ended(TcpEnd why) = 0;
};

// Owned by the engine. Valid until ended() returns, or reset().
class TcpConnection {
 public:
  virtual ~TcpConnection() = default;
  virtual const Endpoint& guest() const = 0;
  virtual const Endpoint& remote() const = 0;  // whom the guest believes to talk to

  // Where the next bytes for the guest may be put, contiguous; empty when the send buffer is full. recv() straight into
  // it, then commit() what came: it is sent as the guest's window allows. commit(0) gives the room back.
  virtual MutableByteView send_room() = 0;
  virtual void commit(size_t bytes) = 0;
  // Bytes committed and not yet acknowledged.
  virtual size_t unacknowledged() const = 0;
  // Nothing more will be committed: FIN after what is there.
  virtual void finish() = 0;
  // Offers what received() did not take, and opens the window.
  virtual void resume() = 0;
  // RST, now; what is unsent is dropped. Not followed by ended().
  virtual void reset() = 0;
};

enum class Unreachable { network, host, port, prohibited };

// A SYN of the guest's that waits for an answer. Move-only; dropped, it resets.
class TcpRequest {
 public:
  class Pending {  // the engine's side
   public:
    virtual ~Pending() = default;
    virtual TcpConnection* accept(std::unique_ptr<TcpUser> user) = 0;
    virtual void reset() = 0;
    virtual void unreachable(Unreachable why) = 0;
  };
  TcpRequest(Endpoint guest, Endpoint remote, std::unique_ptr<Pending> pending)
      : guest_(guest), remote_(remote), pending_(std::move(pending)) {}
  TcpRequest(TcpRequest&&) noexcept = default;
  TcpRequest& operator=(TcpRequest&&) noexcept = default;
  ~TcpRequest() {
    if (pending_) pending_->reset();
  }

  const Endpoint& guest() const { return guest_; }
  const Endpoint& remote() const { return remote_; }

  // Answers; one of these, once. accept() returns nullptr when the guest has given up meanwhile (its RST came, or the
  // engine is at its limit): the user was told ended() then.
  TcpConnection* accept(std::unique_ptr<TcpUser> user) { return take()->accept(std::move(user)); }
  void reset() { take()->reset(); }
  void unreachable(Unreachable why) { take()->unreachable(why); }

 private:
  std::unique_ptr<Pending> take() { return std::move(pending_); }
  Endpoint guest_;
  Endpoint remote_;
  std::unique_ptr<Pending> pending_;
};

class TcpEngine {
 public:
  static constexpr size_t kMemory = 64 << 20;
  struct Limits {
    uint32_t connections = 4096;  // beyond: SYNs are answered with RST
    uint32_t pending = 1024;      // SYNs not answered yet
    // For each connection, taken as needed. What is received is only kept when a user does not take it, but bounds the
    // window. The more connections, the less each may have: kMemory is for all of them, in each direction.
    size_t send_buffer = 1 << 20;
    size_t receive_buffer = 1 << 20;
  };
  virtual ~TcpEngine() = default;
  // Opens a connection to a port of the guest's, as `from`. `user` is told established() or ended(refused, timed_out).
  // invalid_config: no address of that family in the guest; resource limits: io with EMFILE.
  virtual Result<TcpConnection*> connect(const Endpoint& from, const Endpoint& guest,
                                         std::unique_ptr<TcpUser> user) = 0;
  virtual uint32_t connections() const = 0;
};

}  // namespace msb::net
