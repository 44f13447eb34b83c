#include "fs/usage_record.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>
#include <vector>

#include "base/bytes.h"

namespace msb::fs {
namespace {

// Whether the lock is ours now. Changing one that we have is one step: nobody comes between.
Result<bool> try_lock(int record, off_t byte, short type) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  while (::fcntl(record, F_OFD_SETLK, &lock) < 0) {
    if (errno == EAGAIN || errno == EACCES) return false;
    if (errno != EINTR) return fail_errno("lock the usage record of a volume");
  }
  return true;
}

Result<> wait_to_enter(int record) {
  struct flock lock{};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = kUserByte;
  lock.l_len = 1;
  while (::fcntl(record, F_OFD_SETLKW, &lock) < 0)
    if (errno != EINTR) return fail_errno("lock the usage record of a volume");
  return {};
}

// One directory on the way down. Only the deepest is open: a guest may nest them deeper than we may have descriptors.
struct Level {
  std::vector<std::string> directories;  // still to be visited
  dev_t device = 0;
  ino_t inode = 0;
};

class Counter {
 public:
  Result<uint64_t> count(const std::string& directory) {
    MSB_TRY(Fd at, open_file(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    MSB_CHECK(enter(at));
    while (!levels_.empty()) {
      auto& names = levels_.back().directories;
      if (names.empty()) {
        levels_.pop_back();
        if (!levels_.empty()) MSB_CHECK(leave(at));
        continue;
      }
      std::string name = std::move(names.back());
      names.pop_back();
      Fd below(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!below && errno == ENOENT) continue;
      if (!below) return fail_errno(cat("count what is in ", directory));
      at = std::move(below);
      MSB_CHECK(enter(at));
    }
    return total_;
  }

 private:
  Result<> enter(const Fd& directory) {
    struct stat self{};
    if (::fstat(directory.get(), &self) < 0) return fail_errno("look at a directory");
    Level level{{}, self.st_dev, self.st_ino};
    MSB_TRY(Fd copy, directory.duplicate());
    std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(copy.get()), &::closedir);
    if (!listing) return fail_errno("list a directory");
    (void)copy.release();
    for (errno = 0; const dirent* entry = ::readdir(listing.get()); errno = 0) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      struct stat status{};
      if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT) continue;
        return fail_errno("look at a file");
      }
      if (S_ISDIR(status.st_mode)) level.directories.push_back(name);
      const bool seen =
          !S_ISDIR(status.st_mode) && status.st_nlink > 1 && !linked_.emplace(status.st_dev, status.st_ino).second;
      if (!seen) total_ += weight_of(status);
    }
    if (errno != 0) return fail_errno("list a directory");
    levels_.push_back(std::move(level));
    return {};
  }
  Result<> leave(Fd& at) {
    Fd above(::openat(at.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!above) return fail_errno("go up from a directory");
    at = std::move(above);
    struct stat status{};
    if (::fstat(at.get(), &status) < 0) return fail_errno("look at a directory");
    if (status.st_dev == levels_.back().device && status.st_ino == levels_.back().inode) return {};
    return fail(ErrorKind::io, "a directory was moved while it was counted");
  }

  std::vector<Level> levels_;
  std::set<std::pair<dev_t, ino_t>> linked_;  // files with several names
  uint64_t total_ = 0;
};

Result<Fd> open_record(const std::string& path) {
  return open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
}

// Nullopt: it says nothing that can be relied on.
Result<std::optional<UsageRecord>> read_record(int file) {
  UsageRecord record;
  struct stat status{};
  if (::fstat(file, &status) < 0) return fail_errno("look at the usage record of a volume");
  if (static_cast<uint64_t>(status.st_size) < sizeof(record)) return std::nullopt;
  MSB_CHECK(pread_full(file, {reinterpret_cast<uint8_t*>(&record), sizeof(record)}, 0));
  if (record.magic != UsageRecord::kMagic) return std::nullopt;
  return record;
}

Result<> bring_in_order(int file, const std::string& directory) {
  MSB_TRY(auto found, read_record(file));
  UsageRecord record = found.value_or(UsageRecord{});
  const bool reliable =
      found && record.in_turn == 0 && record.used >= 0 && record.nameless >= 0 && record.nameless <= record.used;
  if (reliable) {
    record.used -= record.nameless;
  } else {
    MSB_TRY(uint64_t counted, count_usage(directory));
    record.used = static_cast<int64_t>(std::min<uint64_t>(counted, INT64_MAX));
  }
  record.magic = UsageRecord::kMagic;
  record.nameless = 0;
  record.in_turn = 0;
  return pwrite_full(file, {reinterpret_cast<const uint8_t*>(&record), sizeof(record)}, 0);
}

}  // namespace

uint64_t weight_of(const struct stat& status) {
  const bool has_length = S_ISREG(status.st_mode) || S_ISLNK(status.st_mode);
  return kInodeWeight + (has_length ? static_cast<uint64_t>(status.st_size) : 0);
}

Result<uint64_t> count_usage(const std::string& directory) {
  return Counter().count(directory);
}

Result<Fd> open_usage_record(const std::string& path, const std::string& directory) {
  MSB_TRY(Fd file, open_record(path));
  MSB_TRY(bool alone, try_lock(file.get(), kUserByte, F_WRLCK));
  if (alone) MSB_CHECK(bring_in_order(file.get(), directory));
  MSB_CHECK(wait_to_enter(file.get()));
  return file;
}

Result<Usage> look_at_usage(const std::string& path, const std::string& directory) {
  MSB_TRY(Fd file, open_record(path));
  MSB_TRY(bool alone, try_lock(file.get(), kUserByte, F_WRLCK));
  if (alone) {
    MSB_TRY(uint64_t bytes, count_usage(directory));
    return Usage{.bytes = bytes, .in_use = false};
  }
  MSB_TRY(auto record, read_record(file.get()));
  return Usage{.bytes = static_cast<uint64_t>(std::max<int64_t>(record ? record->used : 0, 0)), .in_use = true};
}

}  // namespace msb::fs
