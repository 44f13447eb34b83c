#include "kvm/control_channel.h"

#include <sys/socket.h>

#include <algorithm>

namespace msb::kvm {
namespace {

// So that a whole notice always fits into a packet.
constexpr size_t kMaxText = 4096;

void shorten(std::string& text) {
  if (text.size() > kMaxText) text.resize(kMaxText);
}

}  // namespace

Result<std::unique_ptr<ControlChannel>> ControlChannel::create(Reactor& reactor, Fd socket) {
  MSB_CHECK(set_blocking(socket.get(), Blocking::no));
  return std::unique_ptr<ControlChannel>(new ControlChannel(reactor, std::move(socket)));
}

Result<> ControlChannel::listen(Handlers handlers) {
  handlers_ = std::move(handlers);
  MSB_TRY(watch_, reactor_.watch(socket_.get(), EPOLLIN, [this](uint32_t) { receive(); }));
  return {};
}

void ControlChannel::receive() {
  Bytes packet(kMaxControlMessage);
  // One a turn: level-triggered. A longer packet is cut and then no message.
  ssize_t size = ::recv(socket_.get(), packet.data(), packet.size(), MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) {
    watch_.reset();
    return handlers_.closed();
  }
  packet.resize(static_cast<size_t>(size));
  auto request = wire::decode<Request>(packet);
  if (!request) return warning(cat("a control message that is none: ", request.error().to_string()));
  handlers_.request(*request);
}

void ControlChannel::send(const Notice& notice) {
  Bytes packet = wire::encode(notice);
  while (::send(socket_.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

void ControlChannel::started(std::vector<std::string> walls) {
  Notice notice;
  notice.kind = "started";
  notice.walls = std::move(walls);
  send(notice);
}

void ControlChannel::done(uint32_t id, std::string error) {
  Notice notice;
  notice.kind = "done";
  notice.id = id;
  notice.error = std::move(error);
  shorten(notice.error);
  send(notice);
}

void ControlChannel::measured(uint32_t id, const disk::DiskTraffic& traffic) {
  Notice notice;
  notice.kind = "done";
  notice.id = id;
  notice.disk_read_bytes = traffic.read_bytes;
  notice.disk_written_bytes = traffic.written_bytes;
  send(notice);
}

void ControlChannel::warning(std::string message) {
  // One more than the host's end shows, so that it knows.
  if (warnings_ > kMaxWarnings) return;
  ++warnings_;
  Notice notice;
  notice.kind = "warning";
  notice.message = std::move(message);
  shorten(notice.message);
  send(notice);
}

void ControlChannel::ended(Notice notice) {
  notice.kind = "ended";
  shorten(notice.message);
  shorten(notice.hint);
  shorten(notice.registers);
  send(notice);
}

}  // namespace msb::kvm
