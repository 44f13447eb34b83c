// A peer's byte stream, as either side reads it: frames, envelopes and the payload of every message type.
#include <cstdlib>

#include "wire/all_messages.h"

using namespace msb;
using namespace msb::wire;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteView input(data, size);
  // The first byte chooses how large the pieces are in which the stream arrives.
  size_t piece = size ? size_t{1} + data[0] : 1;
  if (size) input = input.subspan(1);
  FrameReader reader;
  while (!input.empty()) {
    size_t count = std::min(piece, input.size());
    reader.feed(input.first(count));
    input = input.subspan(count);
    while (true) {
      auto frame = reader.next();
      if (!frame) return 0;
      if (!*frame) break;
      auto envelope = open_envelope((*frame)->body);
      if (!envelope) continue;
      for_each_message([&]<class T>() {
        if (envelope->type != T::kType) return;
        auto message = decode<T>(envelope->payload);
        // What we accept, we must be able to say again in the same way.
        if (message && !decode<T>(encode(*message))) std::abort();
      });
    }
  }
  // And the same bytes as a bare payload of every type, which a mutator reaches faster.
  for_each_message([&]<class T>() { (void)decode<T>({data, size}); });
  return 0;
}
