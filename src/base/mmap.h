// Mmap: a mapping that is unmapped when its owner goes. Page-aligned; never moves.
#pragma once

#include "base/bytes.h"
#include "base/result.h"

namespace msb {

class [[nodiscard]] Mmap {
 public:
  Mmap() = default;
  // Zeroed memory of this process. `size` in bytes; the kernel rounds up to pages.
  static Result<Mmap> anonymous(size_t size);
  // A file (memory file, device), shared with all who map it. The descriptor may be closed afterwards.
  static Result<Mmap> shared(int fd, size_t size, uint64_t offset = 0);
  // Addresses without memory, to put other mappings into (MAP_FIXED).
  static Result<Mmap> reserve(size_t size);
  // A file, for reading only.
  static Result<Mmap> read_only(int fd, size_t size, uint64_t offset = 0);

  Mmap(Mmap&& other) noexcept;
  Mmap& operator=(Mmap&& other) noexcept;
  ~Mmap();

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  MutableByteView bytes() const { return {data_, size_}; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  static Result<Mmap> map(int fd, size_t size, uint64_t offset, int protection, int flags);
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace msb
