// Reassembler: fragments become packets again. Bounded: 64 packets at once (beyond, the oldest is given up), 64 KiB and
// 128 fragments each, 10 s. Fragments that overlap give the packet up (RFC 5722; for IPv4 as well).
#pragma once

#include <array>
#include <list>
#include <optional>

#include "base/deadline.h"
#include "net/packet/ip.h"

namespace msb::net {

class Reassembler {
 public:
  static constexpr size_t kMostPackets = 64;
  static constexpr size_t kMostFragments = 128;
  static constexpr std::chrono::seconds kPatience{10};

  // The whole packet, when this fragment was the last to come; valid until the next call.
  std::optional<IpPacket> add(const IpPacket& fragment, Clock::time_point now);

  size_t packets() const { return sets_.size(); }  // being put together

 private:
  struct Range {
    size_t begin, end;
  };
  struct Set {
    IpHeader header;  // of the first fragment once it has come; until then of any
    Clock::time_point deadline;
    Bytes bytes = {};
    std::vector<Range> ranges = {};  // what has come, in order, apart from each other
    size_t fragments = 0;
    std::optional<size_t> total = {};
  };
  enum class Step { wait, whole, broken };
  std::list<Set>::iterator find_or_begin(const IpHeader& header, Clock::time_point now);
  static Step put(Set& set, const IpPacket& fragment);
  static bool insert_range(std::vector<Range>& ranges, Range range);

  std::list<Set> sets_;  // the oldest first
  Bytes whole_;
};

}  // namespace msb::net
