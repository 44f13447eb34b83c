#include "virtio/vhost_user_message.h"

namespace msb::virtio::vhost_user {

std::optional<uint64_t> parse_number(ByteView payload) {
  return ByteReader(payload).le<uint64_t>();
}

std::optional<RingState> parse_ring_state(ByteView payload) {
  ByteReader reader(payload);
  auto index = reader.le<uint32_t>(), number = reader.le<uint32_t>();
  if (!index || !number) return std::nullopt;
  return RingState{*index, *number};
}

std::optional<RingAddresses> parse_ring_addresses(ByteView payload) {
  ByteReader reader(payload);
  auto index = reader.le<uint32_t>(), flags = reader.le<uint32_t>();
  auto descriptors = reader.le<uint64_t>(), used = reader.le<uint64_t>(), available = reader.le<uint64_t>(),
       log = reader.le<uint64_t>();
  if (!index || !flags || !descriptors || !used || !available || !log) return std::nullopt;
  return RingAddresses{*index, *flags, *descriptors, *used, *available, *log};
}

std::optional<std::vector<MemoryRegion>> parse_memory_table(ByteView payload) {
  ByteReader reader(payload);
  auto count = reader.le<uint32_t>();
  if (!count || *count > kMaxRegions || !reader.take(sizeof(uint32_t))) return std::nullopt;
  std::vector<MemoryRegion> regions;
  for (uint32_t i = 0; i < *count; ++i) {
    auto guest = reader.le<uint64_t>(), size = reader.le<uint64_t>(), user = reader.le<uint64_t>(),
         offset = reader.le<uint64_t>();
    if (!guest || !size || !user || !offset) return std::nullopt;
    regions.push_back({*guest, *size, *user, *offset});
  }
  return regions;
}

std::optional<RingDescriptor> parse_ring_descriptor(ByteView payload) {
  constexpr uint64_t kIndex = 0xff, kNoDescriptor = 0x100;
  auto value = parse_number(payload);
  if (!value || *value & ~(kIndex | kNoDescriptor)) return std::nullopt;
  return RingDescriptor{static_cast<uint8_t>(*value & kIndex), (*value & kNoDescriptor) == 0};
}

Bytes number_payload(uint64_t number) {
  Bytes payload(sizeof(number));
  store_le(payload.data(), number);
  return payload;
}

Bytes ring_state_payload(const RingState& state) {
  Bytes payload(2 * sizeof(uint32_t));
  store_le(payload.data(), state.index);
  store_le(payload.data() + sizeof(uint32_t), state.number);
  return payload;
}

}  // namespace msb::virtio::vhost_user
