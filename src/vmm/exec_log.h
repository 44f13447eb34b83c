// ExecLog: the tap on every session's output that writes logs/exec.log.
//
// Sessions get numbers of their own, in the order in which they started. All sessions together may log
// LogBudget::kBytesPerSecond on average; beyond that chunks are left out and a system entry says how many
// bytes are missing.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "state/log_writer.h"
#include "vmm/log_budget.h"

namespace msb::vmm {

class ExecLog {
 public:
  explicit ExecLog(state::LogWriter writer) : writer_(std::move(writer)) {}

  // What the log keeps about one session. Belongs to whoever keeps the session.
  struct Session {
    uint64_t number = 0;
    std::string unfinished[2];  // a character cut by the end of a chunk, of stdout and of stderr
  };
  Session begin() { return {.number = ++last_number_, .unfinished = {}}; }
  void output(Session& session, LogSource source, ByteView data);
  void end(Session& session);
  void system(std::string text) { writer_.system(std::move(text)); }

 private:
  void write(const Session& session, LogSource source, std::string data);
  state::LogWriter writer_;
  LogBudget budget_;
  uint64_t last_number_ = 0;
};

}  // namespace msb::vmm
