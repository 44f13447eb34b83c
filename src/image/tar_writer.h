// TarWriter: plain files into a tar archive, always the same bytes for the same files (owner 0, time 0).
#pragma once

#include <string>

#include "base/fd.h"

namespace msb::image {

class TarWriter {
 public:
  // Borrows the descriptor, which need not be seekable. Buffers nothing.
  explicit TarWriter(int fd) : fd_(fd) {}

  Result<> add_text(const std::string& name, std::string_view text);
  // The whole of an open file, from its beginning.
  Result<> add_file(const std::string& name, int file, uint64_t size);
  // The end mark.
  Result<> finish();

 private:
  Result<> header(const std::string& name, uint64_t size);
  Result<> pad(uint64_t size);
  int fd_;
};

}  // namespace msb::image
