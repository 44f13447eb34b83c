// Each scenario of guest/scenarios.h against each device, by calls and by a processor. Passing means: no sanitizer saw
// anything, the scenario's own checks hold (broken devices say so, come back by reset, and the others answer), and what
// no device was offered is untouched.
#include <gtest/gtest.h>

#include "base/fd.h"
#include "direct_guest.h"
#include "kvm_guest.h"

namespace msb::hostile {
namespace {

struct Case {
  uint32_t scenario;
  uint32_t victim;
};

const std::vector<std::string>& device_names() {
  static const std::vector<std::string> names = [] {
    HostileBed bed;
    std::vector<std::string> all;
    for (size_t slot = 0; slot < bed.devices(); ++slot) all.push_back(bed.device_name(slot));
    return all;
  }();
  return names;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (uint32_t scenario = 0; scenario < scenario_count; ++scenario) {
    const uint32_t victims = scenarios[scenario].scope == ONCE ? 1 : static_cast<uint32_t>(device_names().size());
    for (uint32_t victim = 0; victim < victims; ++victim) cases.push_back({scenario, victim});
  }
  return cases;
}

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  const auto& scenario = scenarios[info.param.scenario];
  return scenario.scope == ONCE ? scenario.name : cat(scenario.name, "_", device_names()[info.param.victim]);
}

class Hostile : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override { give_order(GetParam().scenario, GetParam().victim); }

  void give_order(uint32_t scenario, uint32_t victim) {
    order fresh{};
    fresh.scenario = scenario;
    fresh.victim = victim;
    fresh.devices = static_cast<uint32_t>(bed_.devices());
    bed_.orders() = fresh;
  }
  void expect_carried_out() {
    EXPECT_EQ(bed_.orders().finished, FINISHED);
    EXPECT_GT(bed_.orders().checks, 0u);
    EXPECT_EQ(bed_.orders().failed_line, 0u) << "in file " << bed_.orders().failed_file;
    EXPECT_FALSE(bed_.released_wrongly());
    EXPECT_TRUE(bed_.shared_files().are_contained());
    if (!scenarios[GetParam().scenario].writes_anywhere) {
      EXPECT_TRUE(bed_.canary_is_intact());
    }
  }
  HostileBed bed_;
};

using HostileDirect = Hostile;
TEST_P(HostileDirect, the_process_survives_and_the_devices_recover) {
  DirectGuest guest(bed_);
  guest.run();
  expect_carried_out();
}
INSTANTIATE_TEST_SUITE_P(By, HostileDirect, ::testing::ValuesIn(all_cases()), name_of);

class HostileKernel : public Hostile {};
TEST_P(HostileKernel, the_process_survives_and_the_devices_recover) {
  if (auto device = open_file("/dev/kvm", O_RDWR); !device) GTEST_SKIP() << device.error().to_string();
  auto guest = KvmGuest::create(bed_, HOSTILE_KERNEL_PATH);
  ASSERT_TRUE(guest) << guest.error().to_string();
  auto end = (*guest)->run();
  ASSERT_TRUE(end) << end.error().to_string();
  EXPECT_EQ(end->cause, kvm::VcpuEnd::Cause::guest) << end->message << "\n" << end->registers;
  guest->reset();
  expect_carried_out();
  // The guest is gone, with all it had begun; the devices serve the next one.
  give_order(HONEST_SCENARIO, 0);
  DirectGuest(bed_).run();
  expect_carried_out();
}
INSTANTIATE_TEST_SUITE_P(By, HostileKernel, ::testing::ValuesIn(all_cases()), name_of);

}  // namespace
}  // namespace msb::hostile
