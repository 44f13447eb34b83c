#include "net/dns/dns_tcp_user.h"

#include <gtest/gtest.h>

#include <deque>

#include "net/dns/testing/dns_messages.h"
#include "net/events.h"

namespace msb::net {
namespace {

using testing::dns_query;

// Answers when the test says so.
class FakeGateway final : public DnsGateway {
 public:
  bool ask(const Query& query, std::function<void(Bytes)> reply) override {
    if (query.message.size() < 12) return false;
    asked.emplace_back(query.message.begin(), query.message.end());
    replies.push_back(std::move(reply));
    if (at_once) answer();
    return true;
  }
  void answer() {
    auto reply = std::move(replies.front());
    replies.pop_front();
    reply(asked.back());
  }

  bool at_once = false;
  std::vector<Bytes> asked;
  std::deque<std::function<void(Bytes)>> replies;
};

// The engine's end: keeps what the user does not take, and offers it again.
struct World {
  class Connection final : public TcpConnection {
   public:
    explicit Connection(World& world) : world_(world) {}
    const Endpoint& guest() const override { return world_.guest; }
    const Endpoint& remote() const override { return world_.remote; }
    MutableByteView send_room() override { return MutableByteView(room_).first(world_.room); }
    void commit(size_t bytes) override {
      world_.sent.insert(world_.sent.end(), room_.begin(), room_.begin() + static_cast<ptrdiff_t>(bytes));
      world_.room -= bytes;
    }
    size_t unacknowledged() const override { return 0; }
    void finish() override { world_.finished = true; }
    void resume() override { world_.offer(); }
    void reset() override {
      world_.was_reset = true;
      world_.user.reset();
    }

   private:
    World& world_;
    Bytes room_ = Bytes(70000);
  };
  class Pending final : public TcpRequest::Pending {
   public:
    explicit Pending(World& world) : world_(world) {}
    TcpConnection* accept(std::unique_ptr<TcpUser> accepted) override {
      world_.user = std::move(accepted);
      return &world_.connection;
    }
    void reset() override {}
    void unreachable(Unreachable) override {}

   private:
    World& world_;
  };

  World() { serve_dns(gateway, TcpRequest(guest, remote, std::make_unique<Pending>(*this))); }
  void guest_sends(const Bytes& bytes) {
    waiting.insert(waiting.end(), bytes.begin(), bytes.end());
    offer();
  }
  void offer() {
    if (!user || waiting.empty() || offering) return;
    offering = true;
    const Bytes bytes = waiting;
    const size_t taken = user->received(bytes);
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<ptrdiff_t>(taken));
    offering = false;
  }

  FakeGateway gateway;
  Endpoint guest{Ip::v4(172, 16, 0, 2), 40000};
  Endpoint remote{Ip::v4(172, 16, 0, 1), 53};
  Connection connection{*this};
  std::unique_ptr<TcpUser> user;
  Bytes waiting;
  Bytes sent;
  size_t room = 70000;
  bool finished = false;
  bool was_reset = false;
  bool offering = false;
};

Bytes framed(const Bytes& message) {
  Bytes out(2);
  store_be(out.data(), static_cast<uint16_t>(message.size()));
  out.insert(out.end(), message.begin(), message.end());
  return out;
}

TEST(DnsTcpUserTest, AMessageInPiecesIsOneQuery) {
  World world;
  const Bytes query = dns_query("example.com", DnsType::a);
  for (const uint8_t byte : framed(query)) world.guest_sends({byte});
  EXPECT_EQ(world.gateway.asked, (std::vector<Bytes>{query}));
  EXPECT_TRUE(world.sent.empty());
  world.gateway.answer();
  EXPECT_EQ(world.sent, framed(query));
}

TEST(DnsTcpUserTest, TheSecondQueryWaitsForTheFirst) {
  World world;
  const Bytes first = dns_query("example.com", DnsType::a);
  const Bytes second = dns_query("example.com", DnsType::aaaa);
  Bytes both = framed(first);
  const Bytes more = framed(second);
  both.insert(both.end(), more.begin(), more.end());
  world.guest_sends(both);
  EXPECT_EQ(world.gateway.asked.size(), 1U);
  EXPECT_EQ(world.waiting.size(), more.size());
  world.gateway.answer();
  EXPECT_EQ(world.gateway.asked.size(), 2U);
  world.gateway.answer();
  EXPECT_EQ(world.sent, both);
}

TEST(DnsTcpUserTest, AnswersThatComeAtOnceAreSentInOrder) {
  World world;
  world.gateway.at_once = true;
  Bytes three;
  for (uint16_t id = 1; id <= 3; ++id) {
    const Bytes one = framed(dns_query("example.com", DnsType::a, {.id = id}));
    three.insert(three.end(), one.begin(), one.end());
  }
  world.guest_sends(three);
  EXPECT_EQ(world.sent, three);
  EXPECT_TRUE(world.waiting.empty());
}

TEST(DnsTcpUserTest, AFullBufferOnlyDelays) {
  World world;
  world.room = 5;
  const Bytes query = dns_query("example.com", DnsType::a);
  world.guest_sends(framed(query));
  world.gateway.answer();
  EXPECT_EQ(world.sent.size(), 5U);
  world.room = 1000;
  world.user->writable();
  EXPECT_EQ(world.sent, framed(query));
}

TEST(DnsTcpUserTest, TheEndComesAfterTheLastAnswer) {
  World world;
  world.guest_sends(framed(dns_query("example.com", DnsType::a)));
  world.user->received_end();
  EXPECT_FALSE(world.finished);
  world.gateway.answer();
  EXPECT_TRUE(world.finished);
}

TEST(DnsTcpUserTest, WhatIsNoDnsIsReset) {
  World world;
  world.guest_sends({0, 0, 1, 2, 3});
  EXPECT_TRUE(world.was_reset);
}

TEST(DnsTcpUserTest, AnAnswerAfterTheEndIsDropped) {
  World world;
  world.guest_sends(framed(dns_query("example.com", DnsType::a)));
  world.user->ended(TcpEnd::reset);
  world.user.reset();
  world.gateway.answer();
  EXPECT_TRUE(world.sent.empty());
}

}  // namespace
}  // namespace msb::net
