#include "state/log_reader.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <iterator>

#include "state/log_writer.h"
#include "state/network_event.h"
#include "state/sandboxes.h"

namespace msb::state {
namespace {

bool matches(const LogQuery& query, const LogEntry& entry) {
  if (query.since_ms && entry.timestamp_ms < *query.since_ms) return false;
  if (query.until_ms && entry.timestamp_ms > *query.until_ms) return false;
  switch (entry.source) {
    case LogSource::stdout_stream:
      return query.stdout_stream;
    case LogSource::stderr_stream:
      return query.stderr_stream;
    case LogSource::system:
      return query.system;
    case LogSource::network:
      return query.network;
  }
  return false;
}

std::optional<LogEntry> parse_line(std::string_view line) {
  if (auto entry = parse_log_entry(line)) return entry;
  const auto event = parse_network_event(line);
  if (!event) return std::nullopt;
  return LogEntry{
      .timestamp_ms = event->timestamp_ms, .source = LogSource::network, .session_id = {}, .data = std::string(line)};
}

// One open log file and how far it was read.
class OpenLog {
 public:
  explicit OpenLog(Fd file) : file_(std::move(file)) {}
  int fd() const { return file_.get(); }

  // Everything there is now, by whole lines. False when the receiver has had enough.
  Result<bool> read_on(const DeliverEntry& entry) {
    uint8_t buffer[64 * 1024];
    while (true) {
      MSB_TRY(size_t count, read_some(file_.get(), buffer));
      if (count == 0) return true;
      partial_ += as_text(ByteView(buffer).first(count));
      size_t begin = 0;
      for (size_t end; (end = partial_.find('\n', begin)) != std::string::npos; begin = end + 1) {
        auto parsed = parse_line(std::string_view(partial_).substr(begin, end - begin));
        if (parsed && !entry(*parsed)) return false;
      }
      partial_.erase(0, begin);
      if (partial_.size() > kMaxLogLine) partial_.clear();
    }
  }

 private:
  Fd file_;
  std::string partial_;
};

Result<std::optional<OpenLog>> open_log(const std::string& path) {
  auto file = open_file(path, O_RDONLY | O_NOFOLLOW);
  if (file) return std::optional<OpenLog>(OpenLog(std::move(*file)));
  if (file.error().errnum() == ENOENT) return std::optional<OpenLog>();
  return fail(std::move(file).error());
}

Result<bool> same_file(int fd, const std::string& path) {
  struct stat ours{}, theirs{};
  if (::fstat(fd, &ours) < 0) return fail_errno("stat an open log");
  if (::stat(path.c_str(), &theirs) < 0) return false;
  return ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

// One log: the file of now, and those that were rotated out of its name.
class Log {
 public:
  explicit Log(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }

  // All there is is opened before any is read: a rotation in between moves names, not open files.
  Result<> open() {
    for (int age = LogLimits().old_files; age > 0; --age) {
      MSB_TRY(auto log, open_log(rotated_path(path_, age)));
      if (log) old_.push_back(std::move(*log));
    }
    MSB_TRY(current_, open_log(path_));
    return {};
  }

  // What open() found, oldest first. False when the receiver has had enough.
  Result<bool> read_opened(const DeliverEntry& entry) {
    for (auto& log : old_) {
      MSB_TRY(bool more, log.read_on(entry));
      if (!more) return false;
    }
    old_.clear();
    if (!current_) return true;
    return current_->read_on(entry);
  }

  // What has come since, going over to the next file when the open one was rotated away.
  Result<bool> read_new(const DeliverEntry& entry) {
    while (true) {
      if (current_) {
        // Asked before reading: a file that was rotated away gets no more lines.
        MSB_TRY(bool newest, same_file(current_->fd(), path_));
        MSB_TRY(bool more, current_->read_on(entry));
        if (!more) return false;
        if (newest) return true;
      }
      MSB_TRY(current_, open_log(path_));
      if (!current_) return true;
    }
  }

 private:
  std::string path_;
  std::vector<OpenLog> old_;
  std::optional<OpenLog> current_;
};

// Set up before the first read, so that nothing is missed in between.
Result<Fd> watch_logs(const std::vector<std::string>& paths) {
  Fd notify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!notify) return fail_errno("watch a log");
  for (const auto& path : paths) {
    // The directory, because rotation gives the name to another file. Once more for the next log in it is no harm.
    std::string directory = path.substr(0, path.rfind('/'));
    if (::inotify_add_watch(notify.get(), directory.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
      return fail_errno(cat("watch ", directory));
  }
  return notify;
}

Result<> follow(std::vector<Log>& logs, int notify, int ended, const DeliverEntry& entry) {
  while (true) {
    pollfd fds[2] = {{notify, POLLIN, 0}, {ended, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return fail_errno("wait for log entries");
    }
    // Looked at before reading: what was written before the end is read after it was seen.
    bool over = fds[1].revents != 0;
    uint8_t events[4096];
    while (::read(notify, events, sizeof(events)) > 0) {
    }
    for (auto& log : logs) {
      MSB_TRY(bool more, log.read_new(entry));
      if (!more) return {};
    }
    if (over) return {};
  }
}

// The entries of all logs by their time; those of one log stay in their order.
Result<std::vector<LogEntry>> merged_entries(std::vector<Log>& logs, const LogQuery& query) {
  std::vector<LogEntry> merged;
  for (auto& log : logs) {
    std::vector<LogEntry> told = std::exchange(merged, {}), found;
    MSB_CHECK(log.read_opened([&](const LogEntry& one) {
      if (matches(query, one)) found.push_back(one);
      return true;
    }));
    std::merge(std::make_move_iterator(told.begin()), std::make_move_iterator(told.end()),
               std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()), std::back_inserter(merged),
               [](const LogEntry& a, const LogEntry& b) { return a.timestamp_ms < b.timestamp_ms; });
  }
  return merged;
}

// What there is now. False when the receiver has had enough.
Result<bool> deliver_opened(std::vector<Log>& logs, const LogQuery& query, const DeliverEntry& deliver) {
  std::deque<LogEntry> kept;
  if (logs.size() == 1) {
    if (!query.tail)
      return logs[0].read_opened([&](const LogEntry& one) { return !matches(query, one) || deliver(one); });
    MSB_CHECK(logs[0].read_opened([&](const LogEntry& one) {
      if (!matches(query, one)) return true;
      kept.push_back(one);
      if (kept.size() > *query.tail) kept.pop_front();
      return true;
    }));
  } else {
    MSB_TRY(auto merged, merged_entries(logs, query));
    size_t skip = query.tail && *query.tail < merged.size() ? merged.size() - *query.tail : 0;
    kept.assign(std::make_move_iterator(merged.begin() + static_cast<ptrdiff_t>(skip)),
                std::make_move_iterator(merged.end()));
  }
  return std::all_of(kept.begin(), kept.end(), deliver);
}

}  // namespace

Result<> read_logs(const std::vector<std::string>& paths, const LogQuery& query, const DeliverEntry& deliver,
                   int ended) {
  bool follows = query.follow && ended >= 0;
  Fd notify;
  if (follows) {
    MSB_TRY(notify, watch_logs(paths));
  }
  std::vector<Log> logs;
  for (const auto& path : paths) MSB_CHECK(logs.emplace_back(path).open());
  MSB_TRY(bool more, deliver_opened(logs, query, deliver));
  if (!more || !follows) return {};
  return follow(logs, notify.get(), ended, [&](const LogEntry& one) { return !matches(query, one) || deliver(one); });
}

Result<Fd> watch_sandbox_end(const Home& home, Database& database, const std::string& name) {
  MSB_TRY(auto row, find_sandbox(database, name));
  if (!row || !row->pid || !claims_to_be_alive(row->status)) return Fd();
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, *row->pid, 0)));
  if (!process) {
    if (errno == ESRCH) return Fd();
    return fail_errno("watch the sandbox process");
  }
  // The number may belong to another process by now; while the lock is held, it does not.
  MSB_TRY(auto transaction, database.begin());
  MSB_TRY(auto lock, try_lock_sandbox(home, name));
  return lock ? Fd() : std::move(process);
}

}  // namespace msb::state
