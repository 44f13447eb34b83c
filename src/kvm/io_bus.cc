#include "kvm/io_bus.h"

#include <algorithm>

namespace msb::kvm {

Result<> IoBus::add(uint64_t start, uint64_t size, Handler handler) {
  auto next = std::upper_bound(ranges_.begin(), ranges_.end(), start,
                               [](uint64_t address, const Range& range) { return address < range.start; });
  bool wraps = size == 0 || start + (size - 1) < start;
  bool hits_next = !wraps && next != ranges_.end() && next->start - start < size;
  bool hits_previous = next != ranges_.begin() && start - std::prev(next)->start < std::prev(next)->size;
  if (wraps || hits_next || hits_previous)
    return fail(ErrorKind::invalid_config, cat("two devices want the bus address ", start));
  ranges_.insert(next, {start, size, std::move(handler)});
  return {};
}

const IoBus::Range* IoBus::find(uint64_t address, size_t length) const {
  auto next = std::upper_bound(ranges_.begin(), ranges_.end(), address,
                               [](uint64_t at, const Range& range) { return at < range.start; });
  if (next == ranges_.begin()) return nullptr;
  const Range& range = *std::prev(next);
  uint64_t offset = address - range.start;
  return offset < range.size && length <= range.size - offset ? &range : nullptr;
}

void IoBus::read(uint64_t address, MutableByteView out) const {
  std::fill(out.begin(), out.end(), uint8_t{0xff});
  if (const Range* range = find(address, out.size())) range->handler.read(address - range->start, out);
}

void IoBus::write(uint64_t address, ByteView bytes) const {
  if (const Range* range = find(address, bytes.size())) range->handler.write(address - range->start, bytes);
}

}  // namespace msb::kvm
