#include "net/tcp/connection.h"

#include <algorithm>

#include "net/tcp/sequence.h"

namespace msb::net {
namespace {
// Smaller segments than any IPv4 host has to take: a guest that offers less asks for trouble.
constexpr uint16_t kLeastMss = 88;
}  // namespace

SynOffer SynOffer::of(const TcpHeader& header) {
  return {header.sequence, header.window, header.mss.value_or(536), header.window_scale};
}

Connection::Connection(ConnectionOwner& owner, TcpShared& shared, const TcpEnds& ends, std::unique_ptr<TcpUser> user,
                       uint32_t first_sequence)
    : owner_(owner),
      shared_(shared),
      ends_(ends),
      user_(std::move(user)),
      out_(shared.pool),
      una_(first_sequence),
      nxt_(first_sequence),
      max_(first_sequence),
      kept_(shared.pool),
      round_trip_(shared.timings) {
  while (own_scale_ < 14 && shared.limits.receive_buffer >> own_scale_ > 0xffff) ++own_scale_;
  heard_at_ = unanswered_since_ = shared.link.now();
}

void Connection::accept_offer(const SynOffer& offer) {
  next_ = offer.sequence + 1;
  // What our SYN says of the window is not scaled.
  edge_ = next_ + static_cast<uint32_t>(std::min<size_t>(shared_.limits.receive_buffer, 0xffff));
  scaling_ = offer.window_scale.has_value();
  scale_ = offer.window_scale.value_or(0);
  if (!scaling_) own_scale_ = 0;
  const size_t headers = (ends_.guest.ip.is_v4() ? 20 : 40) + 20;
  mss_ = std::max(kLeastMss, std::min(offer.mss, static_cast<uint16_t>(shared_.link.mtu() - headers)));
  window_ = largest_window_ = offer.window;
  window_sequence_ = offer.sequence;
}

void Connection::answer(const SynOffer& offer) {
  state_ = State::syn_received;
  accept_offer(offer);
  syn_due_ = true;
  owner_.changed(*this);
}

void Connection::open() {
  state_ = State::syn_sent;
  active_ = scaling_ = syn_due_ = true;
  owner_.changed(*this);
}

void Connection::become_open(const TcpHeader& header) {
  state_ = State::open;
  una_ = nxt_ = header.acknowledgement;
  max_ = later_sequence(max_, una_);
  window_ = uint32_t{header.window} << (header.has(kSyn) ? 0 : scale_);
  largest_window_ = std::max(largest_window_, window_);
  window_sequence_ = header.sequence;
  window_acknowledgement_ = header.acknowledgement;
  retransmit_at_ = kNever;
  round_trip_.answered();
  if (timing_) round_trip_.measured(shared_.link.now() - timed_at_);
  timing_ = recovering_ = false;
  schedule();
}

MutableByteView Connection::send_room() {
  if (is_gone() || finishing_) return {};
  const MutableByteView room = out_.room(shared_.share(shared_.limits.send_buffer));
  starved_ = room.empty();
  return room;
}

void Connection::commit(size_t bytes) {
  if (is_gone() || finishing_) return;
  out_.commit(bytes);
  if (bytes > 0) owner_.changed(*this);
}

void Connection::finish() {
  if (is_gone() || finishing_) return;
  finishing_ = true;
  owner_.changed(*this);
}

void Connection::reset() {
  if (is_gone()) return;
  if (state_ != State::syn_sent) send_reset(max_);
  state_ = State::gone;
  owner_.remove(*this);
}

void Connection::stop() {
  if (!is_gone()) end(TcpEnd::stopped);
}

void Connection::finish_if_both_have() {
  if (!finish_acknowledged_ || !end_told_) return;
  // The last word may be ours; nothing is left that could say it later.
  if (acknowledge_due_) shared_.link.send_once(ends_, header(kAck));
  if (finished_first_) owner_.wait(ends_, max_, next_);
  end(TcpEnd::closed);
}

void Connection::end(TcpEnd why) {
  state_ = State::gone;
  owner_.remove(*this);
  user_->ended(why);
}

TcpHeader Connection::header(uint8_t flags) const {
  TcpHeader header;
  header.source_port = ends_.remote.port;
  header.destination_port = ends_.guest.port;
  header.sequence = max_;
  header.acknowledgement = next_;
  header.flags = flags;
  const uint32_t window = static_cast<uint32_t>(std::max(0, sequence_distance(next_, edge_))) >> own_scale_;
  header.window = static_cast<uint16_t>(std::min<uint32_t>(window, 0xffff));
  return header;
}

void Connection::send_reset(uint32_t sequence) {
  TcpHeader reset = header(kRst | kAck);
  reset.sequence = sequence;
  shared_.link.send_once(ends_, reset);
}

void Connection::schedule() {
  Clock::time_point when = retransmit_at_;
  if (state_ == State::open)
    when = std::min(when, heard_at_ + shared_.timings.idle + shared_.timings.probe_interval * keepalives_);
  if (when != kNever) owner_.schedule(*this, when);
}

void Connection::wake(Clock::time_point now) {
  const TcpTimings& timings = shared_.timings;
  if (now >= retransmit_at_) {
    // Either something is not acknowledged, or the window is too small for what there is to send.
    const bool outstanding = una_ != max_;
    const auto since = outstanding ? unanswered_since_ : heard_at_;
    if (now - since >= (state_ == State::open ? timings.unanswered : timings.handshake)) {
      if (state_ != State::syn_sent) send_reset(max_);
      return end(TcpEnd::timed_out);
    }
    round_trip_.unanswered();
    retransmit_at_ = now + round_trip_.timeout();
    if (outstanding) {
      go_back();
    } else {
      probe_due_ = true;
    }
    owner_.changed(*this);
  }
  if (state_ == State::open && now >= heard_at_ + timings.idle + timings.probe_interval * keepalives_) {
    if (++keepalives_ > timings.probes) {
      send_reset(max_);
      return end(TcpEnd::timed_out);
    }
    probe_due_ = true;
    owner_.changed(*this);
  }
  schedule();
}

}  // namespace msb::net
