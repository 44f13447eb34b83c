#include "net/packet/tcp.h"

#include <algorithm>

#include "net/packet/checksum.h"

namespace msb::net {
namespace {

constexpr size_t kPlainSize = 20;
constexpr uint8_t kLargestScale = 14;  // RFC 7323, 2.3
enum Option : uint8_t { kEnd = 0, kNothing = 1, kMss = 2, kWindowScale = 3 };

void parse_options(ByteReader reader, TcpHeader& header) {
  while (auto kind = reader.le<uint8_t>()) {
    if (*kind == kEnd) return;
    if (*kind == kNothing) continue;
    const auto size = reader.le<uint8_t>();
    if (!size || *size < 2) return;
    const auto value = reader.take(*size - size_t{2});
    if (!value) return;
    if (*kind == kMss && value->size() == 2) header.mss = load_be<uint16_t>(value->data());
    if (*kind == kWindowScale && value->size() == 1) header.window_scale = std::min((*value)[0], kLargestScale);
  }
}

}  // namespace

std::optional<TcpPacket> parse_tcp(ByteView bytes) {
  if (bytes.size() < kPlainSize) return std::nullopt;
  const size_t size = size_t{bytes[12]} / 16 * 4;
  if (size < kPlainSize || size > bytes.size()) return std::nullopt;
  TcpPacket packet;
  packet.header.source_port = load_be<uint16_t>(&bytes[0]);
  packet.header.destination_port = load_be<uint16_t>(&bytes[2]);
  packet.header.sequence = load_be<uint32_t>(&bytes[4]);
  packet.header.acknowledgement = load_be<uint32_t>(&bytes[8]);
  packet.header.flags = bytes[13];
  packet.header.window = load_be<uint16_t>(&bytes[14]);
  if (packet.header.has(kSyn)) parse_options(ByteReader(bytes.subspan(kPlainSize, size - kPlainSize)), packet.header);
  packet.payload = bytes.subspan(size);
  return packet;
}

void write_tcp(const Ip& from, const Ip& to, const TcpHeader& header, size_t payload_size, uint8_t* out) {
  const size_t size = header.size();
  store_be(out, header.source_port);
  store_be(out + 2, header.destination_port);
  store_be(out + 4, header.sequence);
  store_be(out + 8, header.acknowledgement);
  out[12] = static_cast<uint8_t>(size / 4 << 4);
  out[13] = header.flags;
  store_be(out + 14, header.window);
  Checksum sum;
  sum.add_pseudo_header(from, to, kTcp, size + payload_size);
  store_be(out + TcpHeader::kChecksumOffset, sum.folded());
  store_be(out + 18, uint16_t{0});  // urgent pointer
  uint8_t* option = out + kPlainSize;
  if (header.mss) {
    option[0] = kMss;
    option[1] = 4;
    store_be(option + 2, *header.mss);
    option += 4;
  }
  if (header.window_scale) {
    option[0] = kNothing;
    option[1] = kWindowScale;
    option[2] = 3;
    option[3] = *header.window_scale;
  }
}

}  // namespace msb::net
