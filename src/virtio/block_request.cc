#include "virtio/block_request.h"

#include <array>

namespace msb::virtio {
namespace {

constexpr size_t kHeader = 16;  // type, reserved (32 bits each), sector (64 bits)
constexpr size_t kRange = 16;   // sector (64 bits), sectors, flags (32 bits each)
constexpr uint32_t kUnmap = 1;
// A cut-off header has no type.
constexpr BlockRequestType kNoType{0xffffffff};
// Copying so much takes tens of microseconds, for which the device thread can be kept from other devices.
constexpr uint64_t kMaxReadNow = uint64_t{256} << 10;

// The views as iovecs, without the first `skip` bytes, `length` in all.
disk::Buffers gather(std::span<const MutableByteView> views, uint64_t skip, uint64_t length, std::vector<iovec>& out) {
  out.clear();
  for (MutableByteView view : views) {
    if (skip >= view.size()) {
      skip -= view.size();
      continue;
    }
    const size_t count = static_cast<size_t>(std::min<uint64_t>(view.size() - skip, length));
    if (count > 0) out.push_back({view.data() + skip, count});
    skip = 0;
    length -= count;
  }
  return out;
}

}  // namespace

struct BlockExecutor::Ranges {
  struct Range {
    uint64_t offset, length;  // bytes
    disk::Unmap unmap;
  };
  std::array<Range, kMaxBlockRanges> items;
  size_t count = 0;
};

Result<BlockRequest> BlockRequest::parse(Chain chain) {
  if (chain.writable_bytes() == 0) return fail(ErrorKind::protocol, "a block request without room for its status");
  std::array<uint8_t, kHeader> header{};
  const bool whole = chain.read(0, header) == kHeader;
  return BlockRequest{std::move(chain), whole ? BlockRequestType{load_le<uint32_t>(&header[0])} : kNoType,
                      load_le<uint64_t>(&header[8])};
}

void BlockRequest::put_status(BlockStatus how) {
  status = how;
  const uint8_t byte = static_cast<uint8_t>(how);
  chain.write(chain.writable_bytes() - 1, {&byte, 1});
}

uint64_t BlockRequest::data_bytes() const {
  if (type == BlockRequestType::in) return chain.writable_bytes() - 1;
  if (type == BlockRequestType::out && chain.readable_bytes() >= kHeader) return chain.readable_bytes() - kHeader;
  return 0;
}

disk::Buffers BlockExecutor::data_in(const BlockRequest& request) {
  return gather(request.chain.writable(), 0, request.chain.writable_bytes() - 1, pieces_);
}

disk::Buffers BlockExecutor::data_out(const BlockRequest& request) {
  return gather(request.chain.readable(), kHeader, request.chain.readable_bytes() - kHeader, pieces_);
}

bool BlockExecutor::in_disk(uint64_t sector, uint64_t sectors) const {
  return disk::in_range(sector, sectors, disk_.size() / kBlockSector);
}

BlockStatus BlockExecutor::check(const BlockRequest& request) const {
  if (request.chain.readable_bytes() < kHeader) return BlockStatus::io_error;
  const uint64_t in = request.chain.writable_bytes() - 1;
  const uint64_t out = request.chain.readable_bytes() - kHeader;
  bool sound = false;
  switch (request.type) {
    case BlockRequestType::in:
      sound = in % kBlockSector == 0 && in_disk(request.sector, in / kBlockSector);
      break;
    case BlockRequestType::out:
      sound = !disk_.read_only() && out % kBlockSector == 0 && in_disk(request.sector, out / kBlockSector);
      break;
    case BlockRequestType::flush:
      sound = true;
      break;
    case BlockRequestType::get_id:
      sound = in >= kBlockIdBytes;
      break;
    case BlockRequestType::discard:
    case BlockRequestType::write_zeroes:
      sound = !disk_.read_only() && out > 0 && out % kRange == 0 && out / kRange <= kMaxBlockRanges;
      break;
    default:
      return BlockStatus::unsupported;
  }
  return sound ? BlockStatus::ok : BlockStatus::io_error;
}

std::optional<BlockStatus> BlockExecutor::execute_now(const BlockRequest& request, std::string_view id) {
  if (BlockStatus status = check(request); status != BlockStatus::ok) return status;
  if (request.type == BlockRequestType::get_id) {
    std::array<uint8_t, kBlockIdBytes> bytes{};
    std::copy_n(id.begin(), std::min(id.size(), bytes.size()), bytes.begin());
    request.chain.write(0, bytes);
    return BlockStatus::ok;
  }
  if (request.type == BlockRequestType::in && request.chain.writable_bytes() <= kMaxReadNow &&
      disk_.read_now(request.sector * kBlockSector, data_in(request)))
    return BlockStatus::ok;
  return std::nullopt;
}

BlockStatus BlockExecutor::execute(const BlockRequest& request, Cache cache) {
  BlockStatus status = check(request);
  if (status != BlockStatus::ok) return status;
  auto done = carry_out(request, status);
  const bool changes = request.type != BlockRequestType::in && request.type != BlockRequestType::flush;
  if (done && changes && cache == Cache::write_through) done = disk_.flush();
  if (done) return status;
  report_(done.error());
  return BlockStatus::io_error;
}

Result<> BlockExecutor::carry_out(const BlockRequest& request, BlockStatus& status) {
  const uint64_t offset = request.sector * kBlockSector;
  switch (request.type) {
    case BlockRequestType::in:
      return disk_.readv(offset, data_in(request));
    case BlockRequestType::out:
      return disk_.writev(offset, data_out(request));
    case BlockRequestType::flush:
      return disk_.flush();
    default:
      break;
  }
  Ranges ranges;
  status = read_ranges(request, ranges);
  return status == BlockStatus::ok ? change_ranges(request, ranges) : Result<>();
}

// All of them are judged before the first is touched.
BlockStatus BlockExecutor::read_ranges(const BlockRequest& request, Ranges& ranges) const {
  const bool discard = request.type == BlockRequestType::discard;
  std::array<uint8_t, kMaxBlockRanges * kRange> bytes;
  ranges.count = request.chain.read(kHeader, bytes) / kRange;
  for (size_t i = 0; i < ranges.count; ++i) {
    const uint8_t* at = &bytes[i * kRange];
    const uint64_t sector = load_le<uint64_t>(at);
    const uint32_t sectors = load_le<uint32_t>(at + 8);
    const uint32_t flags = load_le<uint32_t>(at + 12);
    // 5.2.6.2: unknown flags are not supported, nor is a discard with the flag that is about zeros.
    if ((flags & ~(discard ? 0 : kUnmap)) != 0) return BlockStatus::unsupported;
    if (sectors > (discard ? kMaxDiscardSectors : kMaxWriteZeroesSectors) || !in_disk(sector, sectors))
      return BlockStatus::io_error;
    ranges.items[i] = {sector * kBlockSector, uint64_t{sectors} * kBlockSector,
                       flags & kUnmap ? disk::Unmap::yes : disk::Unmap::no};
  }
  return BlockStatus::ok;
}

Result<> BlockExecutor::change_ranges(const BlockRequest& request, const Ranges& ranges) {
  for (const auto& range : std::span(ranges.items).first(ranges.count)) {
    if (request.type == BlockRequestType::discard)
      MSB_CHECK(disk_.discard(range.offset, range.length));
    else
      MSB_CHECK(disk_.write_zeroes(range.offset, range.length, range.unmap));
  }
  return {};
}

}  // namespace msb::virtio
