#include "agent/testing/agent_process.h"

#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>

#include "agent/agent.h"

namespace msb::agent::testing {
namespace {

// Longest wait for a frame. Only a broken agent makes a test wait this long.
constexpr int kPatienceMs = 60'000;

// Signals only what the agent itself started: the sessions are in groups of their own, so the whole
// subtree is found through /proc, as kill(-1) would in a guest.
class OrdinaryGuest final : public Guest {
 public:
  explicit OrdinaryGuest(std::string log) : log_(std::move(log)) {}

  std::optional<wire::BootFailed> set_up(const wire::Bootstrap& bootstrap) override {
    note("set_up");
    if (bootstrap.root.kind == "broken") return wire::BootFailed{"mount", "mount /dev/vda: no", EIO};
    return std::nullopt;
  }
  void after_ready(const wire::Bootstrap&) override { note("after_ready"); }
  uint64_t start_time_ns() const override { return 1; }
  void set_clock(uint64_t) override { note("set_clock"); }
  void signal_all(int signal) override {
    note(cat("signal-", signal));
    std::string children;
    if (auto text = read_file(cat("/proc/self/task/", ::getpid(), "/children"))) children = *text;
    for (size_t at = 0; at < children.size();) {
      size_t end = children.find(' ', at);
      ::kill(static_cast<pid_t>(std::strtol(children.c_str() + at, nullptr, 10)), signal);
      if (end == std::string::npos) break;
      at = end + 1;
    }
  }
  // The agent object lives on the stack below us: the caller's loop ends first.
  void power_off() override {
    note("power_off");
    reactor->stop();
  }

  Reactor* reactor = nullptr;

 private:
  void note(std::string_view what) {
    auto fd = open_file(log_, O_WRONLY | O_CREAT | O_APPEND);
    if (fd) (void)write_full(fd->get(), as_bytes(cat(what, "\n")));
  }
  std::string log_;
};

Result<> serve(Fd channel, const std::string& log) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  MSB_TRY(auto reactor, Reactor::create());
  OrdinaryGuest guest(log);
  guest.reactor = reactor.get();
  MSB_TRY(auto agent, Agent::create(*reactor, std::move(channel), guest));
  return reactor->run();
}

}  // namespace

AgentProcess::AgentProcess() {
  auto pair = make_socket_pair().value();
  socket_ = std::move(pair.first);
  std::string log = directory_.path() + "/guest.log";
  pid_t pid = ::fork();
  if (pid == 0) {
    socket_.reset();
    // What the test itself has inherited is not the agent's.
    ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    auto outcome = serve(std::move(pair.second), log);
    if (!outcome) std::fprintf(stderr, "agent: %s\n", outcome.error().to_string().c_str());
    // exit, not _exit: the leak check runs at exit.
    std::exit(outcome ? 0 : 1);  // NOLINT(concurrency-mt-unsafe): there is one thread
  }
  child_ = Child::adopt(pid).value();
}

AgentProcess::~AgentProcess() = default;

void AgentProcess::boot(const wire::Bootstrap& bootstrap) {
  send(0, bootstrap);
  EXPECT_EQ(next().type, wire::Ready::kType);
}

void AgentProcess::send_raw(ByteView bytes) {
  ASSERT_TRUE(write_full(socket_.get(), bytes));
}

Received AgentProcess::next() {
  while (true) {
    auto frame = reader_.next();
    EXPECT_TRUE(frame);
    if (frame && *frame) {
      auto envelope = wire::open_envelope((*frame)->body).value();
      return {(*frame)->id, (*frame)->flags, std::string(envelope.type),
              Bytes(envelope.payload.begin(), envelope.payload.end())};
    }
    pollfd readable{socket_.get(), POLLIN, 0};
    if (::poll(&readable, 1, kPatienceMs) != 1) {
      ADD_FAILURE() << "the agent says nothing";
      return {};
    }
    auto count = read_some(socket_.get(), reader_.prepare());
    if (!count || *count == 0) {
      ADD_FAILURE() << "the agent hung up";
      return {};
    }
    reader_.commit(*count);
  }
}

Received AgentProcess::next_of(uint32_t id) {
  for (auto kept = kept_.begin(); kept != kept_.end(); ++kept) {
    if (kept->id != id) continue;
    Received found = std::move(*kept);
    kept_.erase(kept);
    return found;
  }
  while (true) {
    Received received = next();
    if (received.id == id || received.type.empty()) return received;
    kept_.push_back(std::move(received));
  }
}

std::string AgentProcess::next_text(uint32_t id) {
  Received received = next_of(id);
  return std::string(as_text(received.as<wire::ExecStdout>().data));
}

uint32_t AgentProcess::start(const wire::ExecRequest& request) {
  uint32_t id = next_id_++;
  send(id, request, wire::kFlagSessionStart);
  return id;
}

Outcome AgentProcess::finish(uint32_t id, uint64_t grant) {
  Outcome outcome;
  std::map<std::string, uint64_t> taken;
  auto take = [&](std::string& to, ByteView data, wire::Stream stream) {
    to.append(as_text(data));
    uint64_t& owed = taken[std::string(to_string(stream))];
    owed += data.size();
    if (owed < grant / 2) return;
    send(id, wire::ExecCredit{stream, std::exchange(owed, 0)});
  };
  while (true) {
    Received received = next_of(id);
    if (received.type == wire::ExecStdout::kType) {
      take(outcome.out, received.as<wire::ExecStdout>().data, wire::Stream::out);
    } else if (received.type == wire::ExecStderr::kType) {
      take(outcome.err, received.as<wire::ExecStderr>().data, wire::Stream::err);
    } else if (received.type == wire::ExecExited::kType) {
      EXPECT_EQ(received.flags, wire::kFlagTerminal);
      outcome.exited = received.as<wire::ExecExited>();
      return outcome;
    } else if (received.type == wire::ExecFailed::kType) {
      EXPECT_EQ(received.flags, wire::kFlagTerminal);
      outcome.failed = received.as<wire::ExecFailed>();
      return outcome;
    } else if (received.type != wire::ExecStarted::kType && received.type != wire::ExecCredit::kType &&
               received.type != wire::ExecStdinError::kType) {
      ADD_FAILURE() << "unexpected " << received.type;
      return outcome;
    }
  }
}

int AgentProcess::wait() {
  return child_.wait().value().code;
}

std::string AgentProcess::guest_log() const {
  return read_file(directory_.path() + "/guest.log").value_or("");
}

}  // namespace msb::agent::testing
