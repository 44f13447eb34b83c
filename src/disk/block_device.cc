#include "disk/block_device.h"

#include <algorithm>
#include <array>

namespace msb::disk {
namespace {

// What is written as zeros. Small, as it is part of the program file.
constexpr size_t kZeros = 16384;
const std::array<uint8_t, kZeros> zeros{};

}  // namespace

void append_zeros(uint64_t length, std::vector<iovec>& out) {
  while (length > 0) {
    size_t count = static_cast<size_t>(std::min<uint64_t>(length, kZeros));
    out.push_back({const_cast<uint8_t*>(zeros.data()), count});
    length -= count;
  }
}

Result<> BlockDevice::writev(uint64_t offset, Buffers in) {
  return check_writable("write", offset, total_bytes(in));
}

Result<> BlockDevice::discard(uint64_t offset, uint64_t length) {
  return check_writable("discard", offset, length);
}

Result<> BlockDevice::write_zeroes(uint64_t offset, uint64_t length, Unmap) {
  MSB_CHECK(check_writable("write", offset, length));
  std::vector<iovec> pieces;
  constexpr uint64_t kStep = uint64_t{1} << 20;
  append_zeros(std::min(length, kStep), pieces);
  while (length > 0) {
    uint64_t count = std::min(length, kStep);
    if (count < kStep) {
      pieces.clear();
      append_zeros(count, pieces);
    }
    MSB_CHECK(writev(offset, pieces));
    offset += count;
    length -= count;
  }
  return {};
}

Result<> BlockDevice::grow(uint64_t) {
  return fail(ErrorKind::unsupported, "this disk cannot be made bigger");
}

Result<> BlockDevice::read(uint64_t offset, MutableByteView out) {
  iovec piece{out.data(), out.size()};
  return readv(offset, {&piece, 1});
}

Result<> BlockDevice::write(uint64_t offset, ByteView bytes) {
  iovec piece{const_cast<uint8_t*>(bytes.data()), bytes.size()};
  return writev(offset, {&piece, 1});
}

Result<> BlockDevice::check_range(std::string_view what, uint64_t offset, uint64_t length) const {
  if (in_range(offset, length, size())) return {};
  return fail(ErrorKind::invalid_config,
              cat(what, " of ", length, " bytes at ", offset, " of a disk of ", size(), " bytes"));
}

Result<> BlockDevice::check_writable(std::string_view what, uint64_t offset, uint64_t length) const {
  if (read_only()) return fail(ErrorKind::invalid_config, cat(what, " on a read-only disk"));
  return check_range(what, offset, length);
}

Result<> MemoryDisk::readv(uint64_t offset, Buffers out) {
  uint64_t length = total_bytes(out);
  MSB_CHECK(check_range("read", offset, length));
  BufferCursor(out).put(ByteView(bytes_).subspan(static_cast<size_t>(offset), static_cast<size_t>(length)));
  return {};
}

Result<> MemoryDisk::writev(uint64_t offset, Buffers in) {
  uint64_t length = total_bytes(in);
  MSB_CHECK(check_writable("write", offset, length));
  BufferCursor(in).get(MutableByteView(bytes_).subspan(static_cast<size_t>(offset), static_cast<size_t>(length)));
  return {};
}

Result<> MemoryDisk::discard(uint64_t offset, uint64_t length) {
  return write_zeroes(offset, length, Unmap::yes);
}

Result<> MemoryDisk::write_zeroes(uint64_t offset, uint64_t length, Unmap) {
  MSB_CHECK(check_writable("write", offset, length));
  std::fill_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), length, uint8_t{0});
  return {};
}

Result<> MemoryDisk::grow(uint64_t size) {
  if (read_only() || size > limit_) return fail(ErrorKind::io, "a memory disk is full");
  if (size > bytes_.size()) bytes_.resize(static_cast<size_t>(size));
  return {};
}

}  // namespace msb::disk
