// LayerTarWriter: writes tar entries (ustar, with pax records where ustar is too small).
// The same calls give the same bytes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "image/layer_tar.h"

namespace msb::image {

using TarOutput = std::function<Result<>(ByteView)>;

class LayerTarWriter {
 public:
  explicit LayerTarWriter(TarOutput output);

  // A file's data follows by data(), as many bytes as entry.size, or as its segments together; then end_data().
  Result<> entry(const TarEntry& entry);
  Result<> data(ByteView bytes);
  Result<> end_data();
  // The end mark. Flushes.
  Result<> finish();

 private:
  Result<> append(ByteView bytes);
  Result<> header(const TarEntry& entry, char type, std::string_view name, uint64_t size);
  Result<> pax(const std::string& records);

  TarOutput output_;
  Bytes buffer_;
  uint64_t data_size_ = 0;  // since the last entry
};

}  // namespace msb::image
