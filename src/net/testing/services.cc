#include "net/testing/services.h"

#include <algorithm>

#include "net/testing/tap_guest.h"

namespace msb::net::testing {
namespace {

class User : public TcpUser {
 public:
  explicit User(Services& services) : services_(services) { ++services_.open; }
  ~User() override { --services_.open; }
  void begin(TcpConnection* connection) {
    connection_ = connection;
    if (connection_) began();
  }
  virtual void began() {}
  size_t received(ByteView bytes) override { return bytes.size(); }
  void received_end() override { connection_->finish(); }
  void writable() override {}
  void ended(TcpEnd why) override {
    connection_ = nullptr;
    if (why == TcpEnd::reset) ++services_.resets;
    if (why == TcpEnd::closed) ++services_.closed;
    if (why == TcpEnd::refused) ++services_.refused;
  }

 protected:
  Services& services_;
  TcpConnection* connection_ = nullptr;
};

class Echo final : public User {
 public:
  using User::User;
  size_t received(ByteView bytes) override {
    size_t taken = 0;
    while (taken < bytes.size()) {
      const MutableByteView room = connection_->send_room();
      if (room.empty()) break;
      const size_t count = std::min(room.size(), bytes.size() - taken);
      std::ranges::copy(bytes.subspan(taken, count), room.begin());
      connection_->commit(count);
      taken += count;
    }
    return taken;
  }
  void writable() override { connection_->resume(); }
};

class Sink final : public User {
 public:
  Sink(Services& services, bool holds) : User(services), holds_(holds) {}
  void began() override {
    if (holds_) services_.held.push_back(connection_);
  }
  size_t received(ByteView bytes) override {
    if (holds_ && services_.holding) return 0;
    if (!is_pattern(place_, bytes)) services_.all_as_sent = false;
    place_ += bytes.size();
    services_.taken += bytes.size();
    return bytes.size();
  }
  void ended(TcpEnd why) override {
    std::erase(services_.held, connection_);
    User::ended(why);
  }

 private:
  const bool holds_;
  uint64_t place_ = 0;
};

class Source final : public User {
 public:
  using User::User;
  void began() override { writable(); }
  void writable() override {
    while (place_ < Services::kSourceSize) {
      const MutableByteView room = connection_->send_room();
      if (room.empty()) return;
      const size_t count = std::min<uint64_t>(room.size(), Services::kSourceSize - place_);
      fill_pattern(place_, room.first(count));
      place_ += count;
      connection_->commit(count);
    }
    connection_->finish();
  }

 private:
  uint64_t place_ = 0;
};

class Quitter final : public User {
 public:
  using User::User;
  size_t received(ByteView bytes) override {
    connection_->reset();
    return bytes.size();
  }
};

constexpr Unreachable kReasons[] = {Unreachable::network, Unreachable::host, Unreachable::port,
                                    Unreachable::prohibited};

template <class T, class... Arguments>
void accept(TcpRequest request, Services& services, Arguments... arguments) {
  auto user = std::make_unique<T>(services, arguments...);
  T* raw = user.get();
  if (TcpConnection* connection = request.accept(std::move(user))) raw->begin(connection);
}

void serve(Services& services, TcpRequest request) {
  const uint16_t port = request.remote().port;
  if (port >= 2 && port <= 5) return request.unreachable(kReasons[port - 2]);
  switch (port) {
    case 7:
      return accept<Echo>(std::move(request), services);
    case 8:
      return accept<Sink>(std::move(request), services, true);
    case 9:
      return accept<Sink>(std::move(request), services, false);
    case 10:
      return services.late.push_back(std::move(request));
    case 11:
      return accept<Quitter>(std::move(request), services);
    case 19:
      return accept<Source>(std::move(request), services);
    default:
      return request.reset();
  }
}

}  // namespace

uint8_t pattern_at(uint64_t place) {
  return static_cast<uint8_t>((place * 0x9e3779b97f4a7c15u) >> 56);
}
void fill_pattern(uint64_t place, MutableByteView out) {
  for (size_t i = 0; i < out.size(); ++i) out[i] = pattern_at(place + i);
}
bool is_pattern(uint64_t place, ByteView bytes) {
  for (size_t i = 0; i < bytes.size(); ++i)
    if (bytes[i] != pattern_at(place + i)) return false;
  return true;
}

GuestStack::Hooks Services::hooks() {
  GuestStack::Hooks hooks;
  hooks.tcp = [this](TcpRequest request) { serve(*this, std::move(request)); };
  hooks.udp = [this](const UdpDatagram& datagram) {
    ++datagrams;
    largest_datagram = std::max(largest_datagram.load(), datagram.payload.size());
    const uint16_t port = datagram.remote.port;
    if (port == 7) stack->send_udp(datagram.remote, datagram.guest, datagram.payload);
    if (port >= 2 && port <= 5) stack->send_unreachable(datagram, kReasons[port - 2]);
  };
  hooks.ping = [this](const PingRequest& request) {
    if (request.remote == Ip::v4(192, 0, 2, 1)) {
      stack->send_unreachable(request, Unreachable::host);
    } else {
      stack->send_pong(request);
    }
  };
  return hooks;
}

void Services::release() {
  holding = false;
  for (TcpConnection* connection : std::vector(held)) connection->resume();
}

void Services::answer_late() {
  for (TcpRequest& request : late) accept<Echo>(std::move(request), *this);
  late.clear();
}

void Services::dial(uint16_t port, const Endpoint& from) {
  auto user = std::make_unique<Echo>(*this);
  Echo* raw = user.get();
  const LinkConfig config = TapGuest::link_config();
  const Ip guest = from.ip.is_v4() ? config.v4->guest : config.v6->guest;
  raw->begin(stack->tcp().connect(from, {guest, port}, std::move(user)).value());
}

}  // namespace msb::net::testing
