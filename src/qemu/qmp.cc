#include "qemu/qmp.h"

#include <sys/socket.h>

#include <cerrno>

namespace msb::qemu {

using nlohmann::json;

namespace {

std::string text_at(const json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int number_at(const json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<int>() : 0;
}

// The member as an object; an empty object when it is missing or something else.
json object_at(const json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : json::object();
}

}  // namespace

std::string QmpEvent::reason() const {
  return text_at(data, "reason");
}

Result<QmpMessage> parse_qmp(std::string_view line) {
  json value = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object()) return fail(ErrorKind::protocol, "QEMU sent something that is not a JSON object");
  if (value.contains("event")) return QmpEvent{text_at(value, "event"), object_at(value, "data")};
  if (value.contains("return")) return QmpReturn{value["return"]};
  if (value.contains("error")) {
    json error = object_at(value, "error");
    return QmpFailure{text_at(error, "class"), text_at(error, "desc")};
  }
  if (value.contains("QMP")) {
    json version = object_at(object_at(object_at(value, "QMP"), "version"), "qemu");
    return QmpGreeting{number_at(version, "major"), number_at(version, "minor"), number_at(version, "micro")};
  }
  return fail(ErrorKind::protocol, "QEMU sent a message of an unknown kind");
}

Result<> QmpSplitter::feed(std::string_view bytes, const std::function<Result<>(std::string_view line)>& line) {
  while (!bytes.empty()) {
    size_t end = bytes.find('\n');
    std::string_view piece = bytes.substr(0, end);
    if (partial_.size() + piece.size() > kMaxQmpLine)
      return fail(ErrorKind::protocol, cat("QEMU sent a line of more than ", kMaxQmpLine, " bytes"));
    partial_.append(piece);
    if (end == std::string_view::npos) return {};
    bytes.remove_prefix(end + 1);
    std::string complete = std::move(partial_);
    partial_.clear();
    if (!complete.empty() && complete.back() == '\r') complete.pop_back();
    if (!complete.empty()) MSB_CHECK(line(complete));
  }
  return {};
}

Result<std::unique_ptr<QmpClient>> QmpClient::create(Reactor& reactor, Fd socket, EventHandler on_event) {
  MSB_CHECK(set_blocking(socket.get(), Blocking::no));
  std::unique_ptr<QmpClient> client(new QmpClient(std::move(socket), std::move(on_event)));
  MSB_TRY(client->watch_, reactor.watch(client->socket_.get(), EPOLLIN, [raw = client.get()](uint32_t events) {
    if (events & EPOLLOUT) raw->flush();
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) raw->drain();
  }));
  client->execute("qmp_capabilities", {});
  return client;
}

void QmpClient::execute(std::string command, QmpReply reply) {
  if (!socket_ || pending_.size() >= kMaxQmpPending) {
    if (reply)
      reply(fail(ErrorKind::runtime,
                 cat("ask QEMU for ", command, ": its control channel is closed or does not answer")));
    return;
  }
  pending_.push_back(std::move(reply));
  outgoing_ += json{{"execute", std::move(command)}}.dump() + "\n";
  flush();
}

void QmpClient::flush() {
  while (socket_ && !outgoing_.empty()) {
    ssize_t sent = ::send(socket_.get(), outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) break;  // EAGAIN: wait; anything else shows up as a hang-up when reading
    outgoing_.erase(0, static_cast<size_t>(sent));
  }
  if (watch_) (void)watch_.set_events(outgoing_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

void QmpClient::drain() {
  auto alive = alive_;
  if (auto result = read_available(); !result && *alive) close(result.error());
}

Result<> QmpClient::read_available() {
  auto alive = alive_;
  char buffer[4096];
  while (*alive && socket_) {
    auto count = read_some(socket_.get(), {reinterpret_cast<uint8_t*>(buffer), sizeof(buffer)});
    if (!count && count.error().errnum() == EAGAIN) return {};
    if (!count) return fail(std::move(count).error());
    if (*count == 0) return fail(ErrorKind::runtime, "QEMU closed its control channel");
    MSB_CHECK(splitter_.feed({buffer, *count}, [&](std::string_view line) -> Result<> {
      auto handled = handle(line);
      // The splitter is gone with this object: its loop must end here.
      if (!*alive) return fail(ErrorKind::cancelled, "the control channel was closed");
      return handled;
    }));
  }
  return {};
}

Result<> QmpClient::handle(std::string_view line) {
  MSB_TRY(QmpMessage message, parse_qmp(line));
  if (auto* event = std::get_if<QmpEvent>(&message)) {
    if (auto handler = on_event_) handler(*event);
    return {};
  }
  if (std::holds_alternative<QmpGreeting>(message)) return {};
  if (pending_.empty()) return fail(ErrorKind::protocol, "QEMU answered a command that was not given");
  QmpReply reply = std::move(pending_.front());
  pending_.pop_front();
  if (!reply) return {};
  if (auto* failure = std::get_if<QmpFailure>(&message))
    reply(fail(ErrorKind::runtime, cat("QEMU refused: ", failure->description)));
  else
    reply(std::move(std::get<QmpReturn>(message).value));
  return {};
}

void QmpClient::close(const Error& error) {
  auto alive = alive_;
  watch_.reset();
  socket_.reset();
  while (*alive && !pending_.empty()) {
    QmpReply reply = std::move(pending_.front());
    pending_.pop_front();
    if (reply) reply(fail(error));
  }
}

QmpClient::~QmpClient() {
  *alive_ = false;
}

}  // namespace msb::qemu
