// What is said to the guest.
#include <algorithm>

#include "net/tcp/connection.h"
#include "net/tcp/sequence.h"

namespace msb::net {
namespace {
// Less is not worth a frame of its own while the guest still has something to acknowledge.
constexpr uint32_t kWorthSending = 32 << 10;
}  // namespace

Connection::Step Connection::transmit() {
  if (is_gone()) return Step::idle;
  if (state_ != State::open) return transmit_syn();
  // RFC 9293, 3.8.6.1 and 3.8.4: something that is not in the window asks what the window is.
  if (probe_due_) {
    TcpHeader probe = speak();
    probe.sequence = una_ - 1;
    if (!shared_.link.send(ends_, probe, {}, mss_)) return Step::full;
    probe_due_ = false;
    return Step::sent;
  }
  const uint32_t length = sendable();
  const uint32_t in_flight = nxt_ - una_;
  const bool finishes = finishing_ && !finish_acknowledged_ && in_flight + length == out_.size();
  if (length == 0 && !finishes) return transmit_bare();
  const auto payload = length > 0 ? out_.slice(in_flight, length) : std::array<ByteView, 2>{};
  const auto sent = static_cast<uint32_t>(payload[0].size() + payload[1].size());
  const bool all = in_flight + sent == out_.size();
  TcpHeader header = speak();
  header.sequence = nxt_;
  if (all) header.flags |= kPsh;
  if (all && finishes) header.flags |= kFin;
  return put(header, payload, sent + (header.has(kFin) ? 1 : 0));
}

Connection::Step Connection::transmit_syn() {
  if (!syn_due_) return Step::idle;
  TcpHeader syn = header(state_ == State::syn_sent ? kSyn : kSyn | kAck);
  const size_t headers = (ends_.guest.ip.is_v4() ? 20 : 40) + 20;
  syn.sequence = una_;
  syn.window = static_cast<uint16_t>(std::min<size_t>(shared_.limits.receive_buffer, 0xffff));
  syn.mss = static_cast<uint16_t>(shared_.link.mtu() - headers);
  if (scaling_) syn.window_scale = own_scale_;
  if (state_ == State::syn_sent) syn.acknowledgement = 0;
  nxt_ = una_;
  const Step step = put(syn, {}, 1);
  if (step == Step::sent) syn_due_ = false;
  return step;
}

// An acknowledgement, if one is due.
Connection::Step Connection::transmit_bare() {
  if (!acknowledge_due_) return Step::idle;
  if (!shared_.link.send(ends_, speak(), {}, mss_)) return Step::full;
  acknowledge_due_ = false;
  return Step::sent;
}

// How many bytes from nxt on are to be sent now.
uint32_t Connection::sendable() {
  const uint32_t in_flight = nxt_ - una_;
  if (in_flight >= out_.size()) return 0;
  if (recovering_ && in_flight > 0) return 0;
  const auto unsent = static_cast<uint32_t>(out_.size()) - in_flight;
  const uint32_t usable = window_ > in_flight ? window_ - in_flight : 0;
  const auto most =
      shared_.link.cuts_segments() ? static_cast<uint32_t>(Chunk::kSize) : std::min<uint32_t>(Chunk::kSize, mss_);
  const uint32_t length = std::min({unsent, usable, most});
  if (length == unsent || length == most) return length;
  // The window is too small. While something is in flight its acknowledgement will bring a better one; otherwise a
  // sensible part of the window is used (RFC 9293, 3.8.6.2.1), or the guest is asked after a while.
  if (in_flight > 0) return length >= std::min(largest_window_ / 2, kWorthSending) ? length : 0;
  if (length > 0 && (length >= mss_ || length >= largest_window_ / 2)) return length;
  if (retransmit_at_ == kNever) {
    retransmit_at_ = shared_.link.now() + round_trip_.timeout();
    schedule();
  }
  return 0;
}

// A segment that takes `length` of the sequence space.
Connection::Step Connection::put(const TcpHeader& header, const std::array<ByteView, 2>& payload, uint32_t length) {
  if (!shared_.link.send(ends_, header, payload, mss_)) return Step::full;
  acknowledge_due_ = false;
  const auto now = shared_.link.now();
  if (una_ == max_) unanswered_since_ = now;
  if (finishing_ && header.has(kFin) && nxt_ + length != max_) finished_first_ = !guest_finished_;
  if (!timing_ && nxt_ == max_) {
    timing_ = true;
    timed_ = nxt_ + length;
    timed_at_ = now;
  }
  if (retransmit_at_ == kNever || una_ == max_) retransmit_at_ = now + round_trip_.timeout();
  nxt_ += length;
  max_ = later_sequence(max_, nxt_);
  schedule();
  return Step::sent;
}

// Everything from una on again. What was in flight may have been dropped because it was too much at once: one segment
// first.
void Connection::go_back() {
  nxt_ = una_;
  recovering_ = true;
  timing_ = false;
  if (state_ != State::open) syn_due_ = true;
}

}  // namespace msb::net
