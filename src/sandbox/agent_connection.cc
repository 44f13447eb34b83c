#include "sandbox/agent_connection.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

namespace msb {
namespace {

Result<Fd> connect_socket(const std::string& path, const Deadline& deadline) {
  auto slash = path.rfind('/');
  std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  auto folder = open_file(directory, O_PATH | O_DIRECTORY);
  if (!folder) return fail(std::move(folder).error().as(ErrorKind::sandbox_not_running));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string name = cat("/proc/self/fd/", folder->get(), "/", path.substr(slash + 1));
  if (name.size() >= sizeof(address.sun_path))
    return fail(ErrorKind::internal, cat("the socket name ", path, " is too long"));
  std::memcpy(address.sun_path, name.data(), name.size());

  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("create a socket");
  while (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0) {
    if (errno == EINTR) continue;
    if (errno == ENOENT || errno == ECONNREFUSED)
      return fail(Error::from_errno(errno, "connect to the sandbox").as(ErrorKind::sandbox_not_running));
    if (errno != EAGAIN) return fail_errno(cat("connect to ", path));
    // The listener's queue is full: a Unix socket does not say when there is room again, but a blocking
    // connect waits for it, bounded by the send timeout.
    MSB_CHECK(set_blocking(socket.get(), Blocking::yes));
    auto left = deadline ? std::chrono::duration_cast<std::chrono::microseconds>(*deadline - Clock::now())
                         : std::chrono::microseconds(0);
    if (deadline && left.count() <= 0) return fail(ErrorKind::runtime, "the sandbox does not accept connections");
    timeval timeout{.tv_sec = static_cast<time_t>(left.count() / 1'000'000),
                    .tv_usec = static_cast<suseconds_t>(left.count() % 1'000'000)};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  }
  return socket;
}

}  // namespace

Result<AgentConnection> AgentConnection::connect(const std::string& path, const Deadline& deadline) {
  MSB_TRY(Fd socket, connect_socket(path, deadline));
  return greet(std::move(socket), deadline);
}

Result<AgentConnection> AgentConnection::greet(Fd socket, const Deadline& deadline) {
  AgentConnection connection(std::move(socket));
  // Exactly the eight bytes of the id range, so that FrameReader starts at a frame.
  uint8_t range[8];
  size_t have = 0;
  while (have < sizeof(range)) {
    ssize_t count = ::recv(connection.fd(), range + have, sizeof(range) - have, MSG_DONTWAIT);
    if (count > 0) {
      have += static_cast<size_t>(count);
      continue;
    }
    if (count == 0 || errno == ECONNRESET)
      return fail(ErrorKind::sandbox_not_running, "the sandbox closed the connection; it is shutting down");
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return fail_errno("read from the sandbox");
    MSB_TRY(bool ready, wait_for(connection.fd(), POLLIN, deadline));
    if (!ready) return fail(ErrorKind::runtime, "the sandbox did not answer in time");
  }
  connection.first_id_ = load_be<uint32_t>(range);
  connection.end_id_ = load_be<uint32_t>(range + 4);
  if (connection.first_id_ == 0 || connection.first_id_ >= connection.end_id_)
    return fail(ErrorKind::protocol, "the sandbox offered no session ids");
  MSB_TRY(wire::Frame frame, connection.receive(deadline));
  MSB_TRY(wire::Envelope envelope, wire::open_envelope(frame.body));
  if (envelope.type != wire::Ready::kType)
    return fail(ErrorKind::protocol, cat("the sandbox greeted with '", envelope.type, "' instead of core.ready"));
  MSB_TRY(connection.ready_, wire::decode<wire::Ready>(envelope.payload));
  return connection;
}

Result<size_t> AgentConnection::try_write(ByteView bytes) {
  while (true) {
    ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) return static_cast<size_t>(count);
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return 0;
    if (errno == EPIPE || errno == ECONNRESET)
      return fail(Error(ErrorKind::runtime, "the sandbox went away").hint("see `msb logs --source system`"));
    return fail_errno("write to the sandbox");
  }
}

Result<> AgentConnection::write(ByteView bytes, const Deadline& deadline) {
  while (!bytes.empty()) {
    MSB_TRY(size_t count, try_write(bytes));
    bytes = bytes.subspan(count);
    if (count > 0) continue;
    MSB_TRY(bool ready, wait_for(socket_.get(), POLLOUT, deadline));
    if (!ready) return fail(ErrorKind::runtime, "the sandbox does not take messages");
  }
  return {};
}

Result<AgentConnection::Fill> AgentConnection::fill() {
  MutableByteView room = frames_.prepare();
  while (true) {
    ssize_t count = ::recv(socket_.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (count > 0) {
      frames_.commit(static_cast<size_t>(count));
      return Fill::data;
    }
    if (count == 0 || errno == ECONNRESET) return Fill::end;
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Fill::nothing;
    return fail_errno("read from the sandbox");
  }
}

Result<wire::Frame> AgentConnection::receive(const Deadline& deadline) {
  while (true) {
    MSB_TRY(auto frame, next());
    if (frame) return *frame;
    MSB_TRY(Fill filled, fill());
    if (filled == Fill::data) continue;
    if (filled == Fill::end)
      return fail(Error(ErrorKind::runtime, "the sandbox went away").hint("see `msb logs --source system`"));
    MSB_TRY(bool ready, wait_for(socket_.get(), POLLIN, deadline));
    if (!ready) return fail(ErrorKind::runtime, "the sandbox did not answer in time");
  }
}

}  // namespace msb
