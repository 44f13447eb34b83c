// The probe with a socket pair: the test is the relay with the sandbox's process and the guest behind it.
#include "sandbox/metrics_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temp_dir.h"

namespace msb {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kLimit = uint64_t{512} << 20;
constexpr uint32_t kFirst = 101, kEnd = 105;

wire::MachineMeasured machine_at(uint64_t uptime_ns, uint64_t cpu_time_ns) {
  wire::MachineMeasured measured;
  measured.uptime_ns = uptime_ns;
  measured.cpu_time_ns = cpu_time_ns;
  measured.resident_bytes = 100 << 20;
  return measured;
}

using Question = std::pair<std::string, uint32_t>;

struct ProbeTest : ::testing::Test {
  ProbeTest() {
    auto pair = *make_socket_pair();
    relay = std::move(pair.first);
    Bytes greeting(8);
    store_be<uint32_t>(greeting.data(), kFirst);
    store_be<uint32_t>(greeting.data() + 4, kEnd);
    EXPECT_TRUE(write_full(relay.get(), greeting));
    send(0, wire::Ready{});
    probe.emplace("s", MetricsFacts{.memory_limit_bytes = kLimit, .upper = ""},
                  *AgentConnection::greet(std::move(pair.second), deadline_after(std::chrono::seconds(10))));
  }
  template <class T>
  void send(uint32_t id, const T& message) {
    EXPECT_TRUE(write_full(relay.get(), wire::make_frame(id, 0, message)));
  }
  // The next question, as type and id.
  Question asked() {
    while (true) {
      auto frame = *questions.next();
      if (frame) return {std::string(wire::open_envelope(frame->body)->type), frame->id};
      questions.commit(*read_some(relay.get(), questions.prepare()));
    }
  }

  Fd relay;
  wire::FrameReader questions;
  std::optional<MetricsProbe> probe;
};

TEST_F(ProbeTest, both_answers_make_the_metrics) {
  ASSERT_TRUE(probe->ask());
  EXPECT_EQ(asked(), Question("core.machine.measure", kFirst));
  EXPECT_EQ(asked(), Question("core.guest.measure", kFirst + 1));
  send(kFirst + 1,
       wire::GuestMeasured{.memory_total = 400 << 20, .memory_available = 300 << 20, .root_used = 5, .root_free = 6});
  send(kFirst, machine_at(2'000'000'000, 500'000'000));
  auto metrics = probe->collect();
  ASSERT_TRUE(metrics) << metrics.error().to_string();
  EXPECT_DOUBLE_EQ(metrics->cpu_percent, 25);  // since the start
  EXPECT_EQ(metrics->memory_bytes, uint64_t{100} << 20);
  EXPECT_EQ(metrics->memory_available_bytes, uint64_t{300} << 20);
  EXPECT_EQ(metrics->memory_limit_bytes, kLimit);
  EXPECT_EQ(metrics->upper_used_bytes, 5u);
  EXPECT_EQ(metrics->upper_host_allocated_bytes, std::nullopt);
  EXPECT_EQ(metrics->uptime_ms, 2000u);
  EXPECT_FALSE(metrics->network);
}

TEST_F(ProbeTest, the_second_look_tells_of_the_time_since_the_first) {
  ASSERT_TRUE(probe->ask());
  send(kFirst, machine_at(1'000, 500));
  send(kFirst + 1, wire::GuestMeasured{});
  ASSERT_TRUE(probe->collect());
  ASSERT_TRUE(probe->ask());
  send(kFirst + 2, machine_at(2'000, 2'500));
  send(kFirst + 3, wire::GuestMeasured{});
  EXPECT_DOUBLE_EQ(probe->collect()->cpu_percent, 200);
  // The ids go round.
  ASSERT_TRUE(probe->ask());
  send(kFirst, machine_at(3'000, 2'500));
  send(kFirst + 1, wire::GuestMeasured{});
  EXPECT_DOUBLE_EQ(probe->collect()->cpu_percent, 0);
}

TEST_F(ProbeTest, an_agent_that_does_not_know_the_question_leaves_its_numbers_out) {
  ASSERT_TRUE(probe->ask());
  send(kFirst + 1, wire::ProtocolError{"unsupported_message_type", "", ""});
  send(kFirst, machine_at(1'000, 500));
  auto metrics = probe->collect();
  ASSERT_TRUE(metrics);
  EXPECT_EQ(metrics->memory_available_bytes, std::nullopt);
  EXPECT_EQ(metrics->memory_bytes, metrics->memory_host_resident_bytes);
}

TEST_F(ProbeTest, a_guest_that_hangs_is_left_out_and_not_asked_again_until_it_has_answered) {
  ASSERT_TRUE(probe->ask());
  send(kFirst, machine_at(1'000, 500));
  auto metrics = probe->collect();
  ASSERT_TRUE(metrics);
  EXPECT_EQ(metrics->memory_available_bytes, std::nullopt);
  asked();
  asked();
  ASSERT_TRUE(probe->ask());
  EXPECT_EQ(asked(), Question("core.machine.measure", kFirst + 2));
  // It comes to itself.
  send(kFirst + 1, wire::GuestMeasured{.memory_total = 400 << 20, .memory_available = 300 << 20});
  send(kFirst + 2, machine_at(2'000, 500));
  EXPECT_EQ(probe->collect()->memory_available_bytes, uint64_t{300} << 20);
  ASSERT_TRUE(probe->ask());
  EXPECT_EQ(asked().first, "core.machine.measure");
  EXPECT_EQ(asked().first, "core.guest.measure");
}

TEST_F(ProbeTest, frames_that_nobody_asked_for_are_passed_over) {
  ASSERT_TRUE(probe->ask());
  send(kFirst + 1, wire::Pong{});
  send(kFirst, wire::GuestMeasured{.memory_total = 1});
  send(kFirst + 3, machine_at(1, 1));
  send(kFirst, machine_at(1'000, 500));
  auto metrics = probe->collect();
  ASSERT_TRUE(metrics);
  EXPECT_EQ(metrics->vcpu_time_ns, 500u);
}

TEST_F(ProbeTest, a_sandbox_that_ends_meanwhile_says_so) {
  ASSERT_TRUE(probe->ask());
  relay.reset();
  EXPECT_TRUE(*probe->wait(std::nullopt));
  auto metrics = probe->collect();
  ASSERT_FALSE(metrics);
  EXPECT_EQ(metrics.error().kind(), ErrorKind::sandbox_not_running);
}

SandboxMetrics from(const wire::MachineMeasured& machine, const wire::GuestMeasured& guest) {
  return *to_metrics(machine, guest, std::nullopt, {.memory_limit_bytes = kLimit, .upper = ""});
}

TEST(ToMetrics, a_guest_that_has_more_memory_than_it_was_given_is_not_believed) {
  const auto machine = machine_at(1, 1);
  for (const auto& [total, available] :
       {std::pair(kLimit + 1, kLimit), {kLimit, kLimit + 1}, {UINT64_MAX, UINT64_MAX}, {uint64_t{0}, uint64_t{1}}}) {
    auto metrics = from(machine, {.memory_total = total, .memory_available = available});
    EXPECT_EQ(metrics.memory_available_bytes, std::nullopt);
    EXPECT_EQ(metrics.memory_bytes, *machine.resident_bytes);
  }
}

TEST(ToMetrics, what_nobody_knows_is_an_error_and_not_a_zero) {
  auto machine = machine_at(1, 1);
  machine.resident_bytes.reset();
  EXPECT_FALSE(to_metrics(machine, {}, std::nullopt, {}));
  machine = machine_at(1, 1);
  machine.error = "the machine has ended";
  auto metrics = to_metrics(machine, {}, std::nullopt, {});
  ASSERT_FALSE(metrics);
  EXPECT_THAT(metrics.error().message(), HasSubstr("has ended"));
}

TEST(ToMetrics, counters_that_go_back_are_no_rate) {
  auto metrics = to_metrics(machine_at(10, 5), {}, machine_at(20, 50), {});
  ASSERT_TRUE(metrics);
  EXPECT_EQ(metrics->cpu_percent, 0);
}

TEST(ToMetrics, the_network_is_seen_from_the_guest_and_the_upper_layer_from_the_host) {
  auto machine = machine_at(1, 1);
  machine.network = wire::NetworkMeasured{.rx_bytes = 1,
                                          .tx_bytes = 2,
                                          .rx_frames = 3,
                                          .tx_frames = 4,
                                          .dropped_frames = 5,
                                          .connections = 6,
                                          .denials = 7};
  auto dir = *TempDir::create();
  EXPECT_TRUE(write_file_atomic(dir.path() + "/upper", std::string(8192, 'x')));
  auto metrics = to_metrics(machine, {}, std::nullopt, {.memory_limit_bytes = kLimit, .upper = dir.path() + "/upper"});
  ASSERT_TRUE(metrics);
  EXPECT_EQ(metrics->net_rx_bytes, 1u);
  EXPECT_EQ(metrics->net_tx_bytes, 2u);
  ASSERT_TRUE(metrics->network);
  EXPECT_EQ(metrics->network->dropped_frames, 5u);
  EXPECT_EQ(metrics->network->connections, 6u);
  EXPECT_EQ(metrics->network->denials, 7u);
  EXPECT_EQ(metrics->upper_host_allocated_bytes.value_or(0) % 512, 0u);
  EXPECT_GT(metrics->upper_host_allocated_bytes.value_or(0), 0u);
}

}  // namespace
}  // namespace msb
