#include "vmm/out_queue.h"

#include <sys/socket.h>
#include <sys/uio.h>

namespace msb::vmm {
namespace {

// Small frames share a chunk of this size.
constexpr size_t kChunk = 64 * 1024;

// The count, 0 when the socket is full.
Result<size_t> send_vector(int socket, iovec* parts, size_t count) {
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  while (true) {
    ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return static_cast<size_t>(sent);
    if (errno == EAGAIN) return 0;
    if (errno != EINTR) return fail_errno("write to a socket");
  }
}

}  // namespace

Result<> OutQueue::send(int socket, ByteView bytes) {
  if (empty()) {
    iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
    MSB_TRY(size_t sent, send_vector(socket, &part, 1));
    bytes = bytes.subspan(sent);
  }
  if (!bytes.empty()) keep(bytes);
  return {};
}

void OutQueue::keep(ByteView bytes) {
  if (chunks_.empty() || chunks_.back().size() + bytes.size() > kChunk) {
    chunks_.emplace_back();
    chunks_.back().reserve(std::max(bytes.size(), size_t{4096}));
  }
  chunks_.back().insert(chunks_.back().end(), bytes.begin(), bytes.end());
  pending_ += bytes.size();
}

Result<> OutQueue::flush(int socket) {
  while (!empty()) {
    iovec parts[16];
    size_t count = 0;
    for (auto chunk = chunks_.begin(); chunk != chunks_.end() && count < std::size(parts); ++chunk, ++count) {
      size_t skip = count == 0 ? first_offset_ : 0;
      parts[count] = {chunk->data() + skip, chunk->size() - skip};
    }
    MSB_TRY(size_t sent, send_vector(socket, parts, count));
    if (sent == 0) return {};
    pending_ -= sent;
    while (sent > 0) {
      size_t left = chunks_.front().size() - first_offset_;
      if (sent < left) {
        first_offset_ += sent;
        break;
      }
      sent -= left;
      first_offset_ = 0;
      chunks_.pop_front();
    }
  }
  return {};
}

}  // namespace msb::vmm
