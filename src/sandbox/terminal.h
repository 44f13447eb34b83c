// RawTerminal: a terminal in raw mode as long as the object lives.
#pragma once

#include <termios.h>

#include <optional>

#include "base/result.h"

namespace msb {

struct TerminalSize {
  uint16_t rows = 24;
  uint16_t cols = 80;
  bool operator==(const TerminalSize&) const = default;
};

// nullopt when it is no terminal or does not know its size.
std::optional<TerminalSize> terminal_size(int fd);

class [[nodiscard]] RawTerminal {
 public:
  // Does not own the descriptor. ErrorKind::terminal when it is not a terminal.
  static Result<RawTerminal> enter(int fd);
  RawTerminal(RawTerminal&& other) noexcept;
  RawTerminal& operator=(RawTerminal&&) = delete;
  ~RawTerminal() { restore(); }
  void restore();

 private:
  RawTerminal(int fd, const termios& saved) : fd_(fd), saved_(saved) {}
  int fd_;
  termios saved_;
};

}  // namespace msb
