#include "net/tcp/time_wait.h"

namespace msb::net {

void TimeWait::add(const TcpEnds& ends, const Rest& rest) {
  if (order_.size() == kMost) pop();
  rests_.insert_or_assign(ends, rest);
  order_.push_back({ends, rest.until});
}

std::optional<TimeWait::Rest> TimeWait::find(const TcpEnds& ends) const {
  const auto found = rests_.find(ends);
  return found == rests_.end() ? std::nullopt : std::optional(found->second);
}

void TimeWait::expire(Clock::time_point now) {
  while (!order_.empty() && order_.front().until <= now) pop();
}

std::optional<Clock::time_point> TimeWait::next() const {
  return order_.empty() ? std::nullopt : std::optional(order_.front().until);
}

void TimeWait::pop() {
  const auto found = rests_.find(order_.front().ends);
  if (found != rests_.end() && found->second.until == order_.front().until) rests_.erase(found);
  order_.pop_front();
}

}  // namespace msb::net
