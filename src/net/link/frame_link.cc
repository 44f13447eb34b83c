#include "net/link/frame_link.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace msb::net {
namespace {

constexpr size_t kMostKept = size_t{512} << 10;
// What a Unix socket holds of frames in flight, about a millisecond's; the kernel allows no more than
// net.core.wmem_max.
constexpr int kSocketBuffer = 1 << 20;

size_t size_of(std::span<const iovec> pieces) {
  size_t size = 0;
  for (const auto& piece : pieces) size += piece.iov_len;
  return size;
}

}  // namespace

FrameLink::FrameLink(Fd fd, FrameUser& user)
    : fd_(std::move(fd)), user_(user), buffers_(std::make_unique_for_overwrite<uint8_t[]>(kLargestFrame * kBatch)) {}

Result<std::unique_ptr<FrameLink>> FrameLink::create(Reactor& reactor, Fd fd, FrameUser& user) {
  MSB_CHECK(set_blocking(fd.get(), Blocking::no));
  std::unique_ptr<FrameLink> link(new FrameLink(std::move(fd), user));
  const int raw = link->fd_.get();
  link->is_socket_ = ::setsockopt(raw, SOL_SOCKET, SO_SNDBUF, &kSocketBuffer, sizeof(kSocketBuffer)) == 0;
  MSB_TRY(link->watch_, reactor.watch(raw, EPOLLIN, [link = link.get()](uint32_t events) { link->on_events(events); }));
  return link;
}

void FrameLink::on_events(uint32_t events) {
  if (events & EPOLLOUT && full_) {
    full_ = false;
    send_kept();
    watch_for_changes();
    if (!full_ && !paused_) user_.writable();
  }
  // A hang-up is reported by the read, even when nothing is read otherwise.
  const bool gone = events & (EPOLLHUP | EPOLLERR);
  if (!gone && (!(events & EPOLLIN) || !reading_)) return;
  const bool alive = read_batch();
  const int error = errno;
  user_.batch_ended();
  if (alive) return watch_for_changes();
  watch_.reset();
  user_.link_ended(error ? Error::from_errno(error, "read from the network device")
                         : Error(ErrorKind::io, "the network device has been closed"));
}

void FrameLink::watch_for_changes() {
  if (watch_) (void)watch_.set_events((reading_ ? uint32_t{EPOLLIN} : 0) | (full_ ? uint32_t{EPOLLOUT} : 0));
}

bool FrameLink::read_batch() {
  next_ = 0;
  const ssize_t count = read_frames();
  count_ = static_cast<size_t>(std::max<ssize_t>(count, 0));
  // A message of no bytes is the end of the stream.
  const bool ended = count > 0 && sizes_[count_ - 1] == 0;
  const int error = ended ? 0 : errno;
  take_frames();
  errno = error;
  return count >= 0 && !ended;
}

// How many; as many as there are, or the link has ended after them with an empty one. -1: errno.
ssize_t FrameLink::read_frames() {
  std::array<iovec, kBatch> pieces;
  std::array<mmsghdr, kBatch> messages{};
  for (size_t i = 0; i < kBatch; ++i) {
    pieces[i] = {buffers_.get() + i * kLargestFrame, kLargestFrame};
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  size_t count = 0;
  if (is_socket_) {
    const int read = ::recvmmsg(fd_.get(), messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (read < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    for (; count < static_cast<size_t>(read); ++count) {
      sizes_[count] = messages[count].msg_len;
      if (sizes_[count] == 0) return static_cast<ssize_t>(count) + 1;
    }
    return read;
  }
  while (count < kBatch) {
    const ssize_t size = ::readv(fd_.get(), &pieces[count], 1);
    if (size <= 0)
      return count > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR)) ? static_cast<ssize_t>(count) : -1;
    sizes_[count++] = static_cast<size_t>(size);
  }
  return static_cast<ssize_t>(count);
}

void FrameLink::take_frames() {
  for (; next_ < count_; ++next_) {
    const ByteView frame(buffers_.get() + next_ * kLargestFrame, sizes_[next_]);
    if (frame.empty()) continue;
    reading_ = user_.admit(frame.size());
    if (!reading_) return;
    ++received_frames_;
    received_bytes_ += frame.size();
    user_.frame(frame);
  }
  reading_ = true;
}

void FrameLink::resume_reading() {
  if (reading_) return;
  take_frames();
  user_.batch_ended();
  watch_for_changes();
}

void FrameLink::resume_sending() {
  if (!std::exchange(paused_, false)) return;
  send_kept();
  if (!full_ && !paused_) user_.writable();
}

FrameLink::Attempt FrameLink::attempt(std::span<const iovec> pieces, size_t size) {
  if (full_ || paused_) return Attempt::full;
  if (!admitted_ && !user_.admit_sending(size)) return paused_ = true, Attempt::full;
  admitted_ = false;
  ssize_t count;
  do {
    if (is_socket_) {
      msghdr message{};
      message.msg_iov = const_cast<iovec*>(pieces.data());
      message.msg_iovlen = pieces.size();
      count = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    } else {
      count = ::writev(fd_.get(), pieces.data(), static_cast<int>(pieces.size()));
    }
  } while (count < 0 && errno == EINTR);
  if (count < 0 && errno == EAGAIN) {
    full_ = admitted_ = true;
    watch_for_changes();
    return Attempt::full;
  }
  // Any other failure loses the frame, as a wire would; that the link has ended is told by reading.
  if (count >= 0) ++sent_frames_, sent_bytes_ += size;
  return Attempt::sent;
}

bool FrameLink::try_send(std::span<const iovec> pieces) {
  return kept_.empty() && attempt(pieces, size_of(pieces)) == Attempt::sent;
}

bool FrameLink::send_or_keep(std::span<const iovec> pieces) {
  if (try_send(pieces)) return true;
  const size_t size = size_of(pieces);
  if (kept_bytes_ + size > kMostKept) return false;
  Bytes frame;
  frame.reserve(size);
  for (const auto& piece : pieces) {
    const auto* at = static_cast<const uint8_t*>(piece.iov_base);
    frame.insert(frame.end(), at, at + piece.iov_len);
  }
  kept_bytes_ += size;
  kept_.push_back(std::move(frame));
  return true;
}

void FrameLink::send_kept() {
  while (!kept_.empty()) {
    Bytes& frame = kept_.front();
    const iovec piece{frame.data(), frame.size()};
    if (attempt({&piece, 1}, frame.size()) == Attempt::full) return;
    kept_bytes_ -= frame.size();
    kept_.pop_front();
  }
}

}  // namespace msb::net
