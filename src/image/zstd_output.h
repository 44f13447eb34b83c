// ZstdOutput: a TarOutput that compresses with zstd on its way to a file or pipe, on all processors, with a checksum of
// the contents, so that damage is found wherever it is.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/result.h"

namespace msb::image {

class ZstdOutput {
 public:
  // Borrows the descriptor. ErrorKind::io when there is no memory for it.
  static Result<std::unique_ptr<ZstdOutput>> create(int fd);
  ~ZstdOutput();

  Result<> write(ByteView bytes);
  // The end of the frame.
  Result<> finish();

 private:
  struct State;
  ZstdOutput(int fd, std::unique_ptr<State> state);
  Result<> compress(ByteView bytes, bool last);
  int fd_;
  std::unique_ptr<State> state_;
};

}  // namespace msb::image
