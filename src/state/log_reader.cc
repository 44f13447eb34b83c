#include "state/log_reader.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <deque>

#include "state/log_writer.h"
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
  }
  return false;
}

// One open log file and how far it was read.
class OpenLog {
 public:
  explicit OpenLog(Fd file) : file_(std::move(file)) {}
  int fd() const { return file_.get(); }

  // Everything there is now, by whole lines. False when the receiver has had enough.
  Result<bool> read_on(const std::function<bool(const LogEntry&)>& entry) {
    uint8_t buffer[64 * 1024];
    while (true) {
      MSB_TRY(size_t count, read_some(file_.get(), buffer));
      if (count == 0) return true;
      partial_ += as_text(ByteView(buffer).first(count));
      size_t begin = 0;
      for (size_t end; (end = partial_.find('\n', begin)) != std::string::npos; begin = end + 1) {
        auto parsed = parse_log_entry(std::string_view(partial_).substr(begin, end - begin));
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

class Follower {
 public:
  Follower(const std::string& path, const std::function<bool(const LogEntry&)>& entry) : path_(path), entry_(entry) {}

  // Set up before the first read, so that nothing is missed in between.
  Result<> prepare() {
    notify_ = Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!notify_) return fail_errno("watch a log");
    // The directory, because rotation gives the name to another file.
    std::string directory = path_.substr(0, path_.rfind('/'));
    if (::inotify_add_watch(notify_.get(), directory.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
      return fail_errno(cat("watch ", directory));
    return {};
  }

  Result<> follow(std::optional<OpenLog> current, int ended) {
    while (true) {
      pollfd fds[2] = {{notify_.get(), POLLIN, 0}, {ended, POLLIN, 0}};
      if (::poll(fds, 2, -1) < 0) {
        if (errno == EINTR) continue;
        return fail_errno("wait for log entries");
      }
      // Looked at before reading: what was written before the end is read after it was seen.
      bool over = fds[1].revents != 0;
      uint8_t events[4096];
      while (::read(notify_.get(), events, sizeof(events)) > 0) {
      }
      MSB_TRY(bool more, read_to_end(current));
      if (!more || over) return {};
    }
  }

  // Reads what is there, going over to the next file when the open one was rotated away.
  Result<bool> read_to_end(std::optional<OpenLog>& current) {
    while (true) {
      if (current) {
        // Asked before reading: a file that was rotated away gets no more lines.
        MSB_TRY(bool newest, same_file(current->fd(), path_));
        MSB_TRY(bool more, current->read_on(entry_));
        if (!more) return false;
        if (newest) return true;
      }
      MSB_TRY(current, open_log(path_));
      if (!current) return true;
    }
  }

 private:
  const std::string& path_;
  const std::function<bool(const LogEntry&)>& entry_;
  Fd notify_;
};

}  // namespace

Result<> read_log(const std::string& path, const LogQuery& query, const std::function<bool(const LogEntry&)>& deliver,
                  int ended) {
  std::deque<LogEntry> tail;
  bool collecting = query.tail.has_value();
  bool enough = false;
  std::function<bool(const LogEntry&)> entry = [&](const LogEntry& one) {
    if (!matches(query, one)) return true;
    if (collecting) {
      tail.push_back(one);
      if (tail.size() > *query.tail) tail.pop_front();
      return true;
    }
    enough = !deliver(one);
    return !enough;
  };

  Follower follower(path, entry);
  bool follow = query.follow && ended >= 0;
  if (follow) MSB_CHECK(follower.prepare());

  // Oldest first. Opened before any is read: a rotation in between moves names, not open files.
  std::vector<OpenLog> old;
  std::optional<OpenLog> current;
  for (int age = LogLimits().old_files; age > 0; --age) {
    MSB_TRY(auto log, open_log(rotated_path(path, age)));
    if (log) old.push_back(std::move(*log));
  }
  MSB_TRY(current, open_log(path));
  for (auto& log : old) {
    MSB_TRY(bool more, log.read_on(entry));
    if (!more) return {};
  }
  if (current) {
    MSB_TRY(bool more, current->read_on(entry));
    if (!more) return {};
  }
  collecting = false;
  for (const auto& one : tail)
    if (!deliver(one)) return {};
  return follow ? follower.follow(std::move(current), ended) : Result<>();
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
