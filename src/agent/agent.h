// Agent: answers the frames of the host. One thread, one reactor.
//
// Life: the first frame is core.bootstrap; the guest is set up and core.ready sent (or core.boot.failed,
// then power off); from then on sessions run until core.shutdown, or until the host goes away.
// No frame can end the agent: what it cannot use is answered with core.error.
#pragma once

#include <unordered_map>

#include "agent/channel.h"
#include "agent/exec_session.h"
#include "agent/guest.h"
#include "agent/oom_watch.h"
#include "agent/reaper.h"
#include "wire/file_messages.h"

namespace msb::agent {

class Agent {
 public:
  static constexpr size_t kMaxSessions = 1024;

  static Result<std::unique_ptr<Agent>> create(Reactor& reactor, Fd channel, Guest& guest);

  // Ends everything in order, as core.shutdown does.
  void shut_down(uint32_t grace_ms);

 private:
  enum class State { waiting, running, terminating, killing, off };

  Agent(Reactor& reactor, Guest& guest) : reactor_(reactor), guest_(guest) {}
  void on_frame(const wire::Frame& frame);
  void on_exit(pid_t pid, int status);
  void on_deadline();
  void on_closed();
  void power_off_if_empty();
  void power_off();

  void bootstrap(const wire::Bootstrap& message);
  void request(uint32_t id, const wire::ExecRequest& message);
  void request(uint32_t id, const wire::FileRequest& message);
  void add(std::unique_ptr<Session> session);
  void disconnect(const wire::ClientDisconnected& message);
  void sync_clock(uint64_t unix_time_nanos);
  // Answers with core.error, which ends the session if there is one.
  void refuse(uint32_t id, std::string_view kind, std::string_view type, std::string message);

  // Decodes the payload and hands it to `use`, or refuses it.
  template <wire::Message T, class Use>
  void with(const wire::Frame& frame, const wire::Envelope& envelope, Use use);
  template <wire::Message T, class Use>
  void with_session(const wire::Frame& frame, const wire::Envelope& envelope, Use use);
  void abandon(Session& session);
  void bury(Session& session);

  Reactor& reactor_;
  Guest& guest_;
  State state_ = State::waiting;
  Defaults defaults_;
  OomWatch oom_;
  uint64_t activity_ = 0;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<Reaper> reaper_;
  std::unique_ptr<Timer> deadline_;
  std::unordered_map<Session*, std::unique_ptr<Session>> all_;
  std::unordered_map<pid_t, Session*> processes_;    // those not reaped yet, by process id
  std::unordered_map<uint32_t, Session*> sessions_;  // those with a client, by session id
  std::unique_ptr<Session> buried_;                  // finished, but perhaps still on the call stack
};

}  // namespace msb::agent
