// FakeRelay: the far end of an AgentConnection, played by a test: a relay and an agent in one.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

#include "base/fd.h"
#include "sandbox/exec_session.h"
#include "wire/messages.h"

namespace msb::testing {

inline constexpr uint32_t kFirstId = 16;

class FakeRelay {
 public:
  // The connected pair: `client` has its greeting waiting.
  static std::pair<FakeRelay, Fd> create() {
    auto pair = make_socket_pair();
    FakeRelay relay(std::move(pair->first));
    relay.greet();
    return {std::move(relay), std::move(pair->second)};
  }
  explicit FakeRelay(Fd socket) : socket_(std::move(socket)) {}

  void greet() {
    uint8_t range[8];
    store_be<uint32_t>(range, kFirstId);
    store_be<uint32_t>(range + 4, kFirstId + 16);
    ASSERT_TRUE(write_full(fd(), range));
    send(wire::Ready{.boot_time_ns = 1, .init_time_ns = 2, .ready_time_ns = 3, .agent_version = "test"}, 0, 0);
  }

  template <class M>
  void send(const M& message, uint8_t flags = 0, uint32_t id = kFirstId) {
    send_raw(wire::make_frame(id, flags, message));
  }
  void send_raw(ByteView bytes) {
    // The client may have gone on purpose.
    while (!bytes.empty()) {
      ssize_t count = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      bytes = bytes.subspan(static_cast<size_t>(count));
    }
  }
  void stdout_data(std::string_view text) { send(wire::ExecStdout{as_bytes(text)}); }
  void stderr_data(std::string_view text) { send(wire::ExecStderr{as_bytes(text)}); }
  void exit(int code) { send(wire::ExecExited{.code = code}, wire::kFlagTerminal); }

  // The next message, whose type must be M's; waits.
  template <class M>
  M expect() {
    wire::Envelope envelope = next();
    EXPECT_EQ(envelope.type, M::kType);
    auto message = wire::decode<M>(envelope.payload);
    EXPECT_TRUE(message);
    return message.value_or(M{});
  }
  // The next message's type; empty when the client has closed.
  std::string next_type() { return std::string(next().type); }
  // Views live until the next message is read.
  wire::Envelope next_envelope() { return next(); }
  bool has_message() { return *wait_for(fd(), POLLIN, Clock::now()); }

  int fd() const { return socket_.get(); }
  void close() { socket_.reset(); }

 private:
  wire::Envelope next() {
    while (true) {
      auto frame = reader_.next();
      EXPECT_TRUE(frame);
      if (!frame) return {};
      if (*frame) return *wire::open_envelope((*frame)->body);
      auto count = read_some(fd(), reader_.prepare());
      if (!count || *count == 0) return {};
      reader_.commit(*count);
    }
  }
  Fd socket_;
  wire::FrameReader reader_;
};

// A process that has been asked for, and the relay that plays it.
struct FakeProcess {
  FakeRelay relay;
  ExecHandle handle;
  wire::ExecRequest request;

  static FakeProcess start(const std::string& command, const ExecOptions& options);
};

}  // namespace msb::testing
