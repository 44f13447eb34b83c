#include "kvm/serial.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <csignal>

namespace msb::kvm {
namespace {

constexpr uint64_t kData = 0, kEnable = 1, kIdentity = 2, kLineControl = 3, kModemControl = 4, kLineStatus = 5,
                   kModemStatus = 6, kScratch = 7;

class SerialTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);  // as the real process does
    reactor = std::move(*Reactor::create());
    mailbox = std::move(*Mailbox::create(*reactor));
    auto pair = make_socket_pair();
    ASSERT_TRUE(pair);
    ours = std::move(pair->first);
    reader = std::move(pair->second);
    ASSERT_TRUE(set_blocking(reader.get(), Blocking::no));
    interrupt = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    auto made = SerialPort::create(*reactor, *mailbox, ours.get(), interrupt.get());
    ASSERT_TRUE(made) << made.error().to_string();
    port = std::move(*made);
  }
  void out(uint64_t offset, uint8_t value) { port->write(offset, ByteView(&value, 1)); }
  uint8_t in(uint64_t offset) {
    uint8_t value = 0;
    port->read(offset, MutableByteView(&value, 1));
    return value;
  }
  void print(std::string_view text) {
    for (char c : text) out(kData, static_cast<uint8_t>(c));
  }
  std::string received() {
    std::string all;
    uint8_t buffer[4096];
    while (auto count = read_some(reader.get(), buffer)) {
      if (*count == 0) break;
      all.append(as_text(ByteView(buffer, *count)));
    }
    return all;
  }
  int interrupts() {
    eventfd_t count = 0;
    return ::eventfd_read(interrupt.get(), &count) == 0 ? static_cast<int>(count) : 0;
  }

  std::unique_ptr<Reactor> reactor;
  std::unique_ptr<Mailbox> mailbox;
  Fd ours, reader, interrupt;
  std::unique_ptr<SerialPort> port;
};

TEST_F(SerialTest, a_line_is_handed_to_the_device_thread_and_written) {
  print("hello\n");
  EXPECT_EQ(received(), "") << "written by the thread of a processor";
  ASSERT_TRUE(reactor->run_once());
  EXPECT_EQ(received(), "hello\n");
}

TEST_F(SerialTest, an_unfinished_line_comes_with_the_flush) {
  print("panic: no newl");
  EXPECT_TRUE(port->flush());
  EXPECT_EQ(received(), "panic: no newl");
}

TEST_F(SerialTest, a_reader_that_does_not_read_loses_the_oldest_and_is_told) {
  std::string line(1023, 'x');
  line += '\n';
  size_t lines = 0;
  do {
    print(line);
    ++lines;
  } while (port->flush());
  for (int i = 0; i < 100; ++i, ++lines) print(line);
  bool drained = false;
  port->when_drained([&] { drained = true; });
  std::string all;
  while (!drained) {
    all += received();
    ASSERT_TRUE(reactor->run_once());
  }
  all += received();
  EXPECT_LT(all.size(), lines * line.size());
  EXPECT_NE(all.find(" bytes of console output were lost]\n"), std::string::npos);
  EXPECT_TRUE(all.ends_with(line));
}

TEST_F(SerialTest, a_reader_that_is_gone_does_not_matter) {
  reader.reset();
  print("into the void\n");
  ASSERT_TRUE(reactor->run_once());
  print("again\n");
  EXPECT_TRUE(port->flush());
}

TEST_F(SerialTest, it_is_always_ready_to_transmit) {
  EXPECT_EQ(in(kLineStatus), 0x60);
}

TEST_F(SerialTest, it_looks_like_a_16550a_to_a_driver_that_probes) {
  out(kIdentity, 0x01);
  EXPECT_EQ(in(kIdentity) & 0xc0, 0xc0) << "FIFOs";
  out(kScratch, 0xa5);
  EXPECT_EQ(in(kScratch), 0xa5);
  out(kEnable, 0x0f);
  EXPECT_EQ(in(kEnable), 0x0f);
  out(kEnable, 0xf0);
  EXPECT_EQ(in(kEnable), 0x00);
  out(kModemControl, 0x1a);  // loopback with OUT2 and RTS
  EXPECT_EQ(in(kModemStatus) & 0xf0, 0x90);
}

TEST_F(SerialTest, the_divisor_hides_data_and_interrupts) {
  out(kLineControl, 0x83);
  out(kData, 0x0c);
  out(kEnable, 0x01);
  EXPECT_EQ(in(kData), 0x0c);
  EXPECT_EQ(in(kEnable), 0x01);
  out(kLineControl, 0x03);
  EXPECT_EQ(in(kEnable), 0x00);
  EXPECT_TRUE(port->flush());
  EXPECT_EQ(received(), "");
  EXPECT_EQ(port->state().divisor, 0x010c);
}

TEST_F(SerialTest, the_transmit_interrupt_comes_once_enabled_and_after_each_byte_that_was_seen) {
  print("a");
  EXPECT_EQ(interrupts(), 0);
  out(kEnable, 0x02);
  EXPECT_EQ(interrupts(), 1);
  EXPECT_EQ(in(kIdentity) & 0x0f, 0x02);
  EXPECT_EQ(in(kIdentity) & 0x0f, 0x01) << "reading it is seeing it";
  print("b");
  EXPECT_EQ(interrupts(), 1);
  print("c");
  EXPECT_EQ(interrupts(), 0) << "not seen yet: one is enough";
  EXPECT_EQ(in(kIdentity) & 0x0f, 0x02);
  out(kEnable, 0x00);
  print("d");
  EXPECT_EQ(interrupts(), 0);
  EXPECT_EQ(in(kIdentity) & 0x0f, 0x01);
}

TEST_F(SerialTest, wide_accesses_beyond_its_registers_are_harmless) {
  Bytes ones(4);
  port->read(6, ones);
  EXPECT_EQ(ones[2], 0xff);
  port->write(6, Bytes(4, 0x55));
  EXPECT_EQ(in(kScratch), 0x55);
}

}  // namespace
}  // namespace msb::kvm
