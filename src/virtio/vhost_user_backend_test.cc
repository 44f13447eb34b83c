#include "virtio/vhost_user_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include "virtio/testing/echo_device.h"
#include "virtio/testing/vhost_user_front_end.h"

namespace msb::virtio {
namespace {

using testing::Buffer;
using testing::EchoDevice;
using ::testing::HasSubstr;
using testing::RingBuilder;
using testing::VhostUserFrontEnd;
using vhost_user::number_payload;
using vhost_user::Request;
using vhost_user::ring_state_payload;

class VhostUserBackendTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto pair = make_socket_pair();
    ASSERT_TRUE(pair);
    front_fd_ = pair->first.get();
    front_.emplace(std::move(pair->first), std::vector<uint16_t>{8, 8});
    VhostUserBackend::Hooks hooks;
    hooks.ended = [this](const Error& error) { ended_ = error.to_string(); };
    auto backend = VhostUserBackend::create(*reactor_, std::move(pair->second), device_, std::move(hooks));
    ASSERT_TRUE(backend);
    backend_ = std::move(*backend);
  }
  void run_until(const std::function<bool()>& condition) {
    while (!condition()) ASSERT_TRUE(reactor_->run_once());
  }
  // The back end has answered everything sent so far.
  void sync() {
    front_->send(Request::get_queue_num);
    run_until([&] { return !ended_.empty() || front_has_reply(); });
    if (ended_.empty()) EXPECT_EQ(*vhost_user::parse_number(front_->take_reply()), 2u);
  }
  bool front_has_reply() const {
    pollfd wait{front_fd_, POLLIN, 0};
    return ::poll(&wait, 1, 0) == 1;
  }
  void set_up() {
    front_->set_up(RingBuilder::kAllFeatures);
    sync();
  }
  std::string echo(std::string_view text) {
    auto& ring = front_->ring(0);
    Buffer out = ring.out(text), in = ring.in(64);
    ring.add({out, in});
    front_->kick(0);
    run_until([&] { return ring.has_used() || !ended_.empty(); });
    auto used = ring.take_used();
    return used ? front_->ram().text(in.address, used->length) : "nothing";
  }

  std::unique_ptr<Reactor> reactor_ = Reactor::create().value();
  EchoDevice device_{reactor_.get()};
  std::optional<VhostUserFrontEnd> front_;
  int front_fd_ = -1;
  std::unique_ptr<VhostUserBackend> backend_;
  std::string ended_;
};

TEST_F(VhostUserBackendTest, OffersTheDevicesFeaturesAndThoseOfQueues) {
  front_->send(Request::get_features);
  ASSERT_TRUE(reactor_->run_once());
  EXPECT_EQ(*vhost_user::parse_number(front_->take_reply()),
            EchoDevice::kFeatures | RingBuilder::kAllFeatures | vhost_user::kFeatureProtocol);
}

TEST_F(VhostUserBackendTest, ServesTheGuestsRequests) {
  set_up();
  EXPECT_TRUE(device_.is_active());
  EXPECT_EQ(echo("hello"), "hello");
  EXPECT_TRUE(front_->interrupted(0));
  EXPECT_EQ(echo("again"), "again");
}

TEST_F(VhostUserBackendTest, StartsOnlyWhenEverythingIsThere) {
  front_->send(Request::set_owner);
  front_->send(Request::set_features, number_payload(RingBuilder::kAllFeatures | vhost_user::kFeatureProtocol));
  front_->set_memory();
  front_->set_up_ring(0);
  sync();
  EXPECT_FALSE(device_.is_active());
  front_->set_up_ring(1);
  sync();
  EXPECT_TRUE(device_.is_active());
  front_->send(Request::set_vring_enable, ring_state_payload({1, 0}));
  sync();
  EXPECT_FALSE(device_.is_active());
}

TEST_F(VhostUserBackendTest, AStoppedRingGoesOnWhereItWas) {
  set_up();
  EXPECT_EQ(echo("one"), "one");
  EXPECT_EQ(echo("two"), "two");
  front_->send(Request::get_vring_base, ring_state_payload({0, 0}));
  run_until([&] { return front_has_reply(); });
  auto state = vhost_user::parse_ring_state(front_->take_reply());
  ASSERT_TRUE(state);
  EXPECT_EQ(state->number, 2u);
  EXPECT_FALSE(device_.is_active());
  front_->set_up_ring(0, state->number);
  sync();
  EXPECT_TRUE(device_.is_active());
  EXPECT_EQ(echo("three"), "three");
}

TEST_F(VhostUserBackendTest, NewMemoryMeansANewActivation) {
  set_up();
  front_->set_memory();
  sync();
  EXPECT_EQ(device_.activations(), 2u);
  EXPECT_EQ(echo("x"), "x");
}

TEST_F(VhostUserBackendTest, AcknowledgesWhenAsked) {
  front_->send(Request::set_protocol_features, number_payload(vhost_user::kProtocolReplyAck));
  front_->send(Request::set_owner, {}, {}, vhost_user::kVersion | vhost_user::kFlagNeedReply);
  run_until([&] { return front_has_reply(); });
  EXPECT_EQ(*vhost_user::parse_number(front_->take_reply()), 0u);
}

TEST_F(VhostUserBackendTest, AMessageMayComeInPieces) {
  Bytes whole = VhostUserFrontEnd::message(Request::set_features, number_payload(RingBuilder::kAllFeatures));
  for (uint8_t byte : whole) {
    front_->send_raw({&byte, 1});
    ASSERT_TRUE(reactor_->run_once());
  }
  sync();
  EXPECT_EQ(ended_, "");
}

TEST_F(VhostUserBackendTest, TheEndOfTheFrontEndEndsTheSession) {
  set_up();
  front_->close();
  run_until([&] { return !ended_.empty(); });
  EXPECT_THAT(ended_, HasSubstr("closed"));
  EXPECT_FALSE(device_.is_active());
}

// Whatever a front end may get wrong, or do on purpose.
struct Bad {
  const char* name;
  const char* says;
  std::function<void(VhostUserFrontEnd&)> act;
};
class BadFrontEnd : public VhostUserBackendTest, public ::testing::WithParamInterface<Bad> {};

TEST_P(BadFrontEnd, EndsTheSession) {
  set_up();
  GetParam().act(*front_);
  run_until([&] { return !ended_.empty(); });
  EXPECT_THAT(ended_, HasSubstr(GetParam().says));
  EXPECT_FALSE(device_.is_active());
}

Fd unsealed_file(uint64_t size) {
  Fd file(::memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(size)), 0);
  return file;
}
Bytes one_region(uint64_t size) {
  Bytes table(40);
  store_le<uint32_t>(&table[0], 1);
  store_le<uint64_t>(&table[8], 0x100000);
  store_le<uint64_t>(&table[16], size);
  return table;
}

const Bad kBad[] = {
    {"AnotherVersion", "another version", [](auto& front) { front.send(Request::set_owner, {}, {}, 2); }},
    {"ALongMessage", "too long", [](auto& front) { front.send(Request::set_owner, Bytes(513)); }},
    {"AnUnknownRequest", "number 77", [](auto& front) { front.send(static_cast<Request>(77)); }},
    {"AShortMessage", "too short", [](auto& front) { front.send(Request::set_vring_num, Bytes(3)); }},
    {"FeaturesNotOffered", "not offered",
     [](auto& front) { front.send(Request::set_features, number_payload(~uint64_t{0})); }},
    {"ALegacyDriver", "legacy",
     [](auto& front) { front.send(Request::set_features, number_payload(vhost_user::kFeatureProtocol)); }},
    {"AQueueThatIsNotThere", "queue 2",
     [](auto& front) { front.send(Request::set_vring_num, ring_state_payload({2, 8})); }},
    {"ARingSizeThatIsNone", "size",
     [](auto& front) { front.send(Request::set_vring_num, ring_state_payload({0, 7})); }},
    {"AHugeRing", "too large",
     [](auto& front) { front.send(Request::set_vring_num, ring_state_payload({0, 70'000})); }},
    {"ARingOutsideOfMemory", "outside of the guest's memory",
     [](auto& front) { front.send(Request::set_vring_addr, Bytes(40)); }},
    {"AKickWithoutDescriptor", "without a kick",
     [](auto& front) { front.send(Request::set_vring_kick, number_payload(0x100)); }},
    {"AKickThatIsMissing", "descriptor", [](auto& front) { front.send(Request::set_vring_kick, number_payload(0)); }},
    {"MemoryWithoutDescriptors", "differ in number",
     [](auto& front) { front.send(Request::set_mem_table, one_region(4096)); }},
    {"MemoryThatCanShrink", "sealed",
     [](auto& front) {
       Fd file = unsealed_file(1 << 20);
       front.send(Request::set_mem_table, one_region(4096), {file.get()});
     }},
    {"MemoryLongerThanItsFile", "longer than its file",
     [](auto& front) { front.set_memory(0x100000, VhostUserFrontEnd::kRam * 2); }},
    {"MemoryThatWrapsRound", "too large",
     [](auto& front) { front.set_memory(~uint64_t{0} - 4095, 4096, 0, ~uint64_t{0} - 4095); }},
    {"MemoryInHalfPages", "whole pages", [](auto& front) { front.set_memory(0x100100, 4096); }},
    {"NineRegions", "none",
     [](auto& front) {
       Bytes table(8);
       table[0] = 9;
       front.send(Request::set_mem_table, table);
     }},
};
INSTANTIATE_TEST_SUITE_P(All, BadFrontEnd, ::testing::ValuesIn(kBad),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace msb::virtio
