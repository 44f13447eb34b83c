// The agent's life from core.bootstrap to power-off, and how it takes frames that make no sense.
#include <gtest/gtest.h>
#include <signal.h>

#include "agent/testing/agent_process.h"

namespace msb::agent {
namespace {

using testing::AgentProcess;
using testing::script;

TEST(Lifecycle, ready_tells_times_and_version) {
  AgentProcess agent;
  agent.send(0, wire::Bootstrap{});
  auto ready = agent.expect<wire::Ready>(0);
  EXPECT_EQ(ready.agent_version, MSB_VERSION);
  EXPECT_EQ(ready.boot_time_ns + ready.init_time_ns, ready.ready_time_ns);
  agent.send(5, wire::Ping{});
  agent.expect<wire::Pong>(5);
  EXPECT_EQ(agent.guest_log(), "set_up\nafter_ready\n");
}

TEST(Lifecycle, a_guest_that_cannot_be_set_up_says_why_and_switches_off) {
  AgentProcess agent;
  wire::Bootstrap bootstrap;
  bootstrap.root.kind = "broken";
  agent.send(0, bootstrap);
  auto failed = agent.expect<wire::BootFailed>(0);
  EXPECT_EQ(failed.stage, "mount");
  EXPECT_EQ(failed.errnum, EIO);
  EXPECT_EQ(agent.wait(), 0);
  EXPECT_EQ(agent.guest_log(), "set_up\npower_off\n");
}

TEST(Lifecycle, impossible_limits_fail_the_boot) {
  AgentProcess agent;
  wire::Bootstrap bootstrap;
  bootstrap.rlimits = {{"unheard", 1, 1}};
  agent.send(0, bootstrap);
  EXPECT_EQ(agent.expect<wire::BootFailed>(0).stage, "config");
  EXPECT_EQ(agent.wait(), 0);
}

TEST(Lifecycle, shutdown_asks_first_and_reports_the_exits) {
  AgentProcess agent;
  agent.boot();
  uint32_t id = agent.start(script("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done"));
  agent.expect<wire::ExecStarted>(id);
  agent.expect<wire::ExecStdout>(id);
  agent.send(0, wire::Shutdown{60'000}, wire::kFlagShutdown);
  auto outcome = agent.finish(id);
  EXPECT_EQ(outcome.out, "bye\n");
  EXPECT_EQ(outcome.exited.code, 0);
  EXPECT_EQ(agent.wait(), 0);
  EXPECT_TRUE(agent.guest_log().ends_with("power_off\n"));
}

TEST(Lifecycle, shutdown_kills_what_does_not_listen) {
  AgentProcess agent;
  agent.boot();
  uint32_t id = agent.start(script("trap '' TERM; echo up; while :; do sleep 1; done"));
  agent.expect<wire::ExecStarted>(id);
  agent.expect<wire::ExecStdout>(id);
  agent.send(0, wire::Shutdown{1});
  EXPECT_EQ(agent.finish(id).exited.code, 128 + SIGKILL);
  EXPECT_EQ(agent.wait(), 0);
}

TEST(Lifecycle, nothing_starts_during_shutdown) {
  AgentProcess agent;
  agent.boot();
  uint32_t id = agent.start(script("trap '' TERM; echo up; while :; do sleep 1; done"));
  agent.expect<wire::ExecStarted>(id);
  agent.expect<wire::ExecStdout>(id);
  agent.send(0, wire::Shutdown{500});
  EXPECT_EQ(agent.run(script("true")).failed->errnum, ESHUTDOWN);
}

TEST(Lifecycle, a_host_that_goes_away_switches_the_guest_off) {
  AgentProcess agent;
  agent.boot();
  uint32_t id = agent.start(script("sleep 1000"));
  agent.expect<wire::ExecStarted>(id);
  agent.hang_up();
  EXPECT_EQ(agent.wait(), 0);
  EXPECT_TRUE(agent.guest_log().ends_with("power_off\n"));
}

TEST(Lifecycle, orphans_are_reaped) {
  AgentProcess agent;
  agent.boot();
  auto outcome = agent.run(script("(sleep 0 & echo $! ; exec true)"));
  outcome.out.pop_back();
  // A zombie would still answer to kill -0.
  EXPECT_EQ(agent.run(script(cat("while kill -0 ", outcome.out, " 2>/dev/null; do :; done; echo gone"))).out, "gone\n");
}

TEST(Lifecycle, clock_is_set_only_when_it_is_far_off) {
  AgentProcess agent;
  agent.boot();
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t nanos = static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  agent.send(0, wire::ClockSync{nanos + 3600'000'000'000});
  agent.send(1, wire::Touch{});
  EXPECT_EQ(agent.expect<wire::Touched>(1).activity_seq, 1u);
  EXPECT_TRUE(agent.guest_log().ends_with("set_clock\n"));
}

struct Refusal {
  const char* name;
  Bytes frame;
  const char* kind;
};

TEST(Lifecycle, frames_that_make_no_sense_are_answered_and_survived) {
  AgentProcess agent;
  agent.send(9, script("true"));
  EXPECT_EQ(agent.expect<wire::ProtocolError>(9).kind, "invalid_session");
  agent.boot();
  uint32_t taken = agent.start(script("sleep 1000"));
  agent.expect<wire::ExecStarted>(taken);
  Bytes old_generation = wire::encode(wire::Envelope{0, "core.ping", {}});
  for (const auto& [name, frame, kind] : std::vector<Refusal>{
           {"not CBOR", wire::make_raw_frame(70, 0, as_bytes("\xff\xff")), "malformed_message"},
           {"empty", wire::make_raw_frame(71, 0, {}), "malformed_message"},
           {"unknown type", wire::make_frame(72, 0, "core.future", {}), "unsupported_message_type"},
           {"generation 0", wire::make_raw_frame(73, 0, old_generation), "unsupported_protocol_generation"},
           {"bad payload", wire::make_frame(74, 0, wire::ExecRequest::kType, as_bytes("\x01")), "invalid_payload"},
           {"no id", wire::make_frame(0, 0, script("true")), "invalid_session"},
           {"id in use", wire::make_frame(taken, 0, script("true")), "invalid_session"},
           {"second bootstrap", wire::make_frame(0, 0, wire::Bootstrap{}), "invalid_session"},
       }) {
    agent.send_raw(frame);
    EXPECT_EQ(agent.expect<wire::ProtocolError>(wire::frame_id(frame)).kind, kind) << name;
  }
  // Frames of sessions that are over crossed their end on the way: no answer.
  agent.send(4711, wire::ExecSignal{9});
  agent.send(4711, wire::ExecStdin{as_bytes("x")});
  EXPECT_EQ(agent.run(script("echo alive")).out, "alive\n");
}

TEST(Lifecycle, a_stream_that_is_not_frames_is_answered_and_read_no_further) {
  AgentProcess agent;
  agent.boot();
  uint32_t id = agent.start(script("echo still here"));
  agent.expect<wire::ExecStarted>(id);
  uint8_t hostile[4] = {0xff, 0xff, 0xff, 0xff};
  agent.send_raw(hostile);
  EXPECT_EQ(agent.expect<wire::ProtocolError>(0).kind, "malformed_message");
  EXPECT_EQ(agent.finish(id).out, "still here\n");
}

}  // namespace
}  // namespace msb::agent
