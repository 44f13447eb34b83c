#include "image/layer_cache.h"

#include <dirent.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/sha256.h"
#include "base/temp_dir.h"

namespace msb::image {
namespace {

constexpr std::string_view kWorkPrefix = "pull-";
constexpr std::string_view kLockSuffix = ".lock";

// Work whose owner died: its lock is free. The lock file goes last, while it is held.
void remove_stale_work(const std::string& directory) {
  DIR* listing = ::opendir(directory.c_str());
  if (listing == nullptr) return;
  std::vector<std::string> locks;
  while (const dirent* entry = ::readdir(listing)) {
    const std::string_view name = entry->d_name;
    if (name.starts_with(kWorkPrefix) && name.ends_with(kLockSuffix)) locks.emplace_back(name);
  }
  ::closedir(listing);
  for (const std::string& name : locks) {
    const std::string path = cat(directory, "/", name);
    auto lock = FileLock::try_acquire(path, LockMode::exclusive);
    if (!lock || !*lock) continue;
    (void)remove_tree(path.substr(0, path.size() - kLockSuffix.size()));
    ::unlink(path.c_str());
  }
}

Result<bool> same_contents(const std::string& left, const std::string& right) {
  MSB_TRY(auto a, open_file(left));
  MSB_TRY(auto b, open_file(right));
  struct stat a_stat{};
  struct stat b_stat{};
  if (::fstat(a.get(), &a_stat) != 0 || ::fstat(b.get(), &b_stat) != 0) return fail_errno(cat("look at ", left));
  if (a_stat.st_size != b_stat.st_size) return false;
  Bytes a_buffer(size_t{1} << 20);
  Bytes b_buffer(size_t{1} << 20);
  for (;;) {
    MSB_TRY(const size_t a_count, read_full(a.get(), a_buffer));
    MSB_TRY(const size_t b_count, read_full(b.get(), b_buffer));
    if (a_count != b_count ||
        !std::equal(a_buffer.begin(), a_buffer.begin() + static_cast<ptrdiff_t>(a_count), b_buffer.begin())) {
      return false;
    }
    if (a_count < a_buffer.size()) return true;
  }
}

std::string cache_lock(const state::Home& home) {
  return home.lock("images");
}

}  // namespace

Result<> sync_path(const std::string& path) {
  MSB_TRY(auto fd, open_file(path));
  if (::fsync(fd.get()) != 0) return fail_errno(cat("write ", path, " to the disk"));
  return {};
}

Error explain_storage(Error error, const state::Home& home) {
  const int cause = error.errnum();
  if (!error.hints().empty()) return error;
  if (cause == ENOSPC || cause == EDQUOT) {
    error.hint(cat("the disk of ", home.path(),
                   " is full: free some space (`msb image prune`), or set MSB_HOME to another file system"));
  } else if (cause == EROFS || cause == EACCES || cause == EPERM) {
    error.hint(cat(home.path(), " cannot be written: set MSB_HOME to a directory that you can write to"));
  }
  return error;
}

Result<WorkDir> WorkDir::create(const state::Home& home) {
  MSB_CHECK(home.make_dir(home.tmp_dir()));
  remove_stale_work(home.tmp_dir());
  for (;;) {
    std::array<uint8_t, 8> random{};
    if (::getrandom(random.data(), random.size(), 0) < 0) return fail_errno("get random bytes");
    const std::string path = cat(home.tmp_dir(), "/", kWorkPrefix, to_hex(random));
    const std::string lock_path = cat(path, kLockSuffix);
    MSB_TRY(auto lock, FileLock::try_acquire(lock_path, LockMode::exclusive));
    if (!lock) continue;
    // Somebody tidying up may have removed the file between our open and our lock.
    struct stat held{};
    struct stat named{};
    const bool ours =
        ::fstat(lock->fd(), &held) == 0 && ::stat(lock_path.c_str(), &named) == 0 && held.st_ino == named.st_ino;
    if (!ours) continue;
    if (::mkdir(path.c_str(), 0700) == 0) return WorkDir(path, std::move(*lock));
    if (errno != EEXIST) return fail_errno(cat("make ", path));
  }
}

WorkDir::WorkDir(WorkDir&& other) noexcept : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}

WorkDir::~WorkDir() {
  if (path_.empty()) return;
  (void)remove_tree(path_);
  ::unlink(cat(path_, kLockSuffix).c_str());
}

Result<FileLock> hold_cache(const state::Home& home) {
  MSB_CHECK(home.make_dir(home.locks_dir()));
  return FileLock::acquire(cache_lock(home), LockMode::shared);
}
Result<FileLock> own_cache(const state::Home& home) {
  MSB_CHECK(home.make_dir(home.locks_dir()));
  return FileLock::acquire(cache_lock(home), LockMode::exclusive);
}
Result<std::optional<FileLock>> try_own_cache(const state::Home& home) {
  MSB_CHECK(home.make_dir(home.locks_dir()));
  return FileLock::try_acquire(cache_lock(home), LockMode::exclusive);
}

std::optional<CachedLayer> LayerCache::find(const Digest& diff_id) const {
  CachedLayer out{.path = home_.layer(diff_id.hex())};
  struct stat status{};
  if (::stat(out.path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  out.erofs_size = static_cast<uint64_t>(status.st_size);
  out.was_there = true;
  return out;
}

Result<CachedLayer> LayerCache::get(const Digest& diff_id, LayerConverterOptions options, const WorkDir& work,
                                    Reuse reuse, const Fill& fill) const {
  if (reuse == Reuse::yes) {
    if (auto found = find(diff_id)) return *found;
  }
  MSB_CHECK(home_.make_dir(home_.layers_dir()));
  MSB_CHECK(home_.make_dir(home_.locks_dir()));
  MSB_TRY(auto lock, FileLock::acquire(home_.lock(diff_id.hex()), LockMode::exclusive));
  const auto before = find(diff_id);
  if (before && reuse == Reuse::yes) return *before;  // another process or thread was faster

  options.output = cat(work.path(), "/", diff_id.hex(), ".erofs");
  options.expected_diff_id = diff_id.str();
  CachedLayer made{.path = home_.layer(diff_id.hex())};
  {
    MSB_TRY(auto converter, LayerConverter::create(options));
    MSB_CHECK(fill(*converter));
    MSB_TRY(const auto info, converter->finish());
    made.erofs_size = info.erofs_size;
  }
  if (before) {
    // Trees of other images point at blocks of the file that is there: keep it unless it is damaged.
    MSB_TRY(const bool same, same_contents(before->path, options.output));
    if (same) {
      ::unlink(options.output.c_str());
      return made;
    }
    made.changed = true;
  }
  MSB_CHECK(sync_path(options.output));
  if (::rename(options.output.c_str(), made.path.c_str()) != 0) return fail_errno(cat("put ", made.path, " in place"));
  MSB_CHECK(sync_path(home_.layers_dir()));
  return made;
}

}  // namespace msb::image
