#include "net/tcp/terminator.h"

#include <algorithm>
#include <utility>

namespace msb::net {

// The engine's side of a TcpRequest.
class TcpTerminator::PendingSyn final : public TcpRequest::Pending {
 public:
  PendingSyn(TcpTerminator& engine, const TcpEnds& ends, uint64_t id) : engine_(engine.self_), ends_(ends), id_(id) {}

  TcpConnection* accept(std::unique_ptr<TcpUser> user) override {
    const auto engine = engine_.lock();
    if (!engine) return user->ended(TcpEnd::stopped), nullptr;
    TcpTerminator& self = **engine;
    const auto offer = self.take_pending(ends_, id_);
    if (!offer || self.table_.size() >= self.shared_.limits.connections) {
      if (offer) self.refuse(ends_, {.sequence = offer->sequence, .flags = kSyn}, 0);
      user->ended(TcpEnd::reset);
      return nullptr;
    }
    Connection& connection = self.add(ends_, std::move(user));
    connection.answer(*offer);
    return &connection;
  }
  void reset() override {
    const auto engine = engine_.lock();
    if (!engine) return;
    if (const auto offer = (*engine)->take_pending(ends_, id_))
      (*engine)->refuse(ends_, {.sequence = offer->sequence, .flags = kSyn}, 0);
  }
  void unreachable(Unreachable why) override {
    const auto engine = engine_.lock();
    if (!engine) return;
    if (const auto offer = (*engine)->take_pending(ends_, id_))
      (*engine)->shared_.link.send_unreachable(ends_, offer->sequence, why);
  }

 private:
  std::weak_ptr<TcpTerminator*> engine_;
  const TcpEnds ends_;
  const uint64_t id_;
};

TcpTerminator::TcpTerminator(TcpLink& link, std::function<void(TcpRequest)> on_request, const Limits& limits,
                             const TcpTimings& timings)
    : shared_{link, limits, timings},
      on_request_(std::move(on_request)),
      table_(0, hash_),
      pending_(0, hash_),
      time_wait_(hash_) {}

TcpTerminator::~TcpTerminator() {
  self_.reset();
  ++busy_;
  while (!table_.empty()) table_.begin()->second->stop();
  gone_.clear();
}

namespace {

TcpEnds ends_of(const IpPacket& ip, const TcpHeader& header) {
  return {{ip.header.source, header.source_port}, {ip.header.destination, header.destination_port}};
}

}  // namespace

bool TcpTerminator::is_of_connection(const IpPacket& ip) const {
  const auto packet = parse_tcp(ip.payload);
  return packet && table_.contains(ends_of(ip, packet->header));
}

bool TcpTerminator::packet(const IpPacket& ip) {
  const auto packet = parse_tcp(ip.payload);
  if (!packet || packet->header.source_port == 0 || packet->header.destination_port == 0) return false;
  const TcpEnds ends = ends_of(ip, packet->header);
  ++busy_;
  if (const auto found = table_.find(ends); found != table_.end()) {
    found->second->segment(*packet);
  } else {
    without_connection(ends, *packet);
  }
  --busy_;
  return true;
}

void TcpTerminator::undeliverable(const IpPacket& ours) {
  const auto packet = parse_tcp(ours.payload);
  if (ours.header.protocol != kTcp || !packet || !packet->header.has(kSyn)) return;
  const TcpHeader& syn = packet->header;
  const auto found =
      table_.find({{ours.header.destination, syn.destination_port}, {ours.header.source, syn.source_port}});
  if (found == table_.end()) return;
  ++busy_;
  found->second->syn_refused(syn.sequence);
  --busy_;
}

void TcpTerminator::without_connection(const TcpEnds& ends, const TcpPacket& packet) {
  const TcpHeader& header = packet.header;
  const bool is_syn = header.has(kSyn) && !header.has(kAck) && !header.has(kRst) && !header.has(kFin);
  if (const auto found = pending_.find(ends); found != pending_.end()) {
    // The same again, or another attempt from the same port: the answer is still to come.
    if (is_syn) found->second.offer = SynOffer::of(header);
    if (header.has(kRst) && header.sequence == found->second.offer.sequence + 1) pending_.erase(found);
    return;
  }
  if (const auto rest = time_wait_.find(ends)) {
    if (!is_syn && !header.has(kRst)) {
      shared_.link.send_once(ends, {.source_port = ends.remote.port,
                                    .destination_port = ends.guest.port,
                                    .sequence = rest->sequence,
                                    .acknowledgement = rest->acknowledgement,
                                    .flags = kAck});
      return;
    }
    time_wait_.forget(ends);
  }
  if (is_syn) {
    request(ends, header);
  } else {
    refuse(ends, header, packet.payload.size());
  }
}

void TcpTerminator::request(const TcpEnds& ends, const TcpHeader& syn) {
  if (table_.size() >= shared_.limits.connections || pending_.size() >= shared_.limits.pending)
    return refuse(ends, syn, 0);
  const uint64_t id = ++pending_ids_;
  pending_.emplace(ends, Pending{id, SynOffer::of(syn)});
  on_request_(TcpRequest(ends.guest, ends.remote, std::make_unique<PendingSyn>(*this, ends, id)));
}

// As a closed port answers (RFC 9293, 3.10.7.1).
void TcpTerminator::refuse(const TcpEnds& ends, const TcpHeader& header, size_t payload_size) {
  if (header.has(kRst)) return;
  TcpHeader reset{.source_port = ends.remote.port, .destination_port = ends.guest.port, .flags = kRst};
  if (header.has(kAck)) {
    reset.sequence = header.acknowledgement;
  } else {
    reset.flags |= kAck;
    reset.acknowledgement = header.sequence + static_cast<uint32_t>(payload_size + header.has(kSyn) + header.has(kFin));
  }
  shared_.link.send_once(ends, reset);
}

std::optional<SynOffer> TcpTerminator::take_pending(const TcpEnds& ends, uint64_t id) {
  const auto found = pending_.find(ends);
  if (found == pending_.end() || found->second.id != id) return std::nullopt;
  const SynOffer offer = found->second.offer;
  pending_.erase(found);
  return offer;
}

Result<TcpConnection*> TcpTerminator::connect(const Endpoint& from, const Endpoint& guest,
                                              std::unique_ptr<TcpUser> user) {
  if (from.ip.family() != guest.ip.family() || !shared_.link.has_guest(guest.ip.family()))
    return fail(ErrorKind::invalid_config,
                cat("the guest has no address to reach ", guest.to_string(), " from ", from.to_string()));
  const TcpEnds ends{guest, from};
  if (table_.size() >= shared_.limits.connections)
    return fail_errno(cat("connect to ", guest.to_string(), " in the guest, which has as many connections as allowed"),
                      EMFILE);
  if (table_.contains(ends) || pending_.contains(ends))
    return fail_errno(cat("connect to ", guest.to_string(), " in the guest from ", from.to_string()), EADDRINUSE);
  time_wait_.forget(ends);
  Connection& connection = add(ends, std::move(user));
  connection.open();
  return &connection;
}

Connection& TcpTerminator::add(const TcpEnds& ends, std::unique_ptr<TcpUser> user) {
  ConnectionOwner& owner = *this;
  auto connection = std::make_unique<Connection>(owner, shared_, ends, std::move(user), first_sequence(ends));
  ++shared_.connections;
  return *table_.emplace(ends, std::move(connection)).first->second;
}

// RFC 6528: a clock of 4 µs, and where it starts is a secret of each pair of ends.
uint32_t TcpTerminator::first_sequence(const TcpEnds& ends) {
  const auto ticks = shared_.link.now().time_since_epoch() / std::chrono::microseconds(4);
  return static_cast<uint32_t>(hash_(ends)) + static_cast<uint32_t>(ticks);
}

void TcpTerminator::changed(Connection& connection) {
  if (!connection.is_listed) {
    connection.is_listed = true;
    changed_.push_back(&connection);
  }
  if (busy_ == 0) transmit();
}

// A segment of each in turn, until the link is full or nobody has anything to say.
void TcpTerminator::transmit() {
  ++busy_;
  while (!changed_.empty()) {
    Connection* connection = changed_.front();
    const auto step = connection ? connection->transmit() : Connection::Step::idle;
    if (step == Connection::Step::full) break;
    changed_.pop_front();
    if (step == Connection::Step::sent) {
      changed_.push_back(connection);
    } else if (connection) {
      connection->is_listed = false;
    }
  }
  --busy_;
}

void TcpTerminator::settle() {
  ++busy_;
  for (Connection* connection : arrived_) connection->deliver();
  arrived_.clear();
  --busy_;
  transmit();
  // What goes may take others with it.
  while (!gone_.empty()) std::exchange(gone_, {}).clear();
}

void TcpTerminator::schedule(Connection& connection, Clock::time_point when) {
  // Too early a wake does no harm, and most deadlines only ever move away.
  if (DeadlineHeap::contains(connection) && connection.at <= when) return;
  deadlines_.set(connection, when);
  shared_.link.wake_at(deadlines_.first()->at);
}

void TcpTerminator::expire() {
  const auto now = shared_.link.now();
  ++busy_;
  while (auto* node = deadlines_.first()) {
    if (node->at > now) break;
    deadlines_.remove(*node);
    static_cast<Connection*>(node)->wake(now);
  }
  time_wait_.expire(now);
  --busy_;
  settle();
  if (const auto* node = deadlines_.first()) shared_.link.wake_at(node->at);
  if (const auto next = time_wait_.next()) shared_.link.wake_at(*next);
}

void TcpTerminator::remove(Connection& connection) {
  deadlines_.remove(connection);
  if (connection.is_listed) *std::ranges::find(changed_, &connection) = nullptr;
  const auto found = table_.find(connection.ends());
  gone_.push_back(std::move(found->second));
  table_.erase(found);
  --shared_.connections;
  // Its user may have ended it out of the blue: nobody else would come and bury it.
  if (busy_ == 0) shared_.link.wake_at(shared_.link.now());
}

void TcpTerminator::wait(const TcpEnds& ends, uint32_t sequence, uint32_t acknowledgement) {
  const auto until = shared_.link.now() + shared_.timings.time_wait;
  time_wait_.add(ends, {sequence, acknowledgement, until});
  shared_.link.wake_at(until);
}

}  // namespace msb::net
