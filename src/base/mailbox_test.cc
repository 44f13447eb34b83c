#include "base/mailbox.h"

#include <gtest/gtest.h>

#include <thread>

namespace msb {
namespace {

TEST(Mailbox, RunsTasksOfAnotherThreadInOrderOnTheReactorsThread) {
  auto reactor = Reactor::create().value();
  auto mailbox = Mailbox::create(*reactor).value();
  std::vector<int> order;
  std::thread::id ran_on;
  std::thread other([&] {
    mailbox->post([&] { order.push_back(1); });
    mailbox->run([&] {
      order.push_back(2);
      ran_on = std::this_thread::get_id();
    });
    mailbox->post([&] { reactor->stop(); });
  });
  ASSERT_TRUE(reactor->run());
  other.join();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

TEST(Mailbox, DropsWhatIsQueuedWhenItDies) {
  auto reactor = Reactor::create().value();
  auto mailbox = Mailbox::create(*reactor).value();
  bool ran = false;
  mailbox->post([&] { ran = true; });
  mailbox.reset();
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace msb
