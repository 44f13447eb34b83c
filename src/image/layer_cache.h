// LayerCache: the converted layers in $MSB_HOME/cache/layers, one EROFS file a diff id, shared by all images and
// all processes of a user.
//
// A layer is made once: whoever comes first holds a lock on its diff id, everybody else waits and then finds it.
// It appears by rename, complete and synced. Work in progress lives in a WorkDir, which vanishes with its owner:
// at once when the owner ends normally, at the next pull when it was killed.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/file_lock.h"
#include "image/digest.h"
#include "image/layer_converter.h"
#include "state/home.h"

namespace msb::image {

// A directory in cache/tmp that belongs to a living process (it holds the lock beside it).
class [[nodiscard]] WorkDir {
 public:
  // Also removes the work of dead processes.
  static Result<WorkDir> create(const state::Home& home);
  WorkDir(WorkDir&& other) noexcept;
  WorkDir& operator=(WorkDir&&) = delete;
  ~WorkDir();

  const std::string& path() const { return path_; }

 private:
  WorkDir(std::string path, FileLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  FileLock lock_;
};

// Keeps prune away while files are in use that no row names yet. Pulls and loads share it.
Result<FileLock> hold_cache(const state::Home& home);
// For whoever deletes files: waits for all pulls to end; nullopt instead of waiting with `try_`.
Result<FileLock> own_cache(const state::Home& home);
Result<std::optional<FileLock>> try_own_cache(const state::Home& home);

struct CachedLayer {
  std::string path;
  uint64_t erofs_size = 0;
  bool was_there = false;
  bool changed = false;  // replaced by different bytes: trees that point into it must be made again
};

enum class Reuse { yes, no };  // no: make it again even if it is there

class LayerCache {
 public:
  explicit LayerCache(const state::Home& home) : home_(home) {}

  // nullopt when it is not (or no longer) there.
  std::optional<CachedLayer> find(const Digest& diff_id) const;

  // `fill` feeds the blob; it is not called when the layer is there. Thread-safe.
  using Fill = std::function<Result<>(LayerConverter& converter)>;
  Result<CachedLayer> get(const Digest& diff_id, LayerConverterOptions options, const WorkDir& work, Reuse reuse,
                          const Fill& fill) const;

 private:
  const state::Home& home_;
};

// Adds what to do when the disk is full or the home is read-only.
Error explain_storage(Error error, const state::Home& home);
// The file's data, then the directory's entry, survive a power cut.
Result<> sync_path(const std::string& path);

}  // namespace msb::image
