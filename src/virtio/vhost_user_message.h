// The vhost-user protocol, as far as a back end needs it (QEMU's docs/interop/vhost-user.rst): messages over a Unix
// socket, little-endian, with descriptors beside them.
//
// The front end (QEMU) runs the guest and is as untrusted as that: every length and number is judged here.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/fd.h"

namespace msb::virtio::vhost_user {

// The requests a back end without optional protocol features gets.
enum class Request : uint32_t {
  get_features = 1,
  set_features = 2,
  set_owner = 3,
  reset_owner = 4,
  set_mem_table = 5,
  set_log_base = 6,
  set_vring_num = 8,
  set_vring_addr = 9,
  set_vring_base = 10,
  get_vring_base = 11,
  set_vring_kick = 12,
  set_vring_call = 13,
  set_vring_err = 14,
  get_protocol_features = 15,
  set_protocol_features = 16,
  get_queue_num = 17,
  set_vring_enable = 18,
};

inline constexpr uint64_t kFeatureProtocol = uint64_t{1} << 30;  // protocol features can be negotiated
inline constexpr uint64_t kProtocolMultiqueue = uint64_t{1} << 0;
inline constexpr uint64_t kProtocolReplyAck = uint64_t{1} << 3;

inline constexpr uint32_t kVersion = 1;
inline constexpr uint32_t kFlagReply = 4;
inline constexpr uint32_t kFlagNeedReply = 8;
inline constexpr size_t kMaxPayload = 512;  // of a request; the memory table is the longest, 264 bytes
inline constexpr size_t kMaxRegions = 8;    // of memory; one descriptor each

struct Header {
  uint32_t request = 0;
  uint32_t flags = 0;
  uint32_t size = 0;
};
static_assert(sizeof(Header) == 12);

struct Message {
  Header header;
  Bytes payload;
  std::vector<Fd> fds;

  bool needs_reply() const { return (header.flags & kFlagNeedReply) != 0; }
};

// struct vhost_vring_state
struct RingState {
  uint32_t index = 0;
  uint32_t number = 0;
};
// struct vhost_vring_addr. The addresses are the front end's own ("user addresses"), found in the memory table.
struct RingAddresses {
  uint32_t index = 0;
  uint32_t flags = 0;
  uint64_t descriptors = 0;
  uint64_t used = 0;
  uint64_t available = 0;
  uint64_t log = 0;
};
struct MemoryRegion {
  uint64_t guest = 0;  // physical address
  uint64_t size = 0;
  uint64_t user = 0;    // the front end's address of the same byte
  uint64_t offset = 0;  // in the descriptor's file
};
// What SET_VRING_KICK, _CALL and _ERR say: a queue, and whether a descriptor comes along.
struct RingDescriptor {
  uint8_t index = 0;
  bool has_descriptor = true;
};

// nullopt: too short, or a number out of its bounds.
std::optional<uint64_t> parse_number(ByteView payload);
std::optional<RingState> parse_ring_state(ByteView payload);
std::optional<RingAddresses> parse_ring_addresses(ByteView payload);
std::optional<std::vector<MemoryRegion>> parse_memory_table(ByteView payload);
std::optional<RingDescriptor> parse_ring_descriptor(ByteView payload);

Bytes number_payload(uint64_t number);
Bytes ring_state_payload(const RingState& state);

}  // namespace msb::virtio::vhost_user
