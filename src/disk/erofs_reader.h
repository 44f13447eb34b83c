// ErofsReader: reads back the EROFS images that ErofsWriter makes: the tree, and file data.
//
// It reads the uncompressed subset (plain, inline and chunk layouts, inline attributes), and
// judges every number before it uses it: a damaged cache file gives ErrorKind::corrupt, never
// more memory or time than the limits below allow. Names are safe: no "/", no NUL, no "..".
// Owns the descriptor. Belongs to one thread.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/result.h"
#include "disk/erofs_format.h"
#include "disk/erofs_tree.h"
#include "disk/erofs_writer.h"

namespace msb::disk {

// Fills the buffer with a regular file's bytes from `offset` on; returns the count, 0 at the end. `fd` is the image
// that has the file's data, whichever image has its inode.
Result<size_t> erofs_read_data(int fd, const Inode& inode, uint64_t offset, MutableByteView buffer);

class ErofsReader {
 public:
  // More than a layer may have (image/layer_limits.h), with room for whiteouts and implicit directories.
  static constexpr uint64_t kMaxEntries = 4'000'000;
  static constexpr uint64_t kMaxMetadataBytes = uint64_t{1} << 30;

  static Result<ErofsReader> open(const std::string& path);
  // `name` is for error messages.
  static Result<ErofsReader> adopt(Fd fd, std::string name);

  uint32_t blocks() const { return super_.blocks; }
  const std::vector<ErofsDevice>& devices() const { return devices_; }

  // The whole tree.
  Result<ErofsTree> load_tree();
  // Fills the buffer with the file's bytes from `offset` on; returns the count, 0 at the end.
  // Only files whose data is in this image (Inode::device 0).
  Result<size_t> read(const Inode& inode, uint64_t offset, MutableByteView buffer);

 private:
  ErofsReader(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

  struct DiskInode {
    erofs::InodeExtended fields{};
    erofs::Layout layout = erofs::Layout::plain;
    uint64_t body = 0;  // where attributes start
    uint64_t tail = 0;  // where chunk indexes or inline data start
  };
  struct Loading;

  Result<> read_super();
  Result<> read_meta(uint64_t offset, MutableByteView out);
  Result<DiskInode> read_inode(uint64_t nid);
  Result<InodeId> load_inode(Loading& loading, uint64_t nid);
  Result<> load_file(Loading& loading, const DiskInode& disk, Inode& inode);
  Result<> load_chunks(Loading& loading, const DiskInode& disk, Inode& inode);
  Result<> load_directory(Loading& loading, uint64_t nid, InodeId id);
  Result<> load_directory_block(Loading& loading, ByteView block, InodeId id);
  Result<> read_content(const DiskInode& disk, uint64_t offset, MutableByteView out);
  Result<> charge(Loading& loading, uint64_t bytes) const;
  tl::unexpected<Error> corrupt(std::string_view what) const;

  Fd fd_;
  std::string name_;
  uint64_t file_size_ = 0;
  erofs::SuperBlock super_{};
  std::vector<ErofsDevice> devices_;
  Bytes window_;  // the part of the file read last; metadata lies close together
  uint64_t window_offset_ = 0;
};

}  // namespace msb::disk
