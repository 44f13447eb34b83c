#include "base/reactor.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

namespace msb {
namespace {

struct ReactorTest : ::testing::Test {
  std::unique_ptr<Reactor> reactor = Reactor::create().value();
};

TEST_F(ReactorTest, reports_a_readable_descriptor) {
  auto pipe = make_pipe().value();
  uint8_t seen = 0;
  auto watch = reactor->watch(pipe.read.get(), EPOLLIN, [&](uint32_t) {
    ASSERT_EQ(read_some(pipe.read.get(), {&seen, 1}).value(), 1u);
    reactor->stop();
  });
  ASSERT_TRUE(watch);
  ASSERT_TRUE(write_full(pipe.write.get(), as_bytes("x")));
  ASSERT_TRUE(reactor->run());
  EXPECT_EQ(seen, 'x');
}

TEST_F(ReactorTest, a_watch_may_destroy_itself_and_others_of_the_same_batch) {
  auto first = make_pipe().value();
  auto second = make_pipe().value();
  int calls = 0;
  Reactor::Watch watches[2];
  auto once = [&](uint32_t) {
    ++calls;
    watches[0].reset();
    watches[1].reset();
  };
  watches[0] = reactor->watch(first.read.get(), EPOLLIN, once).value();
  watches[1] = reactor->watch(second.read.get(), EPOLLIN, once).value();
  ASSERT_TRUE(write_full(first.write.get(), as_bytes("x")));
  ASSERT_TRUE(write_full(second.write.get(), as_bytes("x")));
  ASSERT_TRUE(reactor->run_once());
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(watches[0]);
}

TEST_F(ReactorTest, events_of_interest_can_change) {
  auto pair = make_socket_pair().value();
  uint32_t seen = 0;
  auto watch = reactor->watch(pair.first.get(), EPOLLIN, [&](uint32_t events) { seen = events; }).value();
  ASSERT_TRUE(watch.set_events(EPOLLOUT));
  ASSERT_TRUE(reactor->run_once());
  EXPECT_EQ(seen, static_cast<uint32_t>(EPOLLOUT));
}

TEST_F(ReactorTest, a_closed_descriptor_is_refused) {
  EXPECT_FALSE(reactor->watch(-1, EPOLLIN, [](uint32_t) {}));
}

TEST_F(ReactorTest, a_timer_fires_and_can_be_disarmed) {
  int late = 0;
  auto never = Timer::create(*reactor, [&] { ++late; }).value();
  auto soon = Timer::create(*reactor, [&] { reactor->stop(); }).value();
  ASSERT_TRUE(never->arm(std::chrono::nanoseconds(0)));
  never->disarm();
  ASSERT_TRUE(soon->arm(std::chrono::milliseconds(1)));
  ASSERT_TRUE(reactor->run());
  EXPECT_EQ(late, 0);
}

TEST_F(ReactorTest, signals_arrive_as_events) {
  sigset_t before;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
  int seen = 0;
  {
    auto watch = SignalWatch::create(*reactor, {SIGUSR1}, [&](int signal) {
                   seen = signal;
                   reactor->stop();
                 }).value();
    ::raise(SIGUSR1);
    ASSERT_TRUE(reactor->run());
  }
  EXPECT_EQ(seen, SIGUSR1);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace
}  // namespace msb
