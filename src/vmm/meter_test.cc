#include "vmm/meter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace msb::vmm {
namespace {

using ::testing::HasSubstr;

// Answers about its disks when the test says so.
class SlowMachine final : public Machine {
 public:
  int agent_fd() const override { return -1; }
  int console_fd() const override { return -1; }
  std::string name() const override { return "slow"; }
  std::string isolation() const override { return "none"; }
  std::vector<Wall> walls() const override { return {}; }
  pid_t pid() const override { return ::getpid(); }
  void measure_disks(disk::TrafficReply reply) override { waiting.push_back(std::move(reply)); }
  void kill() override {}

  void answer(Result<disk::DiskTraffic> traffic) {
    auto reply = std::move(waiting.front());
    waiting.erase(waiting.begin());
    reply(std::move(traffic));
  }
  std::vector<disk::TrafficReply> waiting;
};

struct MeterTest : ::testing::Test {
  SlowMachine machine;
  std::vector<wire::MachineMeasured> answers;
  std::unique_ptr<Meter> meter =
      *Meter::create(machine, [this](const wire::MachineMeasured& measured) { answers.push_back(measured); });
};

TEST_F(MeterTest, answers_when_all_have_answered_and_once_for_all_who_ask_meanwhile) {
  meter->measure();
  meter->measure();
  EXPECT_EQ(machine.waiting.size(), 1u);
  EXPECT_TRUE(answers.empty());
  machine.answer(disk::DiskTraffic{4096, 512});
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error, "");
  EXPECT_EQ(answers[0].disk_read_bytes, 4096u);
  EXPECT_EQ(answers[0].disk_written_bytes, 512u);
  EXPECT_GT(answers[0].cpu_time_ns, 0u);
  EXPECT_GT(answers[0].uptime_ns, 0u);
  EXPECT_GT(answers[0].resident_bytes.value_or(0), 0u);
  EXPECT_FALSE(answers[0].network);
}

TEST_F(MeterTest, a_later_question_is_answered_anew) {
  meter->measure();
  machine.answer(disk::DiskTraffic{1, 1});
  meter->measure();
  machine.answer(disk::DiskTraffic{2, 1});
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[1].disk_read_bytes, 2u);
  EXPECT_GE(answers[1].cpu_time_ns, answers[0].cpu_time_ns);
  EXPECT_GT(answers[1].uptime_ns, answers[0].uptime_ns);
}

TEST_F(MeterTest, what_cannot_be_known_is_an_error_and_not_a_zero) {
  meter->measure();
  machine.answer(fail(ErrorKind::runtime, "the machine has ended"));
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_THAT(answers[0].error, HasSubstr("the machine has ended"));
  meter->measure();
  machine.answer(disk::DiskTraffic{});
  EXPECT_EQ(answers[1].error, "");
}

TEST(Statm, the_second_number_counts_resident_pages) {
  EXPECT_EQ(parse_statm("12000 345 67 8 0 9 0\n", 4096), 345u * 4096);
}

TEST(Statm, what_tells_of_no_memory_is_absent) {
  for (const char* text : {"", "12000", "12000 ", "0 0 0 0 0 0 0\n", "1 -2 3", "1 x 3", "1 99999999999999999999 3",
                           "1 18446744073709551615 3"})
    EXPECT_EQ(parse_statm(text, 4096), std::nullopt) << text;
}

TEST(ProcessMeter, a_process_that_is_none_has_no_clock) {
  constexpr pid_t kBeyondAll = 1 << 23;  // pid_max is 1 << 22 at most
  EXPECT_FALSE(ProcessMeter::open(kBeyondAll));
}

}  // namespace
}  // namespace msb::vmm
