// What tests of the registry client have in common, whichever transport is below it.
#pragma once

#include <string>

#include "image/registry_client.h"
#include "image/testing/sample_image.h"

namespace msb::image::testing {

// Tries again at once.
inline Endpoint impatient(Endpoint endpoint) {
  endpoint.retry.first_delay = std::chrono::milliseconds(0);
  return endpoint;
}

inline Result<std::string> fetch_blob(RegistryClient& from, const Reference& reference, const SampleBlob& blob) {
  std::string out;
  MSB_CHECK(from.blob(reference,
                      {.media_type = {},
                       .digest = *Digest::parse(blob.digest),
                       .size = blob.bytes.size(),
                       .platform = {},
                       .reference_name = {}},
                      [&](ByteView bytes) -> Result<> {
                        out.append(as_text(bytes));
                        return {};
                      }));
  return out;
}

}  // namespace msb::image::testing
