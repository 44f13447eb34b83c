#include "agent/agent.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <ctime>

#include "agent/file_session.h"
#include "agent/usage.h"

namespace msb::agent {
namespace {

// Between SIGKILL and power-off: only a process stuck in the kernel takes longer.
constexpr std::chrono::seconds kKillGrace{2};

uint64_t now_ns(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

Result<std::unique_ptr<Agent>> Agent::create(Reactor& reactor, Fd channel, Guest& guest) {
  // A process that closes its stdin must not kill us. Blocked, not ignored: ignoring is inherited.
  sigset_t pipe;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);

  std::unique_ptr<Agent> agent(new Agent(reactor, guest));
  Agent* raw = agent.get();
  MSB_TRY(agent->deadline_, Timer::create(reactor, [raw] { raw->on_deadline(); }));
  MSB_TRY(agent->reaper_, Reaper::create(reactor, [raw](pid_t pid, int status) { raw->on_exit(pid, status); }));
  Channel::Events events;
  events.on_frame = [raw](const wire::Frame& frame) { raw->on_frame(frame); };
  events.on_drained = [raw] {
    // A session may end on the way, which changes the map.
    std::vector<Session*> sessions;
    sessions.reserve(raw->all_.size());
    for (auto& [session, owner] : raw->all_) sessions.push_back(session);
    for (Session* session : sessions) {
      if (raw->all_.contains(session)) session->channel_drained();
    }
  };
  events.on_broken = [raw](const Error& error) { raw->refuse(0, "malformed_message", "", error.to_string()); };
  events.on_closed = [raw] { raw->on_closed(); };
  MSB_TRY(agent->channel_, Channel::open(reactor, std::move(channel), std::move(events)));
  return agent;
}

template <wire::Message T, class Use>
void Agent::with(const wire::Frame& frame, const wire::Envelope& envelope, Use use) {
  auto message = wire::decode<T>(envelope.payload);
  if (!message) return refuse(frame.id, "invalid_payload", T::kType, message.error().to_string());
  use(*message);
}

template <wire::Message T, class Use>
void Agent::with_session(const wire::Frame& frame, const wire::Envelope& envelope, Use use) {
  // A frame for a session that has just ended crossed its end on the way: no mistake.
  auto found = sessions_.find(frame.id);
  if (found == sessions_.end()) return;
  Session& session = *found->second;
  constexpr auto kKind = T::kType.starts_with("core.fs.") ? Session::Kind::files : Session::Kind::process;
  if (session.kind() != kKind)
    return refuse(frame.id, "invalid_session", T::kType, "the session is of another kind than the message");
  with<T>(frame, envelope, [&](const T& message) { use(session, message); });
}

void Agent::on_frame(const wire::Frame& frame) {
  auto opened = wire::open_envelope(frame.body);
  if (!opened) return refuse(frame.id, "malformed_message", "", opened.error().to_string());
  const wire::Envelope& envelope = *opened;
  std::string_view type = envelope.type;
  if (envelope.version == 0)
    return refuse(frame.id, "unsupported_protocol_generation", type, "generation 0 does not exist");

  if (type == wire::Ping::kType) return channel_->send(frame.id, 0, wire::Pong{});
  if (type == wire::Bootstrap::kType)
    return with<wire::Bootstrap>(frame, envelope, [&](const auto& message) { bootstrap(message); });
  if (state_ == State::waiting) return refuse(frame.id, "invalid_session", type, "core.bootstrap must come first");

  if (type == wire::ExecRequest::kType)
    return with<wire::ExecRequest>(frame, envelope, [&](const auto& message) { request(frame.id, message); });
  if (type == wire::ExecStdin::kType)
    return with_session<wire::ExecStdin>(frame, envelope, [&](Session& session, const auto& message) {
      if (!session.write_input(message.data))
        refuse(frame.id, "invalid_payload", type, "more was sent to stdin than had been granted");
    });
  if (type == wire::FileRequest::kType)
    return with<wire::FileRequest>(frame, envelope, [&](const auto& message) { request(frame.id, message); });
  if (type == wire::FileData::kType)
    return with_session<wire::FileData>(frame, envelope, [&](Session& session, const auto& message) {
      if (!session.write_input(message.data))
        refuse(frame.id, "invalid_payload", type, "more data was sent than had been granted");
    });
  if (type == wire::FileCredit::kType)
    return with_session<wire::FileCredit>(frame, envelope, [](Session& session, const auto& message) {
      session.grant(wire::Stream::out, message.bytes);
    });
  if (type == wire::ExecCredit::kType)
    return with_session<wire::ExecCredit>(
        frame, envelope, [](Session& session, const auto& message) { session.grant(message.stream, message.bytes); });
  if (type == wire::ExecResize::kType)
    return with_session<wire::ExecResize>(
        frame, envelope, [](Session& session, const auto& message) { session.resize(message.rows, message.cols); });
  if (type == wire::ExecSignal::kType)
    return with_session<wire::ExecSignal>(
        frame, envelope, [](Session& session, const auto& message) { session.signal(message.signal); });
  if (type == wire::ExecDetach::kType)
    return with_session<wire::ExecDetach>(frame, envelope, [&](Session& session, const auto&) { abandon(session); });
  if (type == wire::ClientDisconnected::kType)
    return with<wire::ClientDisconnected>(frame, envelope, [&](const auto& message) { disconnect(message); });
  if (type == wire::ClockSync::kType)
    return with<wire::ClockSync>(frame, envelope, [&](const auto& message) { sync_clock(message.unix_time_nanos); });
  if (type == wire::Touch::kType) return channel_->send(frame.id, 0, wire::Touched{++activity_});
  if (type == wire::MeasureGuest::kType) return channel_->send(frame.id, 0, measure_guest());
  if (type == wire::Shutdown::kType)
    return with<wire::Shutdown>(frame, envelope, [&](const auto& message) { shut_down(message.grace_ms); });
  refuse(frame.id, "unsupported_message_type", type, "this agent does not know the message");
}

void Agent::refuse(uint32_t id, std::string_view kind, std::string_view type, std::string message) {
  if (auto found = sessions_.find(id); found != sessions_.end()) {
    found->second->signal(SIGKILL);
    abandon(*found->second);
  }
  channel_->send(id, id == 0 ? 0 : wire::kFlagTerminal,
                 wire::ProtocolError{std::string(kind), std::move(message), std::string(type)});
}

void Agent::bootstrap(const wire::Bootstrap& message) {
  if (state_ != State::waiting) return refuse(0, "invalid_session", message.kType, "the guest is up already");
  auto limits = parse_limits(message.rlimits);
  auto failed =
      limits ? guest_.set_up(message) : std::optional(wire::BootFailed{"config", limits.error().to_string(), EINVAL});
  if (failed) {
    channel_->send(0, 0, *failed);
    return power_off();
  }
  defaults_.env = message.env;
  if (!message.workdir.empty()) defaults_.workdir = message.workdir;
  defaults_.user = message.user;
  defaults_.limits = guest_.base_limits();
  defaults_.limits.insert(defaults_.limits.end(), limits->begin(), limits->end());
  state_ = State::running;
  uint64_t now = now_ns(CLOCK_BOOTTIME);
  channel_->send(0, 0, wire::Ready{guest_.start_time_ns(), now - guest_.start_time_ns(), now, MSB_VERSION});
  guest_.after_ready(message);
}

void Agent::request(uint32_t id, const wire::ExecRequest& message) {
  if (id == 0 || sessions_.contains(id))
    return refuse(id, "invalid_session", message.kType, "the session id is in use, or 0");
  auto fail_with = [&](const SpawnFailure& failure) {
    channel_->send(
        id, wire::kFlagTerminal,
        wire::ExecFailed{std::string(failure.kind), failure.errnum, failure.message, std::string(failure.stage)});
  };
  if (state_ != State::running) return fail_with({"other", "request", ESHUTDOWN, "the sandbox is shutting down"});
  if (all_.size() >= kMaxSessions)
    return fail_with({"resource_limit", "request", EAGAIN, cat("there are ", kMaxSessions, " processes already")});
  ++activity_;
  auto session =
      ExecSession::start(reactor_, *channel_, id, message, defaults_, [this](Session& finished) { bury(finished); });
  if (!session) return fail_with(session.error());
  add(std::move(*session));
}

void Agent::request(uint32_t id, const wire::FileRequest& message) {
  if (id == 0 || sessions_.contains(id))
    return refuse(id, "invalid_session", message.kType, "the session id is in use, or 0");
  auto fail_with = [&](const wire::FileResult& result) { channel_->send(id, wire::kFlagTerminal, result); };
  auto refuse_with = [&](int errnum, std::string why) {
    wire::FileResult result;
    result.errnum = errnum;
    result.message = std::move(why);
    fail_with(result);
  };
  if (state_ != State::running) return refuse_with(ESHUTDOWN, "the sandbox is shutting down");
  auto workers = std::ranges::count_if(all_, [](auto& entry) { return entry.first->kind() == Session::Kind::files; });
  if (static_cast<size_t>(workers) >= FileSession::kMaxWorkers || all_.size() >= kMaxSessions)
    return refuse_with(EAGAIN, cat("there are ", workers, " operations on files already"));
  ++activity_;
  auto session = FileSession::start(reactor_, *channel_, id, message, [this](Session& finished) { bury(finished); });
  if (!session) return fail_with(session.error());
  add(std::move(*session));
}

void Agent::add(std::unique_ptr<Session> session) {
  sessions_[session->id()] = session.get();
  processes_[session->pid()] = session.get();
  all_[session.get()] = std::move(session);
}

void Agent::abandon(Session& session) {
  sessions_.erase(session.id());
  session.detach();
}

void Agent::bury(Session& session) {
  if (session.attached()) sessions_.erase(session.id());
  auto found = all_.find(&session);
  buried_ = std::move(found->second);
  all_.erase(found);
}

void Agent::disconnect(const wire::ClientDisconnected& message) {
  std::vector<uint32_t> gone;
  for (const auto& [id, session] : sessions_) {
    if (id >= message.id_start && id < message.id_end_exclusive) gone.push_back(id);
  }
  for (uint32_t id : gone) {
    auto found = sessions_.find(id);
    if (found == sessions_.end()) continue;
    found->second->signal(SIGKILL);
    abandon(*found->second);
  }
}

void Agent::sync_clock(uint64_t unix_time_nanos) {
  // A small difference is the message's own way here; stepping for it would only disturb.
  constexpr uint64_t kTolerance = 100'000'000;
  uint64_t ours = now_ns(CLOCK_REALTIME);
  uint64_t difference = ours > unix_time_nanos ? ours - unix_time_nanos : unix_time_nanos - ours;
  if (difference > kTolerance) guest_.set_clock(unix_time_nanos);
}

void Agent::on_exit(pid_t pid, int status) {
  if (auto found = processes_.find(pid); found != processes_.end()) {
    Session& session = *found->second;
    processes_.erase(found);
    // A shell reports its child's death by signal as 137.
    bool killed = WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 137;
    session.exited(status, killed && !session.was_killed_by_request() && oom_.killed_since_last_time());
  }
  power_off_if_empty();
}

void Agent::shut_down(uint32_t grace_ms) {
  if (state_ != State::running && state_ != State::waiting) return;
  state_ = State::terminating;
  guest_.signal_all(SIGTERM);
  // Stopped processes could not hear it.
  guest_.signal_all(SIGCONT);
  (void)deadline_->arm(std::chrono::milliseconds(grace_ms));
  power_off_if_empty();
}

void Agent::on_deadline() {
  if (state_ == State::killing) return power_off();
  state_ = State::killing;
  guest_.signal_all(SIGKILL);
  (void)deadline_->arm(kKillGrace);
}

void Agent::on_closed() {
  // Nobody is left to talk to: save what there is. In a real guest the machine is about to vanish anyway.
  shut_down(0);
}

void Agent::power_off_if_empty() {
  if ((state_ == State::terminating || state_ == State::killing) && !Reaper::has_children()) power_off();
}

void Agent::power_off() {
  if (std::exchange(state_, State::off) == State::off) return;
  deadline_->disarm();
  channel_->flush();
  guest_.power_off();
}

}  // namespace msb::agent
