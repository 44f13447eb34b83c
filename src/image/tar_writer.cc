#include "image/tar_writer.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace msb::image {
namespace {

constexpr size_t kBlock = 512;
constexpr uint64_t kLargestOctal = uint64_t{8} << 30;  // 11 octal digits; beyond them the size is binary, as in GNU tar

}  // namespace

Result<> TarWriter::header(const std::string& name, uint64_t size) {
  if (name.size() >= 100) return fail(ErrorKind::internal, cat("the name ", name, " does not fit into a tar header"));
  std::array<char, kBlock> block{};
  const auto put = [&](size_t offset, std::string_view text) { text.copy(block.data() + offset, text.size()); };
  put(0, name);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  if (size < kLargestOctal) {
    char digits[13];
    std::snprintf(digits, sizeof digits, "%011llo", static_cast<unsigned long long>(size));
    put(124, digits);
  } else {
    block[124] = static_cast<char>(0x80);
    store_be<uint64_t>(reinterpret_cast<uint8_t*>(block.data()) + 128, size);
  }
  put(136, "00000000000");
  put(148, "        ");
  block[156] = '0';
  put(257, std::string_view("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  char checksum[8];
  std::snprintf(checksum, sizeof checksum, "%06o", sum);
  put(148, std::string_view(checksum, 7));
  return write_full(fd_, as_bytes({block.data(), block.size()}));
}

Result<> TarWriter::pad(uint64_t size) {
  const std::array<uint8_t, kBlock> zeros{};
  return write_full(fd_, ByteView(zeros).first((kBlock - size % kBlock) % kBlock));
}

Result<> TarWriter::add_text(const std::string& name, std::string_view text) {
  MSB_CHECK(header(name, text.size()));
  MSB_CHECK(write_full(fd_, as_bytes(text)));
  return pad(text.size());
}

Result<> TarWriter::add_file(const std::string& name, int file, uint64_t size) {
  MSB_CHECK(header(name, size));
  if (::lseek(file, 0, SEEK_SET) != 0) return fail_errno(cat("read ", name, " from its beginning"));
  Bytes buffer(size_t{256} << 10);
  for (uint64_t left = size; left > 0;) {
    MSB_TRY(const size_t count,
            read_full(file, MutableByteView(buffer).first(std::min<uint64_t>(left, buffer.size()))));
    if (count == 0) return fail(ErrorKind::io, cat(name, " became shorter while it was saved"));
    MSB_CHECK(write_full(fd_, ByteView(buffer).first(count)));
    left -= count;
  }
  return pad(size);
}

Result<> TarWriter::finish() {
  const std::array<uint8_t, 2 * kBlock> zeros{};
  return write_full(fd_, zeros);
}

}  // namespace msb::image
