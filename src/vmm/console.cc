#include "vmm/console.h"

#include "base/fd.h"

namespace msb::vmm {

Result<std::unique_ptr<Console>> Console::create(Reactor& reactor, int socket, state::LogWriter log) {
  std::unique_ptr<Console> console(new Console(socket, std::move(log)));
  MSB_TRY(console->watch_, reactor.watch(socket, EPOLLIN, [raw = console.get()](uint32_t) {
    raw->drain();
    if (raw->halted_ && raw->on_halt_) std::exchange(raw->on_halt_, nullptr)();
  }));
  return console;
}

void Console::drain() {
  uint8_t buffer[16 * 1024];
  // Bounded: a guest that prints without end must not keep the process from its other work.
  for (int round = 0; round < 16; ++round) {
    auto count = read_some(socket_, buffer);
    if (!count && count.error().errnum() == EAGAIN) return;
    if (!count || *count == 0) {
      watch_.reset();
      finish_line();
      return;
    }
    feed(ByteView(buffer).first(*count));
  }
}

void Console::feed(ByteView bytes) {
  for (uint8_t byte : bytes) {
    if (byte == '\n') {
      finish_line();
    } else if (byte != '\r' && line_.size() < kLongestLine) {
      line_.push_back(static_cast<char>(byte));
    }
  }
}

void Console::finish_line() {
  if (line_.empty()) return;
  auto has = [&](std::string_view words) { return line_.find(words) != std::string::npos; };
  if (has("Kernel panic") && !panicked_) {
    panicked_ = true;
    panic_line_ = line_;
  }
  if (has("Out of memory") || has("out of memory") || has("System is deadlocked on memory") ||
      has("page allocation failure") || has("Failed to allocate") || has("Cannot allocate memory"))
    out_of_memory_ = true;
  // "Power off not available: System halted instead" is what this machine, which has no power switch, makes of a
  // poweroff.
  if (has("reboot: ") && has("System halted")) halted_ = true;
  if (halted_ || has("reboot: Power down") || has("reboot: Restarting system")) powered_off_ = true;
  if (budget_.take(line_.size() + 64)) {
    if (uint64_t missing = budget_.take_refused()) log_.system(cat(missing, " bytes of console output left out"));
    log_.system(line_);
  }
  lines_.push_back(std::exchange(line_, {}));
  if (lines_.size() > kKeptLines) lines_.pop_front();
}

std::vector<std::string> Console::last_lines() const {
  std::vector<std::string> lines(lines_.begin(), lines_.end());
  if (!line_.empty()) lines.push_back(line_);
  return lines;
}

}  // namespace msb::vmm
