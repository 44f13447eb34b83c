// PinTable: which addresses the sandbox's DNS has given for which names, while their time to live lasts. What a domain
// rule means by "this name" is what is in here: an address the guest made up matches no domain.
//
// A name that was asked for and the names its CNAMEs led to are all pinned to the addresses at the end. A CDN's next
// answer adds to what is pinned; addresses leave when their own time is over (at least kMinimumTtl, so that a lifetime
// of 0 lets a connection follow, at most kMaximumTtl), not when another answer comes, so that a client that rotates
// through what it got keeps working. An answer without addresses (NXDOMAIN) removes the name's.
//
// Bounded: kMaximumPins pairs, the oldest leave first. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"

namespace msb::net {

// Lower case, without dots at the ends.
std::string canonical_name(std::string_view name);

class PinTable {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kMinimumTtl{30};
  static constexpr std::chrono::hours kMaximumTtl{24};
  static constexpr size_t kMaximumPins = 16384;

  explicit PinTable(std::function<Clock::time_point()> now = Clock::now);
  ~PinTable();
  PinTable(PinTable&&) noexcept;
  PinTable& operator=(PinTable&&) noexcept;

  void pin(std::string_view name, const Ip& address, std::chrono::seconds ttl);
  void unpin(std::string_view name, Family family);

  // Whether any unexpired name of this address satisfies `matches`.
  bool any_name(const Ip& address, const std::function<bool(std::string_view name)>& matches) const;
  // For `msb net check` and events: names of this address now.
  std::vector<std::string> names(const Ip& address) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace msb::net
