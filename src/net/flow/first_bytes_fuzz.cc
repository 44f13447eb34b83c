// Any bytes, in any two pieces: what is known of the first part does not change with more, and a name is a name.
#include <cstdlib>

#include "net/flow/first_bytes.h"
#include "net/policy/pin_table.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace msb;
  const ByteView bytes(data, size);
  const auto whole = net::read_first_bytes(bytes);
  for (size_t part = 0; part < size; part += 1 + size / 16) {
    const auto first = net::read_first_bytes(bytes.first(part));
    if (first.state != net::FirstBytes::State::more && (whole.state != first.state || whole.name != first.name))
      std::abort();
  }
  if (whole.name && (whole.name->empty() || net::canonical_name(*whole.name) != *whole.name)) std::abort();
  return 0;
}
