#include "net/policy/pin_table.h"

#include <algorithm>
#include <list>
#include <map>
#include <set>
#include <utility>

#include "net/policy/address_groups.h"

namespace msb::net {

std::string canonical_name(std::string_view name) {
  while (name.starts_with('.')) name.remove_prefix(1);
  while (name.ends_with('.')) name.remove_suffix(1);
  std::string out(name);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

struct PinTable::Impl {
  using Key = std::pair<Ip, std::string>;
  struct Pin {
    Clock::time_point until;
    std::list<const Key*>::iterator age;
  };

  void remove(std::map<Key, Pin>::iterator pin) {
    by_name.erase({pin->first.second, pin->first.first});
    oldest_first.erase(pin->second.age);
    pins.erase(pin);
  }

  // Calls `visit(name)` for the address's names whose time is not over, until it returns true.
  template <class Visit>
  bool visit_names(const Ip& address, Visit visit) const {
    const Clock::time_point at = now();
    for (auto pin = pins.lower_bound({address, {}}); pin != pins.end() && pin->first.first == address; ++pin) {
      if (pin->second.until > at && visit(pin->first.second)) return true;
    }
    return false;
  }

  std::function<Clock::time_point()> now;
  std::map<Key, Pin> pins;
  std::set<std::pair<std::string, Ip>> by_name;
  std::list<const Key*> oldest_first;  // by their last answer
};

PinTable::PinTable(std::function<Clock::time_point()> now) : impl_(std::make_unique<Impl>()) {
  impl_->now = std::move(now);
}
PinTable::~PinTable() = default;
PinTable::PinTable(PinTable&&) noexcept = default;
PinTable& PinTable::operator=(PinTable&&) noexcept = default;

void PinTable::pin(std::string_view name, const Ip& address, std::chrono::seconds ttl) {
  const auto life = std::clamp<std::chrono::seconds>(ttl, kMinimumTtl, kMaximumTtl);
  const Clock::time_point until = impl_->now() + life;
  const auto [pin, is_new] = impl_->pins.try_emplace({unmapped(address), canonical_name(name)});
  auto& ages = impl_->oldest_first;
  if (is_new) {
    pin->second = {until, ages.insert(ages.end(), &pin->first)};
    impl_->by_name.emplace(pin->first.second, pin->first.first);
  } else {
    pin->second.until = std::max(pin->second.until, until);
    ages.splice(ages.end(), ages, pin->second.age);
  }
  if (impl_->pins.size() > kMaximumPins) impl_->remove(impl_->pins.find(*ages.front()));
}

void PinTable::unpin(std::string_view name, Family family) {
  const std::string canonical = canonical_name(name);
  for (auto at = impl_->by_name.lower_bound({canonical, Ip()}); at != impl_->by_name.end() && at->first == canonical;) {
    const Ip address = at++->second;
    if (address.family() == family) impl_->remove(impl_->pins.find({address, canonical}));
  }
}

bool PinTable::any_name(const Ip& address, const std::function<bool(std::string_view)>& matches) const {
  return impl_->visit_names(unmapped(address), matches);
}

std::vector<std::string> PinTable::names(const Ip& address) const {
  std::vector<std::string> out;
  impl_->visit_names(unmapped(address), [&](const std::string& name) {
    out.push_back(name);
    return false;
  });
  return out;
}

}  // namespace msb::net
