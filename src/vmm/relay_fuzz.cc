// The host's side of the wire, as the guest sees it and as a client does. The first byte of the input says
// who speaks; the rest is what it writes. Whatever it is, the relay must survive and stay bounded.
#include <sys/socket.h>

#include <csignal>

#include "base/temp_dir.h"
#include "vmm/boot.h"
#include "vmm/relay.h"

namespace {

using namespace msb;

struct World {
  TempDir temp = *TempDir::create();
  std::unique_ptr<Reactor> reactor = *Reactor::create();
  vmm::ExecLog log{*state::LogWriter::open(temp.path() + "/exec.log", {.file_bytes = 1 << 16, .old_files = 0})};
  SocketPair agent = *make_socket_pair();
  SocketPair client = *make_socket_pair();
  SocketPair other = *make_socket_pair();
  bool lost = false;
  std::unique_ptr<vmm::AgentChannel> channel;
  std::unique_ptr<vmm::Relay> relay;

  World() {
    ::signal(SIGPIPE, SIG_IGN);
    for (auto* socket : {&agent.first, &agent.second, &client.first, &client.second, &other.first, &other.second})
      (void)set_blocking(socket->get(), Blocking::no);
    channel = *vmm::AgentChannel::create(*reactor, agent.first.get(),
                                         {.on_frame =
                                              [this](ByteView raw) {
                                                (void)vmm::judge_boot_frame(raw);
                                                relay->from_agent(raw);
                                              },
                                          .on_lost = [this](const Error&) { lost = true; },
                                          .on_drained = [this] { relay->on_agent_drained(); }});
    vmm::RelayLimits limits;
    limits.clients = 4;
    limits.client_queue = 1 << 16;
    relay = std::make_unique<vmm::Relay>(*reactor, *channel, log,
                                         vmm::Relay::Observer{.on_shutdown_request = [](uint32_t) {},
                                                              .on_activity = [] {},
                                                              .on_measure = [this] { relay->measured({}); }},
                                         limits);
    relay->set_ready(wire::make_frame(0, 0, wire::Ready{}));
    (void)relay->add_client(std::move(client.first));
    (void)relay->add_client(std::move(other.first));
    wire::ExecRequest request;
    request.cmd = "true";
    relay->start_internal(request, [](ByteView) {});
    // A session of each client, so that the guest has somebody to talk to.
    uint32_t width = UINT32_MAX / 5;
    (void)write_full(client.second.get(), wire::make_frame(1 + width, 0, request));
    (void)write_full(other.second.get(), wire::make_frame(1 + 2 * width, 0, request));
  }

  // Turns the loop once; an event of its own keeps it from waiting.
  void turn(int& ended) {
    Pipe nudge = *make_pipe();
    (void)write_full(nudge.write.get(), as_bytes("x"));
    auto watch = *reactor->watch(nudge.read.get(), EPOLLIN, [&](uint32_t) { ++ended; });
    (void)reactor->run_once();
  }
};

void write_what_fits(int socket, ByteView bytes) {
  (void)::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  World world;
  int turns = 0;
  world.turn(turns);
  // In two pieces, so that frames are cut everywhere.
  ByteView rest(data + 2, size - 2);
  size_t cut = rest.empty() ? 0 : data[1] % (rest.size() + 1);
  int speaker = data[0] % 2 == 0 ? world.agent.second.get() : world.client.second.get();
  write_what_fits(speaker, rest.first(cut));
  world.turn(turns);
  write_what_fits(speaker, rest.subspan(cut));
  for (int i = 0; i < 3; ++i) world.turn(turns);
  // One of them leaves, and what it leaves behind is put away.
  world.client.second.reset();
  world.turn(turns);
  if (world.relay->clients() > 2 || world.relay->sessions() > size + 3) __builtin_trap();
  return 0;
}
