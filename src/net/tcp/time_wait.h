// TimeWait: connections that are over, remembered for a moment so that a FIN that is repeated is acknowledged once more
// instead of being answered with a reset. Bounded; the oldest make room.
#pragma once

#include <deque>
#include <optional>
#include <unordered_map>

#include "net/tcp/keyed_hash.h"

namespace msb::net {

class TimeWait {
 public:
  static constexpr size_t kMost = 1024;
  struct Rest {
    uint32_t sequence = 0;  // ours
    uint32_t acknowledgement = 0;
    Clock::time_point until;
  };

  explicit TimeWait(const KeyedHash& hash) : rests_(0, hash) {}

  // `until` is not before that of any earlier one.
  void add(const TcpEnds& ends, const Rest& rest);
  std::optional<Rest> find(const TcpEnds& ends) const;
  void forget(const TcpEnds& ends) { rests_.erase(ends); }
  void expire(Clock::time_point now);
  std::optional<Clock::time_point> next() const;
  size_t size() const { return rests_.size(); }

 private:
  struct Entry {
    TcpEnds ends;
    Clock::time_point until;
  };
  void pop();
  std::unordered_map<TcpEnds, Rest, KeyedHash> rests_;
  std::deque<Entry> order_;  // may name what has been forgotten, or has been added again since
};

}  // namespace msb::net
