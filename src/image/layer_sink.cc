#include "image/layer_sink.h"

#include <algorithm>
#include <bit>

#include "disk/erofs_format.h"
#include "image/layer_limits.h"

namespace msb::image {
namespace {

using disk::erofs::kBlockSize;
// Enough to keep holes of 4 KiB in files up to 256 MiB, at 256 KiB of memory a file.
constexpr uint64_t kMaxChunks = 65536;

}  // namespace

Result<> LayerSink::count_written(uint64_t bytes) {
  written_ += bytes;
  if (bytes <= kMaxLayerUncompressed && written_ <= kMaxLayerUncompressed) return {};
  return fail(ErrorKind::image_pull_failed, "the layer holds more than 64 GiB of data");
}

Result<> LayerSink::begin_entry(TarEntry& entry) {
  MSB_TRY(file_, files_.add(entry));
  segments_.clear();
  if (file_ == disk::kNoInode || entry.type != TarType::file || entry.size == 0) {
    file_ = disk::kNoInode;
    return {};
  }
  if (entry.sparse) return begin_sparse(entry);
  MSB_TRY(files_.tree().inode(file_).block, writer_.next_block());
  return {};
}

Result<> LayerSink::data(ByteView bytes) {
  if (file_ == disk::kNoInode) return {};
  if (files_.tree().inode(file_).sparse) return sparse_data(bytes);
  MSB_CHECK(count_written(bytes.size()));
  return writer_.append(bytes);
}

Result<> LayerSink::end_entry() {
  if (file_ == disk::kNoInode) return {};
  if (chunk_) MSB_CHECK(fill_chunk_to(chunk_size_));
  chunk_.reset();
  file_ = disk::kNoInode;
  return writer_.pad();
}

Result<> LayerSink::begin_sparse(TarEntry& entry) {
  if (entry.size > kMaxSparseSize) {
    return fail(ErrorKind::image_pull_failed, cat("the layer's entry \"", entry.path, "\" is larger than 1 TiB"));
  }
  const uint64_t blocks = disk::erofs::round_up(entry.size, kBlockSize) / kBlockSize;
  auto map = std::make_unique<disk::SparseMap>();
  map->chunk_bits = static_cast<uint8_t>(std::bit_width((blocks - 1) / kMaxChunks));
  chunk_size_ = uint64_t{kBlockSize} << map->chunk_bits;
  const uint64_t chunks = disk::erofs::round_up(entry.size, chunk_size_) / chunk_size_;
  MSB_CHECK(files_.charge(chunks * sizeof(uint32_t) + sizeof(disk::SparseMap)));
  map->blocks.assign(chunks, disk::erofs::kHole);
  files_.tree().inode(file_).sparse = std::move(map);
  segments_ = std::move(entry.segments);
  segment_ = 0;
  segment_done_ = 0;
  return {};
}

// Zeros from what is written of the chunk up to `position` in it, or to the end of the file.
Result<> LayerSink::fill_chunk_to(uint64_t position) {
  const uint64_t end = std::min(position, files_.tree().inode(file_).size - *chunk_ * chunk_size_);
  if (end <= chunk_position_) return {};
  MSB_CHECK(count_written(end - chunk_position_));
  MSB_CHECK(writer_.append_zeros(end - chunk_position_));
  chunk_position_ = end;
  return {};
}

Result<> LayerSink::sparse_data(ByteView bytes) {
  while (!bytes.empty()) {
    // The parser has checked that the data is as long as the segments together.
    const TarSegment& segment = segments_[segment_];
    const uint64_t at = segment.offset + segment_done_;
    const uint64_t chunk = at / chunk_size_, within = at % chunk_size_;
    if (chunk_ != chunk) {
      if (chunk_) MSB_CHECK(fill_chunk_to(chunk_size_));
      MSB_CHECK(writer_.pad());
      MSB_TRY(files_.tree().inode(file_).sparse->blocks[chunk], writer_.next_block());
      chunk_ = chunk;
      chunk_position_ = 0;
    }
    MSB_CHECK(fill_chunk_to(within));
    const size_t count = std::min<uint64_t>({bytes.size(), segment.length - segment_done_, chunk_size_ - within});
    MSB_CHECK(count_written(count));
    MSB_CHECK(writer_.append(bytes.first(count)));
    chunk_position_ += count;
    segment_done_ += count;
    if (segment_done_ == segment.length) {
      ++segment_;
      segment_done_ = 0;
    }
    bytes = bytes.subspan(count);
  }
  return {};
}

}  // namespace msb::image
