// ErofsWriter: streams an uncompressed EROFS image into a file.
//
//   ErofsWriter writer(fd);                       // an empty file, open for writing
//   uint32_t block = *writer.next_block();        // file data first, as it arrives
//   writer.append(bytes); ... writer.pad();
//   tree.inode(id).block = block;
//   writer.finish(tree);                          // then the metadata, the superblock last
//
// A file that was not finished has no superblock, so nobody can take it for an image.
// The same calls give the same bytes: there is no clock or random number in it.
// Borrows the descriptor. Belongs to one thread. Failures: io; unsupported when the image outgrows 16 TiB.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "disk/erofs_tree.h"

namespace msb::disk {

// A further device that inodes of this image point into (Inode::device), laid behind
// the image and the devices before it on one flat disk.
struct ErofsDevice {
  std::string tag;  // at most 64 bytes, not empty
  uint32_t blocks = 0;
};

struct ErofsSummary {
  uint64_t size = 0;         // of the image in bytes, whole blocks
  uint64_t data_blocks = 0;  // those written by append()
  uint64_t inodes = 0;
};

class ErofsWriter {
 public:
  explicit ErofsWriter(int fd, std::vector<ErofsDevice> devices = {});

  Result<> append(ByteView bytes);
  Result<> append_zeros(uint64_t count);
  // Zeros up to the next block boundary.
  Result<> pad();
  // Where the next byte goes; only between pad() and append().
  Result<uint32_t> next_block() const;

  // What was appended is in the file, and can be read there.
  Result<> flush();

  Result<ErofsSummary> finish(const ErofsTree& tree);

 private:
  Result<> write_header(uint32_t meta_block, uint32_t blocks, uint64_t inodes, uint16_t root_nid, bool chunks);

  int fd_;
  std::vector<ErofsDevice> devices_;
  uint64_t header_size_;
  uint64_t offset_;  // of the next byte of the image
  Bytes buffer_;     // not yet written; ends at offset_
};

}  // namespace msb::disk
