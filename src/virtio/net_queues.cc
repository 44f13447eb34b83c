#include "virtio/net_queues.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <vector>

namespace msb::virtio {
namespace {

// Frames in one direction before others have their turn.
constexpr int kTurn = 64;
// Buffers of one frame. Linux gives receive buffers of 1.5 KiB and more, and sends at most 18 pieces.
constexpr size_t kVectors = 64;
constexpr size_t kNumBuffers = 10;  // offset in the header
constexpr size_t kWhole = kNetHeader + kMaxFrame;

bool would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR || error == ENOBUFS;
}

}  // namespace

Result<bool> NetReceiver::gather_room() {
  while (room_ < kWhole && empty_.size() < kVectors) {
    MSB_TRY(auto chain, active_.queue.pop());
    if (!chain) break;
    if (chain->writable().size() != 1 || (empty_.empty() && chain->writable_bytes() < kNetHeader))
      return fail(ErrorKind::protocol, "a receive buffer that is not one piece with room for a header");
    room_ += chain->writable_bytes();
    empty_.push_back(std::move(*chain));
  }
  return room_ >= kWhole || empty_.size() == kVectors;
}

// With few buffers left: whether the next frame needs no more.
Result<bool> NetReceiver::frame_fits() const {
  char none;
  const ssize_t length = ::recv(cable_, &none, sizeof(none), MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
  return length <= 0 || static_cast<uint64_t>(length) <= room_;
}

Result<NetPause> NetReceiver::move() {
  for (int turn = 0; turn < kTurn; ++turn) {
    MSB_TRY(bool plenty, gather_room());
    if (!plenty) {
      MSB_TRY(bool fits, frame_fits());
      if (!fits || empty_.empty()) {
        MSB_TRY(bool more, active_.queue.enable_kicks());
        if (more) continue;
        return NetPause::blocked;
      }
    }
    std::array<iovec, kVectors> vectors;
    size_t count = 0;
    for (const Chain& chain : empty_) vectors[count++] = {chain.writable()[0].data(), chain.writable()[0].size()};
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    const ssize_t got = ::recvmsg(cable_, &message, MSG_DONTWAIT);
    if (got < 0 && would_block(errno)) return NetPause::idle;
    if (got <= 0) return NetPause::unplugged;
    // Too long for anything the guest can take, or no frame: not from our stack.
    if ((message.msg_flags & MSG_TRUNC) || static_cast<size_t>(got) < kNetHeader + kEthernetHeader) continue;
    MSB_CHECK(give(static_cast<size_t>(got)));
  }
  return NetPause::turn;
}

// The first `bytes` of the gathered room hold a frame.
Result<> NetReceiver::give(size_t bytes) {
  uint16_t buffers = 0;
  for (size_t left = bytes; left > 0; ++buffers) left -= std::min<uint64_t>(left, empty_[buffers].writable_bytes());
  std::array<uint8_t, 2> raw;
  store_le<uint16_t>(raw.data(), buffers);
  empty_.front().write(kNumBuffers, raw);
  // 5.1.6.4.1: the driver must find all buffers of a frame at once.
  for (size_t left = bytes; left > 0;) {
    const uint64_t room = empty_.front().writable_bytes();
    const auto part = static_cast<uint32_t>(std::min<uint64_t>(left, room));
    active_.queue.stage(std::move(empty_.front()), part);
    empty_.pop_front();
    room_ -= room;
    left -= part;
  }
  active_.queue.publish();
  if (!empty_.empty() && empty_.front().writable_bytes() < kNetHeader)
    return fail(ErrorKind::protocol, "a receive buffer without room for a header");
  ++frames_;
  return {};
}

Result<NetPause> NetSender::move() {
  active_.queue.disable_kicks();
  for (int turn = 0; turn < kTurn; ++turn) {
    if (!unsent_) {
      MSB_TRY(unsent_, active_.queue.pop());
      if (!unsent_) {
        MSB_TRY(bool more, active_.queue.enable_kicks());
        if (more) continue;
        return NetPause::idle;
      }
    }
    if (!send(*unsent_)) return NetPause::blocked;
    MSB_CHECK(active_.queue.complete(std::move(*unsent_), 0));
    unsent_.reset();
  }
  return NetPause::turn;
}

// What is no frame is dropped, as a card drops it, and so is what nobody will read.
bool NetSender::send(const Chain& chain) {
  const auto pieces = chain.readable();
  if (chain.readable_bytes() < kNetHeader + kEthernetHeader || chain.readable_bytes() > kWhole ||
      pieces.size() > kVectors)
    return true;
  std::array<iovec, kVectors> vectors;
  for (size_t i = 0; i < pieces.size(); ++i) vectors[i] = {pieces[i].data(), pieces[i].size()};
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = pieces.size();
  if (::sendmsg(cable_, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return !would_block(errno);
  ++frames_;
  return true;
}

}  // namespace msb::virtio
