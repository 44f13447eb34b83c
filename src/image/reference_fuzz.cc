// Whatever parses has a canonical form that parses to the same reference.
#include <cstdlib>

#include "image/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto reference = msb::image::Reference::parse(text);
  (void)msb::image::is_loopback_host(text);
  if (!reference) return 0;
  const auto again = msb::image::Reference::parse(reference->str());
  if (!again || *again != *reference) std::abort();
  return 0;
}
