#include "virtio/console_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "virtio/testing/device_rig.h"

namespace msb::virtio {
namespace {

using testing::Buffer;
using testing::DeviceRig;
using testing::RingBuilder;

constexpr uint16_t kControlIn = 2;
constexpr uint16_t kControlOut = 3;

// struct virtio_console_control, as text to compare.
std::string message(uint32_t port, uint16_t event, uint16_t value, std::string_view text = {}) {
  std::string raw(8, '\0');
  auto* at = reinterpret_cast<uint8_t*>(raw.data());
  store_le<uint32_t>(at, port);
  store_le<uint16_t>(at + 4, event);
  store_le<uint16_t>(at + 6, value);
  return raw.append(text);
}

// A console with port 1 (or 0) between a rig that plays the guest's driver and the other end of a socket.
class Console {
 public:
  explicit Console(uint16_t port = 1, DeviceRig::Options options = {}) : port_(port) {
    auto pair = make_socket_pair().value();
    host_ = std::move(pair.second);
    (void)set_blocking(host_.get(), Blocking::no);
    ConsoleDevice::Settings settings("agent", std::move(pair.first));
    settings.port = port;
    settings.opened = [this](bool open) { opened_.push_back(open); };
    settings.activity = [this] { ++activity_; };
    device_ = ConsoleDevice::create(rig_.reactor(), std::move(settings)).value();
    EXPECT_TRUE(rig_.activate(*device_, options));
  }

  DeviceRig& rig() { return rig_; }
  ConsoleDevice& device() { return *device_; }
  Fd& host() { return host_; }
  const std::vector<bool>& opened() const { return opened_; }
  int activity() const { return activity_; }
  uint16_t rx() const { return port_ == 0 ? 0 : 4; }
  uint16_t tx() const { return port_ == 0 ? 1 : 5; }

  // The driver's side.
  void give_control_buffers(int count = 3, uint32_t size = 4096) {
    for (int i = 0; i < count; ++i) {
      Buffer buffer = rig_.ring(kControlIn).in(size);
      control_buffers_[rig_.ring(kControlIn).add({buffer})] = buffer;
    }
  }
  void say(std::string_view bytes) {
    rig_.ring(kControlOut).add({rig_.ring(kControlOut).out(bytes)});
    rig_.kick(kControlOut);
    rig_.settle();
    while (rig_.ring(kControlOut).take_used()) {
    }
  }
  std::vector<std::string> heard() {
    std::vector<std::string> messages;
    while (auto used = rig_.ring(kControlIn).take_used())
      messages.push_back(rig_.ram().text(control_buffers_.at(used->head).address, used->length));
    return messages;
  }
  void open() {
    give_control_buffers();
    say(message(port_, 0, 1));
    say(message(port_, 3, 1));
    say(message(port_, 6, 1));
    heard();
  }
  void give_receive_buffers(int count, uint32_t size) {
    for (int i = 0; i < count; ++i) {
      Buffer buffer = rig_.ring(rx()).in(size);
      receive_buffers_[rig_.ring(rx()).add({buffer})] = buffer;
    }
  }
  std::string received() {
    std::string text;
    while (auto used = rig_.ring(rx()).take_used())
      text += rig_.ram().text(receive_buffers_.at(used->head).address, used->length);
    return text;
  }
  void transmit(std::string_view bytes) {
    rig_.ring(tx()).add({rig_.ring(tx()).out(bytes)});
    rig_.kick(tx());
    rig_.settle();
  }
  int returned() {
    int count = 0;
    while (rig_.ring(tx()).take_used()) ++count;
    return count;
  }

  // The host's side.
  void host_writes(std::string_view bytes) {
    ASSERT_EQ(::send(host_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    rig_.settle();
  }
  std::string host_reads() {
    std::string text;
    char buffer[65536];
    while (true) {
      ssize_t got = ::recv(host_.get(), buffer, sizeof(buffer), 0);
      if (got <= 0) return text;
      text.append(buffer, static_cast<size_t>(got));
    }
  }

 private:
  uint16_t port_;
  DeviceRig rig_{uint64_t{64} << 20};
  Fd host_;
  std::vector<bool> opened_;
  int activity_ = 0;
  std::map<uint32_t, Buffer> control_buffers_;
  std::map<uint32_t, Buffer> receive_buffers_;
  std::unique_ptr<ConsoleDevice> device_;
};

class ConsolePorts : public ::testing::TestWithParam<uint16_t> {};
INSTANTIATE_TEST_SUITE_P(Numbers, ConsolePorts, ::testing::Values(0, 1));

TEST_P(ConsolePorts, HandshakeNamesAndOpensThePortInOneGo) {
  Console console(GetParam());
  console.give_control_buffers();
  console.say(message(0, 0, 1));
  EXPECT_THAT(console.heard(), ::testing::ElementsAre(message(GetParam(), 1, 1), message(GetParam(), 7, 1, "agent"),
                                                      message(GetParam(), 6, 1)));
  EXPECT_EQ(console.rig().context().interrupts(kControlIn), 1u);
  console.say(message(GetParam(), 3, 1));
  EXPECT_THAT(console.heard(), ::testing::IsEmpty());
  EXPECT_FALSE(console.device().guest_open());
  console.say(message(GetParam(), 6, 1));
  EXPECT_TRUE(console.device().guest_open());
  EXPECT_THAT(console.opened(), ::testing::ElementsAre(true));
}

TEST_P(ConsolePorts, BytesGoBothWays) {
  Console console(GetParam());
  console.open();
  console.give_receive_buffers(4, 16);
  console.host_writes("to the guest, in more than one buffer");
  EXPECT_EQ(console.received(), "to the guest, in more than one buffer");
  EXPECT_EQ(console.rig().context().interrupts(console.rx()), 1u);
  console.transmit("to the host");
  EXPECT_EQ(console.host_reads(), "to the host");
  EXPECT_EQ(console.activity(), 2);
}

TEST(ConsoleDevice, ConfigurationTellsTheNumberOfPortsAndEndsInZeros) {
  Console console;
  std::array<uint8_t, 16> config;
  config.fill(0xff);
  console.device().read_config(0, config);
  EXPECT_THAT(config, ::testing::ElementsAre(0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  console.device().read_config(0xfffffff0, config);
  EXPECT_THAT(config, ::testing::Each(0));
}

TEST(ConsoleDevice, ControlMessagesWaitForBuffers) {
  Console console;
  console.say(message(0, 0, 1));
  EXPECT_THAT(console.heard(), ::testing::IsEmpty());
  console.give_control_buffers(1);
  console.rig().kick(kControlIn);
  console.rig().settle();
  EXPECT_THAT(console.heard(), ::testing::ElementsAre(message(1, 1, 1)));
  console.give_control_buffers(2);
  console.rig().kick(kControlIn);
  console.rig().settle();
  EXPECT_THAT(console.heard(), ::testing::ElementsAre(message(1, 7, 1, "agent"), message(1, 6, 1)));
}

TEST(ConsoleDevice, ReadyAgainAndAgainLeavesOnlyOneSetOfMessagesWaiting) {
  Console console;
  for (int i = 0; i < 100; ++i) console.say(message(0, 0, 1));
  console.give_control_buffers(4);
  console.rig().kick(kControlIn);
  console.rig().settle();
  EXPECT_EQ(console.heard().size(), 3u);
}

TEST(ConsoleDevice, UnknownShortAndForeignControlMessagesAreIgnored) {
  Console console;
  console.give_control_buffers();
  console.say("short");
  console.say(message(7, 6, 1));   // a port that is not
  console.say(message(1, 99, 1));  // an event that is not
  console.say(message(0, 0, 0));   // the driver failed
  console.say(message(1, 6, 1).append(100, 'x'));
  EXPECT_TRUE(console.device().guest_open());
  EXPECT_THAT(console.heard(), ::testing::IsEmpty());
  EXPECT_FALSE(console.rig().context().is_broken());
}

TEST(ConsoleDevice, BytesForThePortWaitInTheSocketUntilItIsOpen) {
  Console console;
  console.give_receive_buffers(2, 64);
  console.host_writes("early");
  EXPECT_EQ(console.received(), "");
  console.open();
  EXPECT_EQ(console.received(), "early");
}

TEST(ConsoleDevice, BytesForThePortWaitInTheSocketWhileTheGuestHasNoBuffers) {
  Console console;
  console.open();
  console.give_receive_buffers(1, 4);
  console.host_writes("12345678");
  EXPECT_EQ(console.received(), "1234");
  // Starved: now, and only now, the driver is to kick.
  console.rig().ring(console.rx()).needs_kick();
  console.give_receive_buffers(1, 64);
  EXPECT_TRUE(console.rig().ring(console.rx()).needs_kick());
  console.rig().kick(console.rx());
  console.rig().settle();
  EXPECT_EQ(console.received(), "5678");
}

TEST(ConsoleDevice, BytesForThePortWaitAfterTheGuestHasClosedIt) {
  Console console;
  console.open();
  console.give_receive_buffers(2, 64);
  console.say(message(1, 6, 0));
  console.host_writes("later");
  EXPECT_EQ(console.received(), "");
  console.say(message(1, 6, 1));
  EXPECT_EQ(console.received(), "later");
  EXPECT_THAT(console.opened(), ::testing::ElementsAre(true, false, true));
}

TEST(ConsoleDevice, FullSocketKeepsTheGuestsBuffersAndContinuesInTheirMiddle) {
  Console console;
  console.open();
  std::string all;
  for (int i = 0; i < 30; ++i) {
    std::string block(64 << 10, static_cast<char>('a' + i % 26));
    all += block;
    console.transmit(block);
  }
  EXPECT_LT(console.returned(), 30);
  std::string got;
  ASSERT_TRUE(console.rig().run_until([&] { return (got += console.host_reads()).size() >= all.size(); }));
  EXPECT_TRUE(got == all);
  EXPECT_EQ(console.activity() > 1, true);
}

TEST(ConsoleDevice, WrittenBuffersComeBackWithTheNextBytesForTheGuest) {
  Console console;
  console.open();
  console.give_receive_buffers(1, 64);
  console.transmit("a");
  console.transmit("b");
  EXPECT_EQ(console.returned(), 0);
  EXPECT_EQ(console.rig().context().interrupts(console.tx()), 0u);
  console.host_writes("c");
  EXPECT_EQ(console.returned(), 2);
}

TEST(ConsoleDevice, WrittenBuffersComeBackBeforeTheDriverRunsOutOfThem) {
  Console console;
  console.open();
  for (int i = 0; i < 16; ++i) console.transmit("x");
  EXPECT_EQ(console.returned(), 16);
  console.transmit(std::string(64 << 10, 'y'));
  EXPECT_EQ(console.returned(), 1);
  auto& ring = console.rig().ring(console.tx());
  ring.add({ring.out("of two"), ring.out(" pieces")});
  console.rig().kick(console.tx());
  console.rig().settle();
  EXPECT_EQ(console.returned(), 1);
}

TEST(ConsoleDevice, WrittenBuffersComeBackWhenThePortIsClosed) {
  Console console;
  console.open();
  console.transmit("a");
  console.say(message(1, 6, 0));
  EXPECT_EQ(console.returned(), 1);
}

TEST(ConsoleDevice, EndOfTheSocketClosesThePortAfterItsLastBytes) {
  Console console;
  console.open();
  console.give_control_buffers(1);
  console.give_receive_buffers(1, 4);
  console.host_writes("12345678");
  console.host().reset();
  console.rig().settle();
  EXPECT_EQ(console.received(), "1234");
  EXPECT_THAT(console.heard(), ::testing::IsEmpty());
  console.give_receive_buffers(2, 64);
  console.rig().kick(console.rx());
  console.rig().settle();
  EXPECT_EQ(console.received(), "5678");
  EXPECT_THAT(console.heard(), ::testing::ElementsAre(message(1, 6, 0)));
}

TEST(ConsoleDevice, BytesForACloseSocketAreDroppedAndTheirBuffersComeBack) {
  Console console;
  console.open();
  console.give_control_buffers(1);
  console.host().reset();
  for (int i = 0; i < 20; ++i) console.transmit("nobody reads this");
  EXPECT_GE(console.returned(), 16);
  EXPECT_THAT(console.heard(), ::testing::ElementsAre(message(1, 6, 0)));
  EXPECT_FALSE(console.rig().context().is_broken());
}

TEST(ConsoleDevice, HalfClosedSocketStillTakesTheGuestsBytes) {
  Console console;
  console.open();
  console.give_control_buffers(1);
  console.give_receive_buffers(1, 16);
  ASSERT_EQ(::shutdown(console.host().get(), SHUT_WR), 0);
  console.rig().settle();
  EXPECT_THAT(console.heard(), ::testing::ElementsAre(message(1, 6, 0)));
  console.transmit("last words");
  EXPECT_EQ(console.host_reads(), "last words");
}

TEST(ConsoleDevice, ReceiveBufferWithoutRoomBreaksTheDevice) {
  Console console;
  console.open();
  auto& ring = console.rig().ring(console.rx());
  ring.add({ring.out("readable")});
  console.host_writes("x");
  EXPECT_EQ(console.rig().context().broken_because(), "a receive buffer without room");
  // Stopped: nothing moves any more.
  console.transmit("y");
  EXPECT_EQ(console.host_reads(), "");
  EXPECT_EQ(console.rig().context().times_broken(), 1u);
}

TEST(ConsoleDevice, ControlBufferTooSmallBreaksTheDevice) {
  Console console;
  console.give_control_buffers(3, 8);
  console.say(message(0, 0, 1));
  EXPECT_EQ(console.rig().context().broken_because(), "a control buffer too small for a message");
}

TEST(ConsoleDevice, BrokenDataRingBreaksTheDeviceOnceAndItRecoversByReset) {
  Console console;
  console.open();
  console.rig().ring(console.tx()).set_available_index(1000);
  console.rig().kick(console.tx());
  console.rig().settle();
  console.rig().kick(console.tx());
  console.rig().kick(kControlOut);
  console.rig().settle();
  EXPECT_EQ(console.rig().context().times_broken(), 1u);
  EXPECT_FALSE(console.device().guest_open());
  console.rig().reset();
  ASSERT_TRUE(console.rig().activate(console.device()));
  console.open();
  console.transmit("again");
  EXPECT_EQ(console.host_reads(), "again");
}

TEST(ConsoleDevice, DriverWithoutPortsIsRefused) {
  DeviceRig rig;
  auto pair = make_socket_pair().value();
  auto device = ConsoleDevice::create(rig.reactor(), {"agent", std::move(pair.first)}).value();
  EXPECT_FALSE(rig.activate(*device, {.features = 0}));
}

class DisabledQueue : public ::testing::TestWithParam<uint16_t> {};
INSTANTIATE_TEST_SUITE_P(NeededQueues, DisabledQueue, ::testing::Values(2, 3, 4, 5));

TEST_P(DisabledQueue, IsRefusedAndLeavesNothingBehind) {
  DeviceRig rig;
  auto pair = make_socket_pair().value();
  auto device = ConsoleDevice::create(rig.reactor(), {"agent", std::move(pair.first)}).value();
  EXPECT_FALSE(rig.activate(*device, {.disabled = {GetParam()}}));
  for (uint16_t queue = 0; queue < 6; ++queue) rig.kick(queue);
  rig.settle();
  EXPECT_EQ(rig.context().times_broken(), 0u);
  EXPECT_TRUE(rig.activate(*device));
}

TEST(ConsoleDevice, QueuesOfTheUnusedPortMayBeDisabled) {
  Console console(1, {.disabled = {0, 1}});
  console.open();
  console.transmit("fine");
  EXPECT_EQ(console.host_reads(), "fine");
}

TEST(ConsoleDevice, ResetWithBytesUnderWayKeepsThoseOfTheHost) {
  Console console;
  console.open();
  for (int i = 0; i < 20; ++i) console.transmit(std::string(64 << 10, 'x'));
  console.host_writes("kept");
  console.rig().reset();
  console.host_reads();
  console.rig().settle();
  EXPECT_EQ(console.host_reads(), "");
  ASSERT_TRUE(console.rig().activate(console.device()));
  console.give_receive_buffers(1, 16);
  console.open();
  EXPECT_EQ(console.received(), "kept");
}

TEST(ConsoleDevice, WorksWithoutEventIndexAndIndirectDescriptors) {
  Console console(1, {.ring_features = kFeatureVersion1});
  console.open();
  console.give_receive_buffers(1, 16);
  EXPECT_EQ(console.rig().ring(console.rx()).used_flags(), 1);  // no kicks wanted
  console.host_writes("in");
  console.transmit("out");
  EXPECT_EQ(console.received(), "in");
  EXPECT_EQ(console.host_reads(), "out");
}

// What the handshake costs: the kicks the driver makes, as the device asks for them.
TEST(ConsoleDevice, HandshakeNeedsNoKickForReceiveBuffers) {
  Console console;
  console.give_control_buffers(4);
  EXPECT_FALSE(console.rig().ring(kControlIn).needs_kick());
  console.give_receive_buffers(32, 64);
  EXPECT_FALSE(console.rig().ring(console.rx()).needs_kick());
}

TEST(ConsoleDevice, NamesAndPortsThatCannotBeAreRefused) {
  auto reactor = Reactor::create().value();
  ConsoleDevice::Settings nameless("", make_socket_pair().value().first);
  EXPECT_FALSE(ConsoleDevice::create(*reactor, std::move(nameless)));
  ConsoleDevice::Settings numbered("agent", make_socket_pair().value().first);
  numbered.port = 2;
  EXPECT_FALSE(ConsoleDevice::create(*reactor, std::move(numbered)));
}

}  // namespace
}  // namespace msb::virtio
