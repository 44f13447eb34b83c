// Between trees of files and tar archives, in both directions.
#pragma once

#include "image/layer_tar.h"
#include "image/layer_tar_writer.h"
#include "tree/tree_sink.h"

namespace msb {

// A tree into an archive. A file must be as long as its entry said when it was opened; of one that changed since, the
// archive cannot be written any more (ErrorKind::filesystem).
class TarTreeSink final : public tree::TreeSink {
 public:
  // `root` is what the archive calls the root: a name, or "." for its content alone.
  TarTreeSink(std::string root, image::TarOutput output) : root_(std::move(root)), writer_(std::move(output)) {}

  Result<> entry(const wire::TreeEntry& entry) override;
  Result<> data(ByteView bytes) override;
  Result<> hole(uint64_t size) override;
  Result<> end() override;
  Result<> leave() override;
  MutableByteView room() override { return buffer_; }
  Result<> finish() { return writer_.finish(); }

 private:
  std::string path_of(std::string_view name) const;
  tl::unexpected<Error> changed() const;

  std::string root_;
  image::LayerTarWriter writer_;
  std::vector<std::string> folders_;
  std::string file_;
  uint64_t left_ = 0;  // of the file
  Bytes buffer_ = Bytes(wire::kMaxChunk);
};

// An archive into a tree whose root is a directory that exists. Names with ".." are refused (ErrorKind::corrupt).
class TreeTarSink final : public image::TarSink {
 public:
  explicit TreeTarSink(tree::TreeSink& sink) : sink_(sink) {}

  Result<> begin_entry(image::TarEntry& entry) override;
  Result<> data(ByteView bytes) override;
  Result<> end_entry() override;
  // After the last entry.
  Result<> finish();

 private:
  Result<> begin();
  Result<> enter(const std::vector<std::string>& folders);
  Result<> pad_to(uint64_t offset);

  tree::TreeSink& sink_;
  bool begun_ = false;
  std::vector<std::string> folders_;
  bool in_file_ = false;
  uint64_t size_ = 0;      // of the file
  uint64_t position_ = 0;  // in it
  std::vector<image::TarSegment> segments_;
  size_t segment_ = 0;
};

}  // namespace msb
