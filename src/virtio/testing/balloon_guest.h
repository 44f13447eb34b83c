// BalloonGuest: a guest with a balloon, as Linux's driver behaves, for tests of the device and of what steers it.
#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "virtio/balloon_device.h"
#include "virtio/testing/device_rig.h"

namespace msb::virtio::testing {

// Writes down what it is asked to release.
class RecordingReleaser final : public PageReleaser {
 public:
  using Run = std::pair<uint64_t, uint64_t>;  // page, pages
  void release(GuestAddress address, uint64_t length) override {
    runs.emplace_back(to_number(address) / BalloonDevice::kPage, length / BalloonDevice::kPage);
  }
  std::vector<Run> runs;
};

class BalloonGuest {
 public:
  static constexpr uint16_t kInflate = 0;
  static constexpr uint16_t kDeflate = 1;
  static constexpr uint16_t kStats = 2;
  static constexpr uint16_t kReporting = 3;

  explicit BalloonGuest(DeviceRig::Options options = {}) { activated = rig.activate(device, options); }

  // One request with these page numbers.
  void tell(uint16_t queue, const std::vector<uint32_t>& pages) {
    Bytes raw(pages.size() * 4);
    for (size_t i = 0; i < pages.size(); ++i) store_le<uint32_t>(&raw[i * 4], pages[i]);
    rig.ring(queue).add({rig.ring(queue).out(raw)});
    rig.kick(queue);
    rig.settle();
    (void)rig.ring(queue).take_used();
  }
  // So many pages from the first one on, 256 at a time, then the new size.
  void inflate(uint32_t pages) {
    for (uint32_t done = 0; done < pages; done += 256) tell(kInflate, numbers(std::min(256u, pages - done)));
    set_actual(device.actual() + pages);
  }
  void deflate(uint32_t pages) {
    for (uint32_t done = 0; done < pages; done += 256) tell(kDeflate, numbers(std::min(256u, pages - done)));
    set_actual(device.actual() - pages);
  }
  void set_actual(uint32_t pages) {
    std::array<uint8_t, 4> raw;
    store_le<uint32_t>(raw.data(), pages);
    device.write_config(4, raw);
  }
  // Leaves a buffer with statistics, as the driver does at start and to answer.
  void give_stats(const std::vector<std::pair<uint16_t, uint64_t>>& stats) {
    Bytes raw;
    for (auto [tag, value] : stats) {
      std::array<uint8_t, 10> entry;
      store_le<uint16_t>(&entry[0], tag);
      store_le<uint64_t>(&entry[2], value);
      raw.insert(raw.end(), entry.begin(), entry.end());
    }
    rig.ring(kStats).add({rig.ring(kStats).out(raw)});
    rig.kick(kStats);
    rig.settle();
  }
  bool stats_wanted() { return rig.ring(kStats).take_used().has_value(); }

  DeviceRig rig{uint64_t{16} << 20};
  RecordingReleaser releaser;
  BalloonDevice device{rig.reactor(), releaser, 4096};
  Result<> activated;

 private:
  static std::vector<uint32_t> numbers(uint32_t count) {
    std::vector<uint32_t> pages;
    for (uint32_t i = 0; i < count; ++i) pages.push_back(GuestRam::kBase / 4096 + i);
    return pages;
  }
};

}  // namespace msb::virtio::testing
