// Relay: many clients on a Unix socket share the one channel to the guest's agent.
//
// A client is greeted with the first and the end of its range of session ids (u32 BE each) and the
// guest's core.ready frame; then frames go both ways, routed by id. docs/format/agent-protocol.md tells
// what clients may send.
//
// Who can hold up whom: nobody. Frames from the guest are written to their client at once or queued; a
// client whose queue grows beyond its cap is cut off (streams with windows cannot get there). While the
// guest does not take what clients send, clients are not read. Sessions of a client that went away are
// ended by the agent, which is told.
//
// The guest cannot address a client that it has no session with: ids without a client are dropped.
//
// What the machine uses the VMM process says itself: core.machine.measure does not reach the guest, and an answer to it
// that comes from there reaches no client.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/reactor.h"
#include "state/home.h"
#include "vmm/agent_channel.h"
#include "vmm/exec_log.h"
#include "wire/file_messages.h"
#include "wire/measure_messages.h"

namespace msb::vmm {

struct RelayLimits {
  RelayLimits() = default;
  uint32_t clients = 1024;
  size_t sessions = 65'536;
  // Bytes that may wait for one client, plus so many for each of its sessions (two windows and their frames).
  size_t client_queue = size_t{8} << 20;
  size_t session_queue = size_t{5} << 18;
  size_t all_queues = size_t{1} << 30;
};

class Relay {
 public:
  struct Observer {
    std::function<void(uint32_t grace_ms)> on_shutdown_request;
    // A session began or ended, or a client sent core.touch.
    std::function<void()> on_activity;
    // A client asks what the machine uses; measured() shall follow, at once or later.
    std::function<void()> on_measure;
  };

  // All three must outlive the relay.
  Relay(Reactor& reactor, AgentChannel& agent, ExecLog& log, Observer observer, RelayLimits limits = {});
  ~Relay();

  // Frames of the guest that every new client gets.
  void set_ready(ByteView raw_ready_frame);
  Result<> listen(const state::Home& home, const std::string& sandbox);
  // Refuses new clients from now on and removes the socket.
  void stop_listening();
  // Takes a connected socket as a client; for listen(), and tests.
  Result<> add_client(Fd socket);

  // A session of the sandbox process itself; its frames go to `on_frame`. Give it one request at most.
  uint32_t start_internal(const wire::ExecRequest& request, std::function<void(ByteView raw)> on_frame);

  void from_agent(ByteView raw);
  void on_agent_drained();
  // The answer for every client that has asked.
  void measured(const wire::MachineMeasured& answer);

  size_t sessions() const { return sessions_.size(); }
  size_t clients() const { return clients_.size(); }

 private:
  struct Client;
  struct Session {
    bool detached = false;
    ExecLog::Session log;
  };
  enum class Fate { lives, gone };

  uint32_t width() const { return UINT32_MAX / (limits_.clients + 1); }
  uint32_t first_id(uint32_t slot) const { return 1 + slot * width(); }
  uint32_t slot_of(uint32_t id) const { return (id - 1) / width(); }

  void accept_clients();
  std::optional<uint32_t> free_slot();
  Fate on_client(Client& client, uint32_t events);
  Fate read_client(Client& client);
  // Handles the frames that have been read, as long as the agent takes them.
  Fate forward(Client& client);
  // An error for the client, or nothing when the frame went to the agent.
  std::optional<wire::ProtocolError> take_frame(Client& client, ByteView raw);
  Fate send(Client& client, ByteView frame);
  // For what may drop clients while it goes through them, which changes the map.
  std::vector<uint32_t> slots() const;
  void drop(uint32_t slot);
  void end_session(uint32_t id);
  void watch_for(Client& client);

  Reactor& reactor_;
  AgentChannel& agent_;
  ExecLog& log_;
  Observer observer_;
  RelayLimits limits_;
  Bytes ready_;
  std::string socket_path_;
  Fd listener_;
  Fd spare_;  // given up for a moment when descriptors run out
  Reactor::Watch listener_watch_;
  std::unordered_map<uint32_t, std::unique_ptr<Client>> clients_;  // by slot
  uint32_t next_slot_ = 1;                                         // 0 is the internal one
  std::unordered_map<uint32_t, Session> sessions_;                 // by id
  std::unordered_map<uint32_t, uint32_t> detached_in_slot_;        // slots that must not be given away
  std::function<void(ByteView)> internal_;
  size_t queued_ = 0;  // for all clients
};

}  // namespace msb::vmm
