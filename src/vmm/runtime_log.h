// RuntimeLog: the sandbox process's own diagnostics, in logs/runtime.log.
#pragma once

#include "base/log.h"
#include "state/log_writer.h"

namespace msb::vmm {

class RuntimeLog final : public Log {
 public:
  explicit RuntimeLog(state::LogWriter writer) : writer_(std::move(writer)) {}
  void write(LogLevel level, std::string_view message) override {
    constexpr std::string_view kNames[] = {"trace", "debug", "info", "warning", "error"};
    if (level >= LogLevel::info) writer_.system(cat(kNames[static_cast<int>(level)], ": ", message));
  }

 private:
  state::LogWriter writer_;
};

}  // namespace msb::vmm
