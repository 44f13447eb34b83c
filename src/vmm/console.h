// Console: what the guest's kernel prints. Kept in logs/kernel.log, and the last lines in memory for
// error reports. Root in the guest can print here too, so nothing but words for people depends on it.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/reactor.h"
#include "state/log_writer.h"
#include "vmm/log_budget.h"

namespace msb::vmm {

class Console {
 public:
  static constexpr size_t kKeptLines = 20;
  static constexpr size_t kLongestLine = 1024;  // cut there

  // The socket belongs to the machine.
  static Result<std::unique_ptr<Console>> create(Reactor& reactor, int socket, state::LogWriter log);

  // Reads what there is, also after the machine's end.
  void drain();
  std::vector<std::string> last_lines() const;
  bool panicked() const { return panicked_; }
  bool out_of_memory() const { return out_of_memory_; }
  bool powered_off() const { return powered_off_; }
  // Called once when the guest's kernel says that it halted: a machine without a power switch stays up then, doing
  // nothing for ever.
  void on_halt(std::function<void()> action) { on_halt_ = std::move(action); }
  // The line of the panic, empty when there was none.
  const std::string& panic_line() const { return panic_line_; }

  void feed(ByteView bytes);

 private:
  Console(int socket, state::LogWriter log) : socket_(socket), log_(std::move(log)) {}
  void finish_line();

  int socket_;
  state::LogWriter log_;
  LogBudget budget_;
  std::string line_;
  std::deque<std::string> lines_;
  std::string panic_line_;
  bool panicked_ = false;
  bool out_of_memory_ = false;
  bool powered_off_ = false;
  bool halted_ = false;
  std::function<void()> on_halt_;
  Reactor::Watch watch_;
};

}  // namespace msb::vmm
