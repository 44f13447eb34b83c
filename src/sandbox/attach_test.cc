#include "sandbox/attach.h"

#include <gmock/gmock.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <thread>

#include "sandbox/exec_request.h"
#include "sandbox/terminal.h"
#include "sandbox/testing/fake_relay.h"

namespace msb {
namespace {

using testing::FakeRelay;

// A pseudo terminal: `user` is where somebody types and reads, `terminal` what the program has.
struct Pty {
  Fd user;
  Fd terminal;
  static Pty open() {
    Fd user(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    EXPECT_EQ(::grantpt(user.get()), 0);
    EXPECT_EQ(::unlockpt(user.get()), 0);
    Fd terminal = *open_file(::ptsname(user.get()), O_RDWR | O_NOCTTY);
    winsize size{.ws_row = 33, .ws_col = 99, .ws_xpixel = 0, .ws_ypixel = 0};
    ::ioctl(user.get(), TIOCSWINSZ, &size);
    return {std::move(user), std::move(terminal)};
  }
  tcflag_t local_flags() const {
    termios state{};
    ::tcgetattr(terminal.get(), &state);
    return state.c_lflag;
  }
  TerminalFds fds() const { return {terminal.get(), terminal.get()}; }
};

TEST(RawTerminal, is_raw_while_it_lives_and_itself_again_after) {
  Pty pty = Pty::open();
  tcflag_t before = pty.local_flags();
  {
    auto raw = RawTerminal::enter(pty.terminal.get());
    ASSERT_TRUE(raw);
    EXPECT_EQ(pty.local_flags() & (ICANON | ECHO | ISIG), 0u);
  }
  EXPECT_EQ(pty.local_flags(), before);
}

TEST(RawTerminal, refuses_what_is_no_terminal) {
  auto pipe = make_pipe();
  auto raw = RawTerminal::enter(pipe->read.get());
  ASSERT_FALSE(raw);
  EXPECT_EQ(raw.error().kind(), ErrorKind::terminal);
}

struct Session {
  FakeRelay relay;
  std::unique_ptr<ExecHandle::State> state;
  wire::ExecRequest request;

  static Session start(const Pty& pty) {
    auto [relay, client] = FakeRelay::create();
    ExecOptions options = interactive({}, pty.fds());
    auto state = ExecHandle::State::start("box", *AgentConnection::greet(std::move(client), std::nullopt),
                                          *make_exec_request("sh", options), options);
    EXPECT_TRUE(state);
    auto request = relay.expect<wire::ExecRequest>();
    return {std::move(relay), std::move(*state), std::move(request)};
  }
};

TEST(Attach, asks_for_a_terminal_of_the_same_size) {
  Pty pty = Pty::open();
  auto session = Session::start(pty);
  EXPECT_TRUE(session.request.tty);
  EXPECT_EQ(session.request.rows, 33u);
  EXPECT_EQ(session.request.cols, 99u);
}

TEST(Attach, joins_the_terminal_and_the_process) {
  Pty pty = Pty::open();
  tcflag_t before = pty.local_flags();
  auto session = Session::start(pty);
  std::thread guest([&] {
    session.relay.send(wire::ExecStarted{.pid = 1, .stdin_window = 1000});
    session.relay.stdout_data("$ ");
    char prompt[2];
    EXPECT_EQ(*read_full(pty.user.get(), {reinterpret_cast<uint8_t*>(prompt), 2}), 2u);
    EXPECT_TRUE(write_full(pty.user.get(), as_bytes("exit\r")));
    std::string typed;
    while (typed.size() < 5) typed += as_text(session.relay.expect<wire::ExecStdin>().data);
    EXPECT_EQ(typed, "exit\r");
    session.relay.exit(5);
  });
  auto outcome = run_attached(*session.state, "ctrl-]", pty.fds());
  guest.join();
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcome->exit_code, 5);
  EXPECT_FALSE(outcome->detached);
  EXPECT_EQ(pty.local_flags(), before);
}

TEST(Attach, the_detach_keys_leave_the_process_running) {
  Pty pty = Pty::open();
  tcflag_t before = pty.local_flags();
  auto session = Session::start(pty);
  session.relay.send(wire::ExecStarted{.pid = 1, .stdin_window = 1000});
  std::thread user([&] {
    // Typed once the terminal is raw: the program's output shows that.
    session.relay.stdout_data(">");
    uint8_t shown;
    EXPECT_EQ(*read_full(pty.user.get(), {&shown, 1}), 1u);
    EXPECT_TRUE(write_full(pty.user.get(), as_bytes("\x10\x11")));
  });
  auto outcome = run_attached(*session.state, "ctrl-p,ctrl-q", pty.fds());
  user.join();
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_TRUE(outcome->detached);
  session.relay.expect<wire::ExecDetach>();
  EXPECT_EQ(pty.local_flags(), before);
}

TEST(Attach, a_sandbox_that_goes_away_restores_the_terminal) {
  Pty pty = Pty::open();
  tcflag_t before = pty.local_flags();
  auto session = Session::start(pty);
  session.relay.close();
  auto outcome = run_attached(*session.state, "", pty.fds());
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind(), ErrorKind::runtime);
  EXPECT_EQ(pty.local_flags(), before);
}

TEST(Attach, a_resize_reaches_the_guest) {
  Pty pty = Pty::open();
  auto session = Session::start(pty);
  std::thread user([&] {
    session.relay.send(wire::ExecStarted{.pid = 1, .stdin_window = 1000});
    session.relay.stdout_data(">");
    uint8_t shown;
    EXPECT_EQ(*read_full(pty.user.get(), {&shown, 1}), 1u);
    winsize size{.ws_row = 10, .ws_col = 20, .ws_xpixel = 0, .ws_ypixel = 0};
    ::ioctl(pty.user.get(), TIOCSWINSZ, &size);
    // The test's terminal is not its controlling one, so no SIGWINCH comes; a key does the same.
    EXPECT_TRUE(write_full(pty.user.get(), as_bytes("k")));
    auto resize = session.relay.expect<wire::ExecResize>();
    EXPECT_EQ(resize.rows, 10u);
    EXPECT_EQ(resize.cols, 20u);
    session.relay.exit(0);
  });
  auto outcome = run_attached(*session.state, "", pty.fds());
  user.join();
  EXPECT_TRUE(outcome);
}

TEST(Attach, bad_detach_keys_touch_nothing) {
  Pty pty = Pty::open();
  auto session = Session::start(pty);
  auto outcome = run_attached(*session.state, "ctrl-1", pty.fds());
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind(), ErrorKind::invalid_config);
}

}  // namespace
}  // namespace msb
