// TreeWriter: makes the files of a tree below one directory, and nowhere else.
//
//   TreeWriter writer(std::move(parent), "name", Trust::foreign);
//   ... entry, data, leave ...                 // parent/name and what is in it
//
// Whoever sends the tree may be hostile. What holds it in: every name is a single component (is_name), used relative to
// a directory that is held open, and never followed when it is a symbolic link, whether that was there before or came
// with the tree. So there is no path for openat2 to resolve. Directories are entered with O_DIRECTORY | O_NOFOLLOW;
// everything else is made new (O_EXCL), after what stood in its place has been unlinked, so that nothing is written
// through links of either kind.
//
// What is there already: directories are merged; a file, link or FIFO is replaced; a directory never becomes a file,
// nor a file a directory (EISDIR, ENOTDIR). A file that is not complete when the writer is destroyed is removed.
//
// Failures: ErrorKind::io with the errno; the path below the parent is in the message.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "tree/tree_sink.h"

namespace msb::tree {

enum class Trust {
  own,      // as the tree says: owners (with privileges), set-id bits, devices
  foreign,  // everything is the caller's; set-id bits are dropped; devices are left out
};

class TreeWriter final : public TreeSink {
 public:
  TreeWriter(Fd parent, std::string name, Trust trust)
      : parent_(std::move(parent)), name_(std::move(name)), trust_(trust) {}
  // The root is a directory that is there: what the tree's root has in it goes there. Its own attributes stay.
  TreeWriter(Fd root, Trust trust) : root_(std::move(root)), name_("."), trust_(trust) {}
  ~TreeWriter() override;

  Result<> entry(const wire::TreeEntry& entry) override;
  Result<> data(ByteView bytes) override;
  Result<> hole(uint64_t size) override;
  Result<> end() override;
  Result<> leave() override;
  MutableByteView room() override { return buffer_; }

  // Paths of what has been left out.
  const std::vector<std::string>& skipped() const { return skipped_; }

 private:
  // What is set when a directory or file is complete.
  struct Attributes {
    std::optional<uint32_t> mode;
    uint32_t uid = 0;
    uint32_t gid = 0;
    timespec times[2]{};
  };
  struct Level {
    Fd directory;
    std::string name;
    Attributes attributes;
  };

  int folder() const { return levels_.empty() ? parent_.get() : levels_.back().directory.get(); }
  Attributes attributes_of(const wire::TreeEntry& entry) const;
  Result<> enter(const std::string& name, const wire::TreeEntry& entry);
  Result<> make(const std::string& name, const wire::TreeEntry& entry);
  int try_make(const std::string& name, const wire::TreeEntry& entry);
  int link_to(std::string_view target, const std::string& name);
  Result<> complete(int fd, const Attributes& attributes);
  std::string path_of(std::string_view name) const;
  tl::unexpected<Error> failed(std::string_view what, std::string_view name, int errnum = errno) const;

  Result<> enter_root(const wire::TreeEntry& entry);

  Fd parent_;
  Fd root_;
  std::string name_;
  Trust trust_;
  std::vector<Level> levels_;
  Fd file_;
  std::string file_name_;
  Attributes file_attributes_;
  uint64_t position_ = 0;
  bool ends_in_hole_ = false;
  std::vector<std::string> skipped_;
  Bytes buffer_ = Bytes(wire::kMaxChunk);
};

// Opens the directory that a path's last component is in, following links on the way as the caller's own path; `name`
// is the last component. A path that ends in "/", "/." or "/.." has none: ErrorKind::invalid_config.
Result<Fd> open_parent(const std::string& path, std::string& name);

// Nanoseconds since the epoch, which may be negative.
timespec to_timespec(int64_t nanoseconds);

}  // namespace msb::tree
