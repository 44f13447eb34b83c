// A guest's segments and a user's calls, in any order, at any time: the terminator neither breaks nor gives anybody
// bytes that were not sent. Each step is four bytes: what, two parameters, and how much.
#include <algorithm>
#include <cstdlib>

#include "net/tcp/testing/tcp_script.h"

using namespace msb;
using namespace msb::net;

namespace {

uint8_t byte_at(uint64_t place) {
  return static_cast<uint8_t>(place * 31 >> 3);
}
std::string bytes_at(uint64_t place, size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(byte_at(place + i));
  return text;
}

void check(uint64_t place, ByteView bytes) {
  for (size_t i = 0; i < bytes.size(); ++i)
    if (bytes[i] != byte_at(place + i)) std::abort();
}

class Fuzzer {
 public:
  Fuzzer() {
    script_.on_payload = [](uint32_t sequence, ByteView payload) { check(uint64_t{sequence} - 1, payload); };
  }
  void step(uint8_t what, uint8_t a, uint8_t b, uint8_t amount) {
    act(what, a, b, amount);
    // Nobody reads them.
    script_.sent();
    script_.told();
    script_.requests().clear();
  }

 private:
  void act(uint8_t what, uint8_t a, uint8_t b, uint8_t amount) {
    switch (what % 11) {
      case 0:
        return begin();
      case 1:  // in order, as a guest that means well
        script_.guest(kAck, place_, acknowledged_, {.payload = bytes_at(place_, amount), .window = b});
        place_ += amount;
        return;
      case 2:  // anything
        script_.guest(a, place_ + b - 128, acknowledged_ + amount - 64,
                      {.payload = bytes_at(place_ + b - 128, amount), .window = static_cast<uint16_t>(b * 16)});
        return;
      case 3:
        acknowledged_ += a;
        return script_.guest(kAck, place_, acknowledged_, {.window = b});
      case 4:
        return script_.pass(std::chrono::milliseconds(1u << (a % 24)));
      case 5:
        // Two segments in one batch.
        script_.without_settling(kAck, place_, acknowledged_, {.payload = bytes_at(place_, amount), .window = b});
        script_.without_settling(a, place_ + amount, acknowledged_,
                                 {.payload = bytes_at(place_ + amount, 9), .window = b});
        return script_.settle();
      case 6:
        script_.room = a % 4 == 0 ? SIZE_MAX : b % 4;
        return script_.settle();
      default:
        if (alive()) use(what % 11, amount);
    }
  }
  bool alive() { return connection_ && script_.engine().connections() > 0; }
  void begin() {
    if (alive()) return;
    script_.guest(kSyn, place_ - 1, 0);
    connection_ = script_.requests().empty() ? nullptr : script_.accept();
    if (!connection_) return;
    acknowledged_ = 1;
    written_ = 0;
    taken_ = place_;
    script_.user().takes_pieces = place_ % 2;
    script_.user().in_received = [this](ByteView bytes) {
      check(taken_, bytes);
      taken_ += static_cast<uint32_t>(std::min(script_.user().appetite, bytes.size()));
    };
  }
  void use(int what, uint8_t amount) {
    if (what == 7) {
      const MutableByteView room = connection_->send_room();
      const size_t count = std::min<size_t>(room.size(), amount * 16);
      for (size_t i = 0; i < count; ++i) room[i] = byte_at(written_ + i);
      written_ += count;
      connection_->commit(count);
    } else if (what == 8) {
      script_.user().appetite = amount < 128 ? amount : SIZE_MAX;
      connection_->resume();
    } else if (what == 9) {
      connection_->finish();
    } else if (amount == 255) {
      connection_->reset();
    }
  }

  testing::TcpScript script_{{.connections = 4, .pending = 4, .send_buffer = 4096, .receive_buffer = 4096}};
  TcpConnection* connection_ = nullptr;
  uint32_t place_ = 1;
  uint32_t acknowledged_ = 1;
  uint64_t written_ = 0;
  uint32_t taken_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Fuzzer fuzzer;
  for (size_t i = 0; i + 4 <= size; i += 4) fuzzer.step(data[i], data[i + 1], data[i + 2], data[i + 3]);
  return 0;
}
