// TcpScript: a TcpTerminator run by hand, as packetdrill runs a kernel: segments of a guest go in, segments to the
// guest come out as text, and the clock moves when it is told to. Sequence numbers are relative: each side's SYN is 0.
//
//   TcpScript script;
//   script.guest(kSyn, 0, 0);
//   script.accept();
//   EXPECT_EQ(script.sent(), "SA 0:1 ack 1 win 65535 mss 1460 scale 3");
#pragma once

#include <string>

#include "net/tcp/terminator.h"

namespace msb::net::testing {

// Into the send buffer; what did not fit comes back.
std::string put(TcpConnection& connection, std::string_view text);

// What a user was told, as text: "received abc", "end", "writable", "established", "ended closed".
class RecordingUser final : public TcpUser {
 public:
  explicit RecordingUser(std::vector<std::string>& events) : events_(events) {}
  void established() override { events_.push_back("established"); }
  size_t received(ByteView bytes) override;
  std::optional<size_t> received_pieces(std::span<const ByteView> pieces) override;
  void received_end() override { events_.push_back("end"); }
  void writable() override { events_.push_back("writable"); }
  void ended(TcpEnd why) override;

  size_t appetite = SIZE_MAX;  // of received()
  bool takes_pieces = false;
  std::function<void(ByteView)> in_received = [](ByteView) {};  // runs inside of it

 private:
  std::vector<std::string>& events_;
};

struct ScriptSegment {
  std::string payload = {};
  uint16_t window = 0xffff;
  std::optional<uint16_t> mss = 1460;
  std::optional<uint8_t> scale = 7;
  uint16_t port = 1000;  // of the guest
};

class TcpScript final : private TcpLink {
 public:
  // The guest's first sequence number; near the end, it wraps.
  explicit TcpScript(const TcpEngine::Limits& limits = {}, uint32_t guest_start = 0xfffffff0);
  ~TcpScript() override = default;

  // From the guest; options only of SYNs. The first overload is a batch of its own.
  void guest(uint8_t flags, uint32_t sequence, uint32_t acknowledgement, const ScriptSegment& segment = {});
  void without_settling(uint8_t flags, uint32_t sequence, uint32_t acknowledgement, const ScriptSegment& segment = {});
  void settle() {
    engine_->settle();
    batch_.clear();
  }

  // Completes the oldest request.
  TcpConnection* accept();
  // SYN, accept, ACK; forgets what was sent and told so far.
  TcpConnection* establish(uint16_t window = 0xffff);
  TcpConnection* connect();
  std::deque<TcpRequest>& requests() { return requests_; }

  void pass(Clock::duration time);  // in one step
  // The segments sent since the last call, each a line.
  std::string sent();
  // What users were told since the last call, joined by ", ".
  std::string told();
  RecordingUser& user() { return *user_; }  // of the newest connection
  TcpTerminator& engine() { return *engine_; }
  void end_engine() { engine_.reset(); }

  // Sees the payload of each segment sent.
  std::function<void(uint32_t sequence, ByteView payload)> on_payload = [](uint32_t, ByteView) {};
  size_t room = SIZE_MAX;  // segments that the link takes before it is full

 private:
  Clock::time_point now() override { return now_; }
  void wake_at(Clock::time_point when) override { wake_ = std::min(wake_, when); }
  bool send(const TcpEnds& ends, const TcpHeader& header, const std::array<ByteView, 2>& payload,
            uint16_t mss) override;
  void send_once(const TcpEnds& ends, const TcpHeader& header) override { note(ends, header, 0); }
  void send_unreachable(const TcpEnds& ends, uint32_t sequence, Unreachable why) override;
  bool has_guest(Family family) const override { return family == Family::v4; }
  uint16_t mtu() const override { return 1500; }
  void note(const TcpEnds& ends, const TcpHeader& header, size_t size);
  std::unique_ptr<RecordingUser> make_user();

  const uint32_t guest_start_;
  std::unordered_map<uint16_t, uint32_t> own_start_;  // by the guest's port
  Clock::time_point now_{std::chrono::hours(1)};
  Clock::time_point wake_ = Clock::time_point::max();
  std::string sent_;
  std::vector<std::string> events_;
  std::deque<TcpRequest> requests_;
  RecordingUser* user_ = nullptr;
  std::deque<Bytes> batch_;
  std::unique_ptr<TcpTerminator> engine_;
};

}  // namespace msb::net::testing
