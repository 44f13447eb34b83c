// LayerSink: what comes out of the tar parser, put into an EROFS image: data at once, metadata at the end.
#pragma once

#include "base/result.h"
#include "disk/erofs_writer.h"
#include "image/file_tree.h"
#include "image/layer_tar.h"

namespace msb::image {

class LayerSink final : public TarSink {
 public:
  explicit LayerSink(int fd) : writer_(fd) {}

  Result<> begin_entry(TarEntry& entry) override;
  Result<> data(ByteView bytes) override;
  Result<> end_entry() override;

  // Writes the metadata; the image is complete.
  Result<disk::ErofsSummary> finish() { return writer_.finish(files_.tree()); }
  uint64_t entries() const { return files_.entries(); }

 private:
  Result<> begin_sparse(TarEntry& entry);
  Result<> sparse_data(ByteView bytes);
  Result<> fill_chunk_to(uint64_t position);
  Result<> count_written(uint64_t bytes);

  FileTree files_;
  disk::ErofsWriter writer_;
  uint64_t written_ = 0;
  disk::InodeId file_ = disk::kNoInode;  // the file whose data comes now
  // Sparse files: where the next byte of data belongs, and how far the current chunk is written.
  std::vector<TarSegment> segments_;
  size_t segment_ = 0;
  uint64_t segment_done_ = 0;
  uint64_t chunk_size_ = 0;
  std::optional<uint64_t> chunk_;
  uint64_t chunk_position_ = 0;
};

}  // namespace msb::image
