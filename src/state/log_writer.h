// LogWriter: appends entries to a log file that never grows beyond its bounds. FILE is the newest;
// when it is full it becomes FILE.1, FILE.1 becomes FILE.2, and so on; the oldest is dropped.
//
// A log that cannot be written (full disk) loses entries and never stops the sandbox.
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "state/log_format.h"

namespace msb::state {

struct LogLimits {
  uint64_t file_bytes = uint64_t{10} << 20;
  int old_files = 3;
};

class LogWriter {
 public:
  // Goes on with the file when there is one.
  static Result<LogWriter> open(std::string path, LogLimits limits = {});

  // The size of the line.
  size_t write(const LogEntry& entry);
  // A line of another format, with its newline.
  void write_line(std::string_view line);
  // One line of the sandbox process's own, stamped now.
  void system(std::string text);

 private:
  LogWriter(std::string path, LogLimits limits) : path_(std::move(path)), limits_(limits) {}
  Result<> reopen();
  void rotate();

  std::string path_;
  LogLimits limits_;
  Fd file_;
  uint64_t size_ = 0;
};

// The path of the nth older file; 0 is the newest.
std::string rotated_path(const std::string& path, int age);

}  // namespace msb::state
