#include "image/testing/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <vector>

namespace msb::image::testing {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

Seen parse_request(const std::string& head) {
  Seen out;
  size_t line_end = head.find("\r\n");
  const std::string line = head.substr(0, line_end);
  const size_t first = line.find(' ');
  const size_t second = line.find(' ', first + 1);
  out.method = line.substr(0, first);
  out.target = line.substr(first + 1, second - first - 1);
  while (line_end + 2 < head.size()) {
    const size_t start = line_end + 2;
    line_end = head.find("\r\n", start);
    const std::string header = head.substr(start, line_end - start);
    const size_t colon = header.find(": ");
    if (colon != std::string::npos) out.headers[lower(header.substr(0, colon))] = header.substr(colon + 2);
  }
  out.host = "http://" + out.headers["host"];
  return out;
}

}  // namespace

HttpServer::HttpServer(Fd listener, Fd stop, int port, Handler handler)
    : listener_(std::move(listener)), stop_(std::move(stop)), port_(port), handler_(std::move(handler)) {
  thread_ = std::jthread([this] { accept_loop(); });
}

HttpServer::~HttpServer() {
  (void)::eventfd_write(stop_.get(), 1);
}

std::string HttpServer::host() const {
  return cat("127.0.0.1:", port_);
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(Handler handler) {
  Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener.get(), generic, size) != 0 || ::listen(listener.get(), 64) != 0 ||
      ::getsockname(listener.get(), generic, &size) != 0) {
    return fail_errno("listen on loopback");
  }
  Fd stop(::eventfd(0, EFD_CLOEXEC));
  return std::unique_ptr<HttpServer>(
      new HttpServer(std::move(listener), std::move(stop), ntohs(address.sin_port), std::move(handler)));
}

bool HttpServer::wait_readable(int fd) const {
  std::array<pollfd, 2> waits{{{fd, POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
  return ::poll(waits.data(), waits.size(), -1) > 0 && waits[1].revents == 0;
}

void HttpServer::accept_loop() {
  std::vector<std::jthread> connections;
  while (wait_readable(listener_.get())) {
    const int connection = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (connection >= 0) connections.emplace_back([this, connection] { serve(connection); });
  }
}

void HttpServer::serve(int connection) {
  const Fd owned(connection);
  std::string received;
  for (;;) {
    size_t end = 0;
    while ((end = received.find("\r\n\r\n")) == std::string::npos) {
      std::array<char, 4096> buffer{};
      if (!wait_readable(connection)) return;
      const ssize_t count = ::read(connection, buffer.data(), buffer.size());
      if (count <= 0) return;
      received.append(buffer.data(), static_cast<size_t>(count));
      if (received[0] < 'A') return;  // TLS: hang up, as servers do
    }
    const Seen request = parse_request(received.substr(0, end + 2));
    received.erase(0, end + 4);
    const FakeAnswer answer = handler_(request);
    std::string head = cat("HTTP/1.1 ", answer.status, " Whatever\r\ncontent-length: ", answer.body.size(), "\r\n");
    for (const auto& [name, value] : answer.headers) head += cat(name, ": ", value, "\r\n");
    const std::string body = answer.body.substr(0, answer.break_after.value_or(answer.body.size()));
    if (!write_full(connection, as_bytes(head + "\r\n" + body))) return;
    if (answer.headers.contains(kStall)) {
      (void)wait_readable(stop_.get());
      return;
    }
    if (answer.break_after) return;
  }
}

}  // namespace msb::image::testing
