// QMP: QEMU's control channel, JSON objects one a line over a stream socket.
//
// QEMU is not trusted more than the guest it runs: lines and the number of open commands are bounded, and whatever is
// not understood ends the connection, never the process. All calls belong to the reactor's thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>

#include "base/fd.h"
#include "base/reactor.h"
#include "base/result.h"

namespace msb::qemu {

inline constexpr size_t kMaxQmpLine = size_t{1} << 20;
inline constexpr size_t kMaxQmpPending = 64;

struct QmpGreeting {
  int major = 0;
  int minor = 0;
  int micro = 0;
};
struct QmpEvent {
  std::string name;
  nlohmann::json data;
  // For SHUTDOWN and RESET: "guest-reset", "guest-shutdown", "guest-panic", "host-qmp-quit", ...
  std::string reason() const;
};
struct QmpReturn {
  nlohmann::json value;
};
struct QmpFailure {
  std::string error_class;
  std::string description;
};
using QmpMessage = std::variant<QmpGreeting, QmpEvent, QmpReturn, QmpFailure>;

// One line without its newline.
Result<QmpMessage> parse_qmp(std::string_view line);

// Cuts a stream into lines.
class QmpSplitter {
 public:
  // Appends bytes and calls `line` for each complete line; an endless line is ErrorKind::protocol.
  Result<> feed(std::string_view bytes, const std::function<Result<>(std::string_view line)>& line);

 private:
  std::string partial_;
};

using QmpReply = std::function<void(Result<nlohmann::json>)>;

class QmpClient {
 public:
  using EventHandler = std::function<void(const QmpEvent&)>;

  // Negotiates at once; commands may be given before the greeting has arrived.
  static Result<std::unique_ptr<QmpClient>> create(Reactor& reactor, Fd socket, EventHandler on_event);

  ~QmpClient();
  QmpClient(const QmpClient&) = delete;
  QmpClient& operator=(const QmpClient&) = delete;

  // `reply` runs once: with the answer, or with an error when the connection ends first. It may be empty.
  void execute(std::string command, QmpReply reply);
  bool is_open() const { return static_cast<bool>(socket_); }
  // Reads what has already arrived, for use when QEMU is known to have ended.
  void drain();

 private:
  QmpClient(Fd socket, EventHandler on_event) : socket_(std::move(socket)), on_event_(std::move(on_event)) {}
  Result<> read_available();
  Result<> handle(std::string_view line);
  void flush();
  void close(const Error& error);

  Fd socket_;
  EventHandler on_event_;
  QmpSplitter splitter_;
  std::string outgoing_;
  std::deque<QmpReply> pending_;
  Reactor::Watch watch_;
  // False once destroyed: a callback may do that.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace msb::qemu
