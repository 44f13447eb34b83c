#include "state/log_writer.h"

#include <sys/stat.h>
#include <unistd.h>

#include "state/sandboxes.h"

namespace msb::state {

std::string rotated_path(const std::string& path, int age) {
  return age == 0 ? path : cat(path, ".", age);
}

Result<LogWriter> LogWriter::open(std::string path, LogLimits limits) {
  LogWriter writer(std::move(path), limits);
  MSB_CHECK(writer.reopen());
  // Others may have appended (the standard error of a sandbox's process goes to its runtime log): the bound holds again
  // from here.
  if (writer.size_ > limits.file_bytes) writer.rotate();
  return writer;
}

Result<> LogWriter::reopen() {
  MSB_TRY(file_, open_file(path_, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  struct stat info{};
  if (::fstat(file_.get(), &info) < 0) return fail_errno(cat("stat ", path_));
  size_ = static_cast<uint64_t>(info.st_size);
  // A line cut short by a crash is closed, so that it spoils no other.
  char last = '\n';
  if (size_ > 0) {
    MSB_TRY(Fd reader, open_file(path_, O_RDONLY | O_NOFOLLOW));
    if (::pread(reader.get(), &last, 1, static_cast<off_t>(size_ - 1)) == 1 && last != '\n')
      MSB_CHECK(write_full(file_.get(), as_bytes("\n")));
  }
  return {};
}

void LogWriter::rotate() {
  for (int age = limits_.old_files; age > 0; --age)
    ::rename(rotated_path(path_, age - 1).c_str(), rotated_path(path_, age).c_str());
  if (limits_.old_files == 0) ::unlink(path_.c_str());
  (void)reopen();
}

size_t LogWriter::write(const LogEntry& entry) {
  const std::string line = format_log_entry(entry);
  write_line(line);
  return line.size();
}

void LogWriter::write_line(std::string_view line) {
  if (size_ > 0 && size_ + line.size() > limits_.file_bytes) rotate();
  // One write per line: the reader never sees two mixed.
  if (auto written = write_full(file_.get(), as_bytes(line))) size_ += line.size();
}

void LogWriter::system(std::string text) {
  write({.timestamp_ms = now_ms(), .source = LogSource::system, .session_id = {}, .data = std::move(text)});
}

}  // namespace msb::state
