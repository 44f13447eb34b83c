// NetHeader: what stands before each frame on the link, struct virtio_net_hdr with num_buffers (virtio 1.2, 5.1.6):
// what is left to do of checksum and segmentation.
#pragma once

#include <optional>

#include "base/bytes.h"

namespace msb::net {

struct NetHeader {
  static constexpr size_t kSize = 12;
  enum class Segmentation : uint8_t { none = 0, tcp_v4 = 1, tcp_v6 = 4 };

  bool needs_checksum = false;  // from `checksum_start` to the end, into the field at `checksum_offset` after it
  Segmentation segmentation = Segmentation::none;
  uint16_t header_size = 0;   // of all headers in the frame; a hint
  uint16_t segment_size = 0;  // payload of each segment
  uint16_t checksum_start = 0;
  uint16_t checksum_offset = 0;
};

// Fields that say how large the segments were to be are of no interest on this side: they come whole.
inline std::optional<NetHeader> parse_net_header(ByteView bytes) {
  if (bytes.size() < NetHeader::kSize) return std::nullopt;
  NetHeader header;
  header.needs_checksum = bytes[0] & 1;
  header.checksum_start = load_le<uint16_t>(bytes.data() + 6);
  header.checksum_offset = load_le<uint16_t>(bytes.data() + 8);
  return header;
}

inline void write_net_header(const NetHeader& header, uint8_t* out) {
  out[0] = header.needs_checksum;
  out[1] = static_cast<uint8_t>(header.segmentation);
  store_le(out + 2, header.header_size);
  store_le(out + 4, header.segment_size);
  store_le(out + 6, header.checksum_start);
  store_le(out + 8, header.checksum_offset);
  store_le(out + 10, uint16_t{1});  // num_buffers
}

}  // namespace msb::net
