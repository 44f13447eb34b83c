#include "fs/fuse_reply.h"

#include <cstring>

namespace msb::fs {
namespace {

void copy_in(Buffers buffers, uint64_t offset, ByteView bytes) {
  for (const auto& part : range_of(buffers, offset, bytes.size())) {
    std::memcpy(part.data(), bytes.data(), part.size());
    bytes = bytes.subspan(part.size());
  }
}

}  // namespace

bool FuseReply::add(ByteView bytes) {
  if (bytes.size() > room()) return false;
  copy_in(buffers_, size_, bytes);
  size_ += bytes.size();
  return true;
}

uint32_t FuseReply::finish(uint64_t unique, int error) {
  if (error != 0) clear();
  if (capacity_ < sizeof(fuse_out_header)) return 0;
  fuse_out_header header{};
  header.len = static_cast<uint32_t>(size_);
  header.error = -error;
  header.unique = unique;
  copy_in(buffers_, 0, {reinterpret_cast<const uint8_t*>(&header), sizeof(header)});
  return header.len;
}

}  // namespace msb::fs
