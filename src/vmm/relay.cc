#include "vmm/relay.h"

#include <array>

namespace msb::vmm {

struct Relay::Client {
  uint32_t slot = 0;
  Fd socket;
  uint32_t first = 0;
  uint32_t end = 0;
  size_t sessions = 0;
  std::optional<uint32_t> measuring;  // the id under which it has asked what the machine uses
  wire::FrameReader reader;
  OutQueue out;
  Reactor::Watch watch;
};

namespace {

// What the relay and the VMM say to the agent; a client that could would speak for other clients.
constexpr std::array<std::string_view, 5> kReserved{wire::Bootstrap::kType, wire::Ready::kType,
                                                    wire::ClientDisconnected::kType, wire::ClockSync::kType,
                                                    wire::MachineMeasured::kType};

bool is_reserved(std::string_view type) {
  for (auto reserved : kReserved)
    if (type == reserved) return true;
  return false;
}

}  // namespace

Relay::Relay(Reactor& reactor, AgentChannel& agent, ExecLog& log, Observer observer, RelayLimits limits)
    : reactor_(reactor), agent_(agent), log_(log), observer_(std::move(observer)), limits_(limits) {}

Relay::~Relay() {
  stop_listening();
}

void Relay::set_ready(ByteView raw_ready_frame) {
  ready_.assign(raw_ready_frame.begin(), raw_ready_frame.end());
}

// ---- clients ------------------------------------------------------------------------

std::optional<uint32_t> Relay::free_slot() {
  if (clients_.size() >= limits_.clients) return std::nullopt;
  // Round robin: an id is used again as late as possible, so that late frames of a client that has
  // gone find nobody. A slot whose detached processes live on is passed over.
  for (uint32_t i = 0; i < limits_.clients; ++i) {
    uint32_t slot = next_slot_;
    next_slot_ = next_slot_ == limits_.clients ? 1 : next_slot_ + 1;
    if (!clients_.contains(slot) && !detached_in_slot_.contains(slot)) return slot;
  }
  return std::nullopt;
}

Result<> Relay::add_client(Fd socket) {
  auto slot = free_slot();
  if (!slot) return fail(ErrorKind::runtime, cat("the sandbox has ", limits_.clients, " clients already"));
  auto client = std::make_unique<Client>();
  client->slot = *slot;
  client->socket = std::move(socket);
  client->first = first_id(*slot);
  client->end = client->first + width();
  MSB_TRY(client->watch, reactor_.watch(client->socket.get(), EPOLLIN, [this, raw = client.get()](uint32_t events) {
    (void)on_client(*raw, events);
  }));
  Client& added = *client;
  clients_.emplace(*slot, std::move(client));

  Bytes greeting(8);
  store_be(greeting.data(), added.first);
  store_be(greeting.data() + 4, added.end);
  greeting.insert(greeting.end(), ready_.begin(), ready_.end());
  (void)send(added, greeting);
  return {};
}

Relay::Fate Relay::on_client(Client& client, uint32_t events) {
  if (events & EPOLLOUT) {
    size_t before = client.out.pending();
    if (!client.out.flush(client.socket.get())) return drop(client.slot), Fate::gone;
    queued_ -= before - client.out.pending();
    watch_for(client);
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) return read_client(client);
  return Fate::lives;
}

Relay::Fate Relay::read_client(Client& client) {
  auto count = read_some(client.socket.get(), client.reader.prepare());
  if (!count && count.error().errnum() == EAGAIN) return Fate::lives;
  if (!count || *count == 0) return drop(client.slot), Fate::gone;
  client.reader.commit(*count);
  return forward(client);
}

Relay::Fate Relay::forward(Client& client) {
  const uint32_t slot = client.slot;
  while (!agent_.congested()) {
    auto raw = client.reader.next_raw();
    if (!raw) return drop(client.slot), Fate::gone;
    if (!*raw) break;
    if (auto refusal = take_frame(client, **raw)) {
      // After a frame with somebody else's id nothing the client says can be trusted.
      bool fatal = refusal->kind == "invalid_session";
      auto fate = send(client, wire::make_frame(wire::frame_id(**raw), wire::kFlagTerminal, *refusal));
      if (fate == Fate::gone) return fate;
      if (fatal) return drop(client.slot), Fate::gone;
    } else if (!clients_.contains(slot)) {
      return Fate::gone;  // measured() came at once and found that it reads nothing
    }
  }
  watch_for(client);
  return Fate::lives;
}

std::optional<wire::ProtocolError> Relay::take_frame(Client& client, ByteView raw) {
  uint32_t id = wire::frame_id(raw);
  if (id < client.first || id >= client.end)
    return wire::ProtocolError{"invalid_session", cat("id ", id, " is not one of this client's"), ""};
  auto envelope = wire::open_envelope(wire::frame_body(raw));
  if (!envelope) return wire::ProtocolError{"malformed_message", envelope.error().message(), ""};
  auto type = envelope->type;
  if (is_reserved(type))
    return wire::ProtocolError{"unsupported_message_type", "clients may not send this", std::string(type)};

  bool process = type == wire::ExecRequest::kType;
  if (process || type == wire::FileRequest::kType) {
    if (sessions_.contains(id))
      return wire::ProtocolError{"invalid_session", cat("session ", id, " is in use"), std::string(type)};
    if (sessions_.size() >= limits_.sessions)
      return wire::ProtocolError{"invalid_payload", cat("the sandbox has ", limits_.sessions, " sessions already"),
                                 std::string(type)};
    // Only a process has output to log.
    sessions_.emplace(id, Session{.detached = false, .log = process ? log_.begin() : ExecLog::Session{}});
    ++client.sessions;
    observer_.on_activity();
  } else if (type == wire::ExecDetach::kType) {
    if (auto session = sessions_.find(id); session != sessions_.end()) session->second.detached = true;
  } else if (type == wire::Touch::kType) {
    observer_.on_activity();
  } else if (type == wire::Shutdown::kType) {
    // The VMM process sends its own, so that it knows what is coming and limits how long it takes.
    auto shutdown = wire::decode<wire::Shutdown>(envelope->payload);
    if (!shutdown) return wire::ProtocolError{"invalid_payload", shutdown.error().message(), std::string(type)};
    observer_.on_shutdown_request(shutdown->grace_ms);
    return std::nullopt;
  } else if (type == wire::MeasureMachine::kType) {
    if (client.measuring)
      return wire::ProtocolError{"invalid_payload", cat("session ", *client.measuring, " asks for it already"),
                                 std::string(type)};
    client.measuring = id;
    observer_.on_measure();
    return std::nullopt;
  }
  agent_.send(raw);
  return std::nullopt;
}

Relay::Fate Relay::send(Client& client, ByteView frame) {
  size_t before = client.out.pending();
  if (!client.out.send(client.socket.get(), frame)) return drop(client.slot), Fate::gone;
  queued_ += client.out.pending() - before;
  size_t cap = limits_.client_queue + client.sessions * limits_.session_queue;
  if (client.out.pending() > cap || queued_ > limits_.all_queues) {
    log_.system(cat("a client that did not read was cut off with ", client.out.pending(), " bytes waiting"));
    return drop(client.slot), Fate::gone;
  }
  watch_for(client);
  return Fate::lives;
}

void Relay::watch_for(Client& client) {
  uint32_t events = agent_.congested() ? 0 : EPOLLIN;
  if (!client.out.empty()) events |= EPOLLOUT;
  (void)client.watch.set_events(events);
}

void Relay::drop(uint32_t slot) {
  auto found = clients_.find(slot);
  if (found == clients_.end()) return;
  auto client = std::move(found->second);
  clients_.erase(found);
  queued_ -= client->out.pending();

  bool had_sessions = false;
  for (auto session = sessions_.begin(); session != sessions_.end();) {
    if (session->first < client->first || session->first >= client->end) {
      ++session;
    } else if (session->second.detached) {
      ++detached_in_slot_[slot];
      ++session;
    } else {
      had_sessions = true;
      log_.end(session->second.log);
      session = sessions_.erase(session);
    }
  }
  agent_.send(wire::make_frame(0, 0, wire::ClientDisconnected{client->first, client->end}));
  if (had_sessions) observer_.on_activity();
}

// ---- the guest ----------------------------------------------------------------------

uint32_t Relay::start_internal(const wire::ExecRequest& request, std::function<void(ByteView raw)> on_frame) {
  uint32_t id = first_id(0);
  internal_ = std::move(on_frame);
  sessions_.emplace(id, Session{.detached = false, .log = log_.begin()});
  agent_.send(wire::make_frame(id, wire::kFlagSessionStart, request));
  return id;
}

void Relay::from_agent(ByteView raw) {
  uint32_t id = wire::frame_id(raw);
  if (id == 0) return;  // the relay has asked nothing
  uint32_t slot = slot_of(id);

  if (auto session = sessions_.find(id); session == sessions_.end()) {
    // The VMM process's word, which the guest must not speak.
    auto envelope = wire::open_envelope(wire::frame_body(raw));
    if (envelope && envelope->type == wire::MachineMeasured::kType) return;
  } else {
    auto envelope = wire::open_envelope(wire::frame_body(raw));
    bool out = envelope && envelope->type == wire::ExecStdout::kType;
    if (out || (envelope && envelope->type == wire::ExecStderr::kType)) {
      // Both have the same fields.
      if (auto data = wire::decode<wire::ExecStdout>(envelope->payload))
        log_.output(session->second.log, out ? LogSource::stdout_stream : LogSource::stderr_stream, data->data);
    }
  }
  // Delivered before the session's end is noted, which may end the sandbox.
  if (slot == 0) {
    if (internal_ && id == first_id(0)) internal_(raw);
  } else if (auto client = clients_.find(slot); client != clients_.end()) {
    if (send(*client->second, raw) == Fate::gone) return;
  }
  if (wire::frame_flags(raw) & wire::kFlagTerminal) end_session(id);
}

void Relay::end_session(uint32_t id) {
  auto session = sessions_.find(id);
  if (session == sessions_.end()) return;
  log_.end(session->second.log);
  sessions_.erase(session);
  uint32_t slot = slot_of(id);
  if (auto client = clients_.find(slot); client != clients_.end()) {
    --client->second->sessions;
  } else if (auto detached = detached_in_slot_.find(slot); detached != detached_in_slot_.end()) {
    if (--detached->second == 0) detached_in_slot_.erase(detached);
  }
  observer_.on_activity();
}

std::vector<uint32_t> Relay::slots() const {
  std::vector<uint32_t> slots;
  slots.reserve(clients_.size());
  for (const auto& [slot, client] : clients_) slots.push_back(slot);
  return slots;
}

void Relay::on_agent_drained() {
  for (uint32_t slot : slots())
    if (auto client = clients_.find(slot); client != clients_.end()) (void)forward(*client->second);
}

void Relay::measured(const wire::MachineMeasured& answer) {
  for (uint32_t slot : slots()) {
    auto found = clients_.find(slot);
    if (found == clients_.end() || !found->second->measuring) continue;
    uint32_t id = *std::exchange(found->second->measuring, std::nullopt);
    (void)send(*found->second, wire::make_frame(id, wire::kFlagTerminal, answer));
  }
}

}  // namespace msb::vmm
