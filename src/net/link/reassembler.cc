#include "net/link/reassembler.h"

#include <algorithm>

namespace msb::net {

std::optional<IpPacket> Reassembler::add(const IpPacket& fragment, Clock::time_point now) {
  while (!sets_.empty() && sets_.front().deadline <= now) sets_.pop_front();
  const auto set = find_or_begin(fragment.header, now);
  const Step step = put(*set, fragment);
  if (step == Step::wait) return std::nullopt;
  std::optional<IpPacket> packet;
  if (step == Step::whole) {
    whole_ = std::move(set->bytes);
    packet = IpPacket{set->header, whole_};
    packet->header.offset = 0;
    packet->header.more = false;
    if (!skip_extension_headers(*packet) || packet->header.is_fragment()) packet.reset();
  }
  sets_.erase(set);
  return packet;
}

std::list<Reassembler::Set>::iterator Reassembler::find_or_begin(const IpHeader& header, Clock::time_point now) {
  // RFC 8200 leaves the protocol out of an IPv6 packet's identity; RFC 791 has it. It decides nothing here.
  const auto found = std::ranges::find_if(sets_, [&](const Set& set) {
    return set.header.id == header.id && set.header.source == header.source &&
           set.header.destination == header.destination &&
           (!header.source.is_v4() || set.header.protocol == header.protocol);
  });
  if (found != sets_.end()) return found;
  if (sets_.size() == kMostPackets) sets_.pop_front();
  return sets_.insert(sets_.end(), Set{.header = header, .deadline = now + kPatience});
}

Reassembler::Step Reassembler::put(Set& set, const IpPacket& fragment) {
  const IpHeader& header = fragment.header;
  const Range range{header.offset, header.offset + fragment.payload.size()};
  if (++set.fragments > kMostFragments || range.begin == range.end || range.end > kLargestIpPayload - 20)
    return Step::broken;
  if (header.more && fragment.payload.size() % 8 != 0) return Step::broken;
  if (!header.more) {
    if (set.total) return Step::broken;
    set.total = range.end;
  }
  if (!insert_range(set.ranges, range)) return Step::broken;
  if (set.total && set.ranges.back().end > *set.total) return Step::broken;
  if (header.offset == 0) set.header = header;
  if (set.bytes.size() < range.end) set.bytes.resize(range.end);
  std::ranges::copy(fragment.payload, set.bytes.begin() + static_cast<ptrdiff_t>(range.begin));
  const Range& first = set.ranges.front();
  return set.total && first.begin == 0 && first.end == *set.total ? Step::whole : Step::wait;
}

bool Reassembler::insert_range(std::vector<Range>& ranges, Range range) {
  auto after = std::ranges::find_if(ranges, [&](const Range& other) { return other.begin >= range.begin; });
  if (after != ranges.end() && after->begin < range.end) return false;
  if (after != ranges.begin() && std::prev(after)->end > range.begin) return false;
  // Neighbours are joined, so that one range in the end is everything.
  if (after != ranges.end() && after->begin == range.end) {
    range.end = after->end;
    after = ranges.erase(after);
  }
  if (after != ranges.begin() && std::prev(after)->end == range.begin) {
    std::prev(after)->end = range.end;
  } else {
    ranges.insert(after, range);
  }
  return true;
}

}  // namespace msb::net
