// Any bytes as a converted layer: its export ends with an error, or is a tar that our own parser takes. (Layers in the
// cache are ours, but `save` reads them years later, from a disk that anybody may have had in hands.)
#include <cstdio>
#include <cstdlib>

#include "disk/testing/any_image.h"
#include "image/layer_export.h"
#include "image/layer_tar.h"

namespace {

using namespace msb;

// A sparse file of a terabyte is a few bytes of image; its holes are not written, but chunks may be repeated.
constexpr size_t kMostOutput = size_t{4} << 20;

class Nowhere final : public image::TarSink {
 public:
  Result<> begin_entry(image::TarEntry&) override { return {}; }
  Result<> data(ByteView) override { return {}; }
  Result<> end_entry() override { return {}; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto reader = disk::testing::open_any_image({data, size});
  if (!reader) return 0;
  Nowhere nowhere;
  image::TarParser parser(nowhere);
  size_t written = 0;
  auto exported = image::export_layer(*reader, [&](ByteView bytes) -> Result<> {
    written += bytes.size();
    if (written > kMostOutput) return fail(ErrorKind::io, "enough");
    if (auto fed = parser.feed(bytes); !fed) {
      std::fprintf(stderr, "the tar is refused: %s\n", fed.error().to_string().c_str());
      std::abort();
    }
    return {};
  });
  if (exported && !parser.finish()) std::abort();
  return 0;
}
