#include "base/mmap.h"

#include <sys/mman.h>

#include <utility>

namespace msb {

Result<Mmap> Mmap::map(int fd, size_t size, uint64_t offset, int protection, int flags) {
  void* address = ::mmap(nullptr, size, protection, flags, fd, static_cast<off_t>(offset));
  if (address == MAP_FAILED) return fail_errno(cat("map ", size, " bytes"));
  Mmap mapping;
  mapping.data_ = static_cast<uint8_t*>(address);
  mapping.size_ = size;
  return mapping;
}

Result<Mmap> Mmap::anonymous(size_t size) {
  return map(-1, size, 0, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
}

Result<Mmap> Mmap::shared(int fd, size_t size, uint64_t offset) {
  return map(fd, size, offset, PROT_READ | PROT_WRITE, MAP_SHARED);
}

Result<Mmap> Mmap::reserve(size_t size) {
  return map(-1, size, 0, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
}

Result<Mmap> Mmap::read_only(int fd, size_t size, uint64_t offset) {
  return map(fd, size, offset, PROT_READ, MAP_SHARED);
}

Mmap::Mmap(Mmap&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mmap& Mmap::operator=(Mmap&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Mmap::~Mmap() {
  if (data_) ::munmap(data_, size_);
}

}  // namespace msb
