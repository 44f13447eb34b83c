// HttpServer: a handler on a real loopback socket, for testing the real transport.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "image/testing/fake_registry.h"

namespace msb::image::testing {

class HttpServer {
 public:
  using Handler = std::function<FakeAnswer(const Seen& request)>;
  // On a free port of 127.0.0.1. The handler runs on the server's threads, one per connection.
  static Result<std::unique_ptr<HttpServer>> start(Handler handler);
  ~HttpServer();

  std::string host() const;  // "127.0.0.1:PORT"

 private:
  HttpServer(Fd listener, Fd stop, int port, Handler handler);
  void accept_loop();
  void serve(int connection);
  // False when the server is told to stop first.
  bool wait_readable(int fd) const;

  Fd listener_;
  Fd stop_;
  int port_;
  Handler handler_;
  std::jthread thread_;
};

// In FakeAnswer::headers: the server goes silent instead of sending the rest, until it is stopped.
inline constexpr const char* kStall = "x-test-stall";

}  // namespace msb::image::testing
