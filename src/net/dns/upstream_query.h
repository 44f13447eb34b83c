// UpstreamQuery: one query put to one server: over UDP, and over TCP when the answer was cut, or at once when asked so.
//
// A socket of its own, connected (the kernel drops what others send), from a port the kernel picks; an id at random.
// Only a response with that id and the same question is taken; anything else is as if it had not come. Destroy to
// cancel.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/fd.h"
#include "base/reactor.h"
#include "net/address.h"
#include "net/dns/dns_message.h"

namespace msb::net {

class UpstreamQuery {
 public:
  enum class Transport { udp, tcp };
  // The response as it came, or why there is none. Called once, never from start(), and may destroy the query.
  using Done = std::function<void(Result<Bytes>)>;

  // `query` has a header whose id is set here, and the one question that `question` is.
  static Result<std::unique_ptr<UpstreamQuery>> start(Reactor& reactor, const Endpoint& server, Transport transport,
                                                      std::chrono::milliseconds timeout, Bytes query,
                                                      DnsQuestion question, Done done);

 private:
  UpstreamQuery(Reactor& reactor, const Endpoint& server, Bytes query, DnsQuestion question, Done done);
  Result<> open(Transport transport);
  void readable_udp();
  void ready_tcp(uint32_t events);
  Result<bool> advance_tcp(uint32_t events);  // whether the answer is whole
  bool is_answer(const DnsMessage& message) const;
  void finish(Result<Bytes> result);
  // TCP could not be had: what UDP gave is better than nothing.
  void finish_without_tcp(Error error);

  Reactor& reactor_;
  Endpoint server_;
  Bytes query_;
  DnsQuestion question_;
  Done done_;
  Fd socket_;
  Reactor::Watch watch_;
  std::unique_ptr<Timer> timer_;
  Bytes cut_;        // the answer over UDP that made us use TCP
  Bytes outgoing_;   // over TCP: the length and the query,
  size_t sent_ = 0;  // of which this has been sent
  Bytes incoming_;   // over TCP: the length and the answer
  size_t received_ = 0;
};

}  // namespace msb::net
