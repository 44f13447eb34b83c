// ArchiveFiles: the files of an image archive by name, whatever it is stored in: a directory, or a tar (plain,
// gzip or zstd) from a file or stdin.
//
// A tar is unpacked into a work directory under names of our own, because its index usually comes last. Names are
// foreign: they are only ever compared, and in a directory opened beneath it.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/fd.h"
#include "image/layer_cache.h"

namespace msb::image {

inline constexpr size_t kMaxArchiveFiles = 100'000;
inline constexpr uint64_t kMaxArchiveBytes = uint64_t{64} << 30;

class ArchiveFiles {
 public:
  virtual ~ArchiveFiles() = default;
  // ErrorKind::path_not_found when missing, corrupt for a name that leaves the archive.
  virtual Result<Fd> open(const std::string& name) const = 0;

  bool has(const std::string& name) const { return open(name).has_value(); }
  Result<std::string> text(const std::string& name) const;  // at most 4 MiB

  // `path` is a directory, a tar file, or "-".
  static Result<std::unique_ptr<ArchiveFiles>> open_archive(const std::string& path, const WorkDir& work);
};

}  // namespace msb::image
