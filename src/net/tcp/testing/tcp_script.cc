#include "net/tcp/testing/tcp_script.h"

#include <algorithm>

namespace msb::net::testing {
namespace {

const Ip kGuest = Ip::v4(172, 16, 0, 6);
const Ip kRemote = Ip::v4(198, 51, 100, 7);
constexpr uint16_t kPort = 80;

std::string_view name(TcpEnd why) {
  switch (why) {
    case TcpEnd::closed:
      return "closed";
    case TcpEnd::reset:
      return "reset";
    case TcpEnd::timed_out:
      return "timed out";
    case TcpEnd::refused:
      return "refused";
    case TcpEnd::stopped:
      return "stopped";
  }
  return "?";
}

}  // namespace

std::string put(TcpConnection& connection, std::string_view text) {
  const MutableByteView room = connection.send_room();
  const size_t count = std::min(room.size(), text.size());
  std::ranges::copy(text.substr(0, count), room.begin());
  connection.commit(count);
  return std::string(text.substr(count));
}

size_t RecordingUser::received(ByteView bytes) {
  const size_t taken = std::min(appetite, bytes.size());
  events_.push_back(cat("received ", bytes.size() > 32 ? cat(bytes.size()) : std::string(as_text(bytes)),
                        taken < bytes.size() ? cat(" took ", taken) : ""));
  in_received(bytes);
  return taken;
}

std::optional<size_t> RecordingUser::received_pieces(std::span<const ByteView> pieces) {
  if (!takes_pieces) return std::nullopt;
  Bytes all;
  for (const ByteView piece : pieces) all.insert(all.end(), piece.begin(), piece.end());
  return received(all);
}

void RecordingUser::ended(TcpEnd why) {
  events_.push_back(cat("ended ", std::string(name(why))));
}

TcpScript::TcpScript(const TcpEngine::Limits& limits, uint32_t guest_start) : guest_start_(guest_start) {
  TcpLink& link = *this;
  engine_ = std::make_unique<TcpTerminator>(
      link, [this](TcpRequest request) { requests_.push_back(std::move(request)); }, limits);
}

void TcpScript::guest(uint8_t flags, uint32_t sequence, uint32_t acknowledgement, const ScriptSegment& segment) {
  without_settling(flags, sequence, acknowledgement, segment);
  settle();
}

void TcpScript::without_settling(uint8_t flags, uint32_t sequence, uint32_t acknowledgement,
                                 const ScriptSegment& segment) {
  TcpHeader header{.source_port = segment.port,
                   .destination_port = kPort,
                   .sequence = guest_start_ + sequence,
                   .acknowledgement = own_start_[segment.port] + acknowledgement,
                   .flags = flags,
                   .window = segment.window};
  if (flags & kSyn) {
    header.mss = segment.mss;
    header.window_scale = segment.scale;
  }
  Bytes& bytes = batch_.emplace_back(header.size());
  write_tcp(kGuest, kRemote, header, segment.payload.size(), bytes.data());
  bytes.insert(bytes.end(), segment.payload.begin(), segment.payload.end());
  engine_->packet({{.source = kGuest, .destination = kRemote, .protocol = kTcp}, bytes});
}

std::unique_ptr<RecordingUser> TcpScript::make_user() {
  auto user = std::make_unique<RecordingUser>(events_);
  user_ = user.get();
  return user;
}

TcpConnection* TcpScript::accept() {
  TcpRequest request = std::move(requests_.front());
  requests_.pop_front();
  return request.accept(make_user());
}

TcpConnection* TcpScript::establish(uint16_t window) {
  guest(kSyn, 0, 0, {.window = window});
  TcpConnection* connection = accept();
  guest(kAck, 1, 1, {.window = static_cast<uint16_t>(window >> 7)});
  sent();
  told();
  return connection;
}

TcpConnection* TcpScript::connect() {
  return engine_->connect({kRemote, kPort}, {kGuest, 1000}, make_user()).value();
}

void TcpScript::pass(Clock::duration time) {
  now_ += time;
  if (wake_ > now_) return;
  wake_ = Clock::time_point::max();
  engine_->expire();
}

std::string TcpScript::sent() {
  return std::exchange(sent_, {});
}

std::string TcpScript::told() {
  std::string text;
  for (const auto& event : std::exchange(events_, {})) text += (text.empty() ? "" : ", ") + event;
  return text;
}

bool TcpScript::send(const TcpEnds& ends, const TcpHeader& header, const std::array<ByteView, 2>& payload, uint16_t) {
  if (room == 0) return false;
  --room;
  note(ends, header, payload[0].size() + payload[1].size());
  uint32_t sequence = header.sequence - own_start_[ends.guest.port];
  for (const ByteView piece : payload) {
    on_payload(sequence, piece);
    sequence += static_cast<uint32_t>(piece.size());
  }
  return true;
}

void TcpScript::send_unreachable(const TcpEnds&, uint32_t sequence, Unreachable why) {
  sent_ += cat(sent_.empty() ? "" : "\n", "unreachable ", static_cast<int>(why), " of ", sequence - guest_start_);
}

void TcpScript::note(const TcpEnds& ends, const TcpHeader& header, size_t size) {
  if (header.has(kSyn)) own_start_[ends.guest.port] = header.sequence;
  const uint32_t sequence = header.sequence - own_start_[ends.guest.port];
  const size_t length = size + header.has(kSyn) + header.has(kFin);
  std::string line;
  for (const auto& [flag, letter] : {std::pair(kSyn, 'S'), {kFin, 'F'}, {kRst, 'R'}, {kPsh, 'P'}, {kAck, 'A'}})
    if (header.has(flag)) line += letter;
  line += cat(" ", sequence, ":", sequence + length);
  if (header.has(kAck)) line += cat(" ack ", header.acknowledgement - guest_start_);
  if (!header.has(kRst)) line += cat(" win ", header.window);
  if (header.mss) line += cat(" mss ", *header.mss);
  if (header.window_scale) line += cat(" scale ", int{*header.window_scale});
  if (ends.guest.port != 1000) line += cat(" to ", ends.guest.port);
  sent_ += (sent_.empty() ? "" : "\n") + line;
}

}  // namespace msb::net::testing
