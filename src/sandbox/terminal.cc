#include "sandbox/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace msb {

std::optional<TerminalSize> terminal_size(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0) return std::nullopt;
  return TerminalSize{size.ws_row, size.ws_col};
}

Result<RawTerminal> RawTerminal::enter(int fd) {
  termios saved{};
  if (::tcgetattr(fd, &saved) < 0)
    return fail(Error(ErrorKind::terminal, "standard input is not a terminal")
                    .hint("run it in a terminal, or run the command without one (no --tty)"));
  termios raw = saved;
  ::cfmakeraw(&raw);
  // TCSADRAIN: what was printed before keeps its line endings, what was typed ahead is kept.
  if (::tcsetattr(fd, TCSADRAIN, &raw) < 0)
    return fail(Error::from_errno(errno, "switch the terminal to raw mode").as(ErrorKind::terminal));
  return RawTerminal(fd, saved);
}

RawTerminal::RawTerminal(RawTerminal&& other) noexcept : fd_(std::exchange(other.fd_, -1)), saved_(other.saved_) {}

void RawTerminal::restore() {
  if (int fd = std::exchange(fd_, -1); fd >= 0) ::tcsetattr(fd, TCSADRAIN, &saved_);
}

}  // namespace msb
