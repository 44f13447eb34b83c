// What the guest says (RFC 9293, 3.10.7).
#include <algorithm>
#include <utility>

#include "net/tcp/connection.h"
#include "net/tcp/sequence.h"

namespace msb::net {

void Connection::segment(const TcpPacket& packet) {
  const TcpHeader& header = packet.header;
  heard_at_ = shared_.link.now();
  keepalives_ = 0;
  if (state_ == State::syn_sent) return answer_of_connect(header);
  if (state_ == State::syn_received && header.has(kSyn) && !header.has(kRst) && header.sequence == next_ - 1) {
    // Of two that called each other: only the acknowledgement is new. Otherwise our SYN-ACK was lost on it.
    if (active_ && header.has(kAck)) {
      acknowledged(header, true);
    } else {
      syn_due_ = true;
      owner_.changed(*this);
    }
    return;
  }
  const auto size = static_cast<uint32_t>(packet.payload.size() + header.has(kFin) + header.has(kSyn));
  if (!in_sequence(header, size)) return;
  if (!acknowledged(header, size == 0)) return;
  take_payload(header, packet.payload);
}

void Connection::answer_of_connect(const TcpHeader& header) {
  const bool acknowledges = header.has(kAck) && header.acknowledgement == max_ && una_ != max_;
  if (header.has(kAck) && !acknowledges) {
    if (!header.has(kRst)) send_reset(header.acknowledgement);
    return;
  }
  if (header.has(kRst)) {
    if (acknowledges) end(TcpEnd::refused);
    return;
  }
  if (!header.has(kSyn)) return;
  accept_offer(SynOffer::of(header));
  if (!acknowledges) {
    // Both have called each other (RFC 9293, 3.5).
    state_ = State::syn_received;
    syn_due_ = true;
    return owner_.changed(*this);
  }
  become_open(header);
  acknowledge();
  user_->established();
}

void Connection::syn_refused(uint32_t sequence) {
  if (state_ == State::syn_sent && sequence == una_) end(TcpEnd::refused);
}

// Whether the segment may be looked at any further; `size` is what it takes of the sequence space.
bool Connection::in_sequence(const TcpHeader& header, uint32_t size) {
  const int32_t ahead = sequence_distance(next_, header.sequence);
  const int32_t allowed = sequence_distance(next_, edge_);
  if (header.has(kRst)) {
    // RFC 5961, 3.2: only the very next number is believed.
    if (ahead == 0) {
      deliver();
      if (!is_gone()) end(state_ == State::syn_received && active_ ? TcpEnd::refused : TcpEnd::reset);
    } else if (ahead > 0 && ahead < allowed) {
      acknowledge();
    }
    return false;
  }
  const int32_t end = sequence_distance(next_, header.sequence + size);
  const bool is_old = end < 0 || (end == 0 && size > 0);
  // RFC 5961, 4.2: a SYN is not believed at all.
  if (is_old || ahead > allowed || header.has(kSyn)) {
    acknowledge();
    return false;
  }
  return header.has(kAck);
}

// Whether the rest of the segment counts. `bare`: it has no payload.
bool Connection::acknowledged(const TcpHeader& header, bool bare) {
  const uint32_t ack = header.acknowledgement;
  if (state_ == State::syn_received) {
    if (ack != max_ || una_ == max_) {
      send_reset(ack);
      return false;
    }
    become_open(header);
    owner_.changed(*this);
    if (active_) user_->established();
    return !is_gone();
  }
  // RFC 5961, 5.2.
  const int32_t progress = sequence_distance(una_, ack);
  if (sequence_distance(max_, ack) > 0 || progress < -static_cast<int64_t>(largest_window_)) {
    acknowledge();
    return false;
  }
  if (progress < 0) return true;

  const uint32_t window = uint32_t{header.window} << scale_;
  const int32_t newer = sequence_distance(window_sequence_, header.sequence);
  const bool same_window = window == window_;
  if (newer > 0 || (newer == 0 && sequence_distance(window_acknowledgement_, ack) >= 0)) {
    window_ = window;
    largest_window_ = std::max(largest_window_, window);
    window_sequence_ = header.sequence;
    window_acknowledgement_ = ack;
  }
  if (progress > 0) {
    take_acknowledgement(static_cast<uint32_t>(progress));
    return !is_gone();
  }
  if (bare && same_window && una_ != max_) {
    // RFC 5681, 3.2: three of them say that something in between was dropped.
    if (++duplicates_ == 3) go_back();
  }
  owner_.changed(*this);
  return true;
}

void Connection::take_acknowledgement(uint32_t progress) {
  const auto now = shared_.link.now();
  const size_t bytes = std::min<size_t>(progress, out_.size());
  out_.drop(bytes);
  una_ += progress;
  nxt_ = later_sequence(nxt_, una_);
  if (progress > bytes) finish_acknowledged_ = true;
  duplicates_ = 0;
  recovering_ = false;
  if (timing_ && sequence_distance(timed_, una_) >= 0) {
    round_trip_.measured(now - timed_at_);
    timing_ = false;
  }
  round_trip_.answered();
  unanswered_since_ = now;
  retransmit_at_ = una_ == max_ ? kNever : now + round_trip_.timeout();
  schedule();
  owner_.changed(*this);
  const bool roomy = starved_ && out_.size() <= shared_.share(shared_.limits.send_buffer) / 4 * 3;
  if (bytes > 0 && !finishing_ && (roomy || out_.empty())) {
    starved_ = false;
    user_->writable();
  }
  if (!is_gone()) finish_if_both_have();
}

void Connection::take_payload(const TcpHeader& header, ByteView payload) {
  const int32_t ahead = sequence_distance(next_, header.sequence);
  bool finishes = header.has(kFin);
  if (payload.empty() && !finishes) return;
  acknowledge();
  // What comes too early is not kept: on this link nothing is late. The acknowledgement brings it again.
  if (ahead > 0 || guest_finished_) return;
  payload = payload.subspan(std::min(payload.size(), static_cast<size_t>(-static_cast<int64_t>(ahead))));
  const auto allowed = static_cast<size_t>(std::max(0, sequence_distance(next_, edge_)));
  if (payload.size() > allowed) {
    payload = payload.first(allowed);
    finishes = false;
  }
  next_ += static_cast<uint32_t>(payload.size());
  if (finishes) {
    ++next_;
    edge_ = later_sequence(edge_, next_);
    guest_finished_ = true;
  }
  if (arrived_.empty()) owner_.arrived(*this);
  arrived_.push_back(payload);
  arrived_size_ += payload.size();
}

void Connection::deliver() {
  if (is_gone() || arrived_.empty()) return;
  size_t taken = kept_.empty() ? offer_arrived() : 0;
  if (is_gone()) return;
  for (const ByteView piece : arrived_) {
    const size_t here = std::min(taken, piece.size());
    kept_.append(piece.subspan(here));
    taken -= here;
  }
  arrived_.clear();
  arrived_size_ = 0;
  if (std::exchange(again_, false)) offer_kept();
  if (!is_gone()) tell_end();
}

// How much of it the user took.
size_t Connection::offer_arrived() {
  delivering_ = true;
  std::optional<size_t> taken = arrived_.size() > 1 ? user_->received_pieces(arrived_) : std::nullopt;
  if (!taken) {
    taken = 0;
    for (const ByteView piece : arrived_) {
      // One that only brought a FIN.
      if (piece.empty()) continue;
      const size_t here = std::min(user_->received(piece), piece.size());
      *taken += here;
      if (is_gone() || here < piece.size()) break;
    }
  }
  delivering_ = false;
  return std::min(*taken, arrived_size_);
}

void Connection::offer_kept() {
  while (!kept_.empty()) {
    const ByteView bytes = kept_.front();
    delivering_ = true;
    const size_t taken = std::min(user_->received(bytes), bytes.size());
    delivering_ = false;
    if (is_gone()) return;
    kept_.drop(taken);
    if (taken < bytes.size() && !std::exchange(again_, false)) return;
  }
  again_ = false;
}

void Connection::tell_end() {
  if (!guest_finished_ || end_told_ || !kept_.empty() || !arrived_.empty() || delivering_) return;
  end_told_ = true;
  user_->received_end();
  if (!is_gone()) finish_if_both_have();
}

void Connection::resume() {
  if (is_gone()) return;
  if (delivering_) {
    again_ = true;
    return;
  }
  offer_kept();
  if (is_gone()) return;
  // RFC 9293, 3.8.6.2.2: told at once when much is gained, or when the guest has little left to send into.
  const auto quarter = static_cast<int32_t>(shared_.share(shared_.limits.receive_buffer) / 4);
  const int32_t gain = sequence_distance(edge_, wanted_edge());
  if (!guest_finished_ && gain > 0 && (gain >= quarter || sequence_distance(next_, edge_) < quarter)) acknowledge();
  tell_end();
}

void Connection::acknowledge() {
  acknowledge_due_ = true;
  owner_.changed(*this);
}

// The header of a segment that tells all there is to tell.
TcpHeader Connection::speak() {
  edge_ = wanted_edge();
  return header(kAck);
}

// The edge that the next segment shows: never back, and forward only by what is worth sending into.
uint32_t Connection::wanted_edge() const {
  const size_t buffer = shared_.share(shared_.limits.receive_buffer);
  const size_t room = buffer - std::min(kept_.size() + arrived_size_, buffer);
  const size_t most = size_t{0xffff} << own_scale_;
  const auto unit = uint32_t{1} << own_scale_;
  const uint32_t edge = next_ + static_cast<uint32_t>(std::min(room, most)) / unit * unit;
  const int32_t gain = sequence_distance(edge_, edge);
  const auto worth = static_cast<int32_t>(std::min<size_t>(buffer / 4, size_t{mss_} * 2));
  return gain >= worth ? edge : edge_;
}

}  // namespace msb::net
