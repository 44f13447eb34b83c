#include "net/flow/tcp_relay.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>

#include "net/flow/host_socket.h"

namespace msb::net {

TcpRelay::TcpRelay(Reactor& reactor, Fd socket, Bytes first)
    : reactor_(reactor), socket_(std::move(socket)), first_(std::move(first)) {}

TcpRelay::~TcpRelay() = default;

void TcpRelay::join(TcpConnection& connection) {
  connection_ = &connection;
  send_first();
  if (connection_ && first_.empty()) connection.resume();
  if (connection_) watch();
}

void TcpRelay::send_first() {
  if (first_.empty()) return;
  const ssize_t sent = ::send(socket_.get(), first_.data(), first_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return give_up();
  if (sent > 0) first_.erase(first_.begin(), first_.begin() + sent);
  blocked_ = !first_.empty();
}

std::optional<size_t> TcpRelay::received_pieces(std::span<const ByteView> pieces) {
  if (!connection_ || !first_.empty() || blocked_) return 0;
  std::array<iovec, 16> vectors;
  msghdr message{};
  message.msg_iov = vectors.data();
  size_t size = 0;
  for (const ByteView piece : pieces.first(std::min(pieces.size(), vectors.size()))) {
    vectors[message.msg_iovlen++] = {const_cast<uint8_t*>(piece.data()), piece.size()};
    size += piece.size();
  }
  const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) {
    // The guest's bytes lead nowhere: it learns of it now, not when it has sent them all.
    give_up();
    return size;
  }
  const size_t taken = sent < 0 ? 0 : static_cast<size_t>(sent);
  if (taken < size) {
    blocked_ = true;
    watch();
  }
  return taken;
}

void TcpRelay::received_end() {
  guest_end_ = true;
  end_writing();
}

void TcpRelay::end_writing() {
  if (guest_end_ && first_.empty()) ::shutdown(socket_.get(), SHUT_WR);
}

void TcpRelay::writable() {
  if (host_end_ || reading_) return;
  reading_ = true;
  watch();
}

void TcpRelay::ended(TcpEnd why) {
  connection_ = nullptr;
  watch_.reset();
  if (why != TcpEnd::closed) abort_socket(std::move(socket_));
}

void TcpRelay::give_up() {
  watch_.reset();
  abort_socket(std::move(socket_));
  TcpConnection* connection = std::exchange(connection_, nullptr);
  if (connection) connection->reset();
}

void TcpRelay::on_socket(uint32_t events) {
  if (blocked_ && (events & ~uint32_t{EPOLLIN})) {
    blocked_ = false;
    send_first();
    if (connection_ && first_.empty()) {
      end_writing();
      connection_->resume();  // may be the connection's end, in received()
    }
    if (!connection_) return;
  }
  if (reading_ && (events & ~uint32_t{EPOLLOUT})) return read_socket();
  watch();
}

void TcpRelay::read_socket() {
  for (int turn = 0; turn < kTurn; ++turn) {
    const MutableByteView room = connection_->send_room();
    if (room.empty()) {
      reading_ = false;  // writable() comes
      break;
    }
    const ssize_t got = ::recv(socket_.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
      connection_->commit(0);  // gives the room back: an idle connection needs none
      break;
    }
    if (got < 0) return give_up();
    if (got == 0) {
      host_end_ = true;
      reading_ = false;
      watch();
      connection_->finish();  // the last thing here: it may be the end of the connection
      return;
    }
    connection_->commit(static_cast<size_t>(got));
    if (static_cast<size_t>(got) < room.size()) break;
  }
  watch();
}

void TcpRelay::watch() {
  const uint32_t events = (reading_ ? EPOLLIN : 0u) | (blocked_ ? EPOLLOUT : 0u);
  if (events == 0) {
    // Not an interest in nothing: a hang-up would be reported all the same, again and again.
    watch_.reset();
    return;
  }
  if (watch_) {
    (void)watch_.set_events(events);
    return;
  }
  auto watched = reactor_.watch(socket_.get(), events, [this](uint32_t ready) { on_socket(ready); });
  if (!watched) return give_up();
  watch_ = std::move(*watched);
}

}  // namespace msb::net
