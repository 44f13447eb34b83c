#include "state/launch_config.h"

#include <gtest/gtest.h>

namespace msb::state {
namespace {

LaunchConfig example() {
  LaunchConfig config;
  config.name = "demo";
  config.id = "id-1";
  config.home = "/h";
  config.machine.vcpus = 2;
  config.machine.memory_mib = 256;
  config.machine.kernel = "/vmlinux";
  config.machine.initramfs = "/init.cpio";
  config.machine.disks.push_back({.format = DiskSpec::Format::concat, .files = {"/a", "/b"}, .read_only = true});
  config.machine.disks.push_back({.format = DiskSpec::Format::qcow2, .files = {"/c"}, .scratch = true});
  config.machine.shares.push_back({.name = "0",
                                   .path = "/work",
                                   .only = "one.txt",
                                   .read_only = true,
                                   .ownership = ShareSpec::Ownership::host,
                                   .host_modes = ShareSpec::HostModes::mirror,
                                   .quota_bytes = 4096,
                                   .usage = "/usage",
                                   .protect_hooks = true});
  config.machine.network = NetworkSpec{.config = {},
                                       .gateway_mac = "02:6d:73:00:00:01",
                                       .guest_mac = "02:6d:73:00:00:02",
                                       .v4 = LinkSpec{.gateway = "172.16.0.1", .guest = "172.16.0.2", .prefix = 30},
                                       .v6 = {},
                                       .mtu = 1500};
  config.machine_choice = "auto";
  config.bootstrap = {0, 255, 7};
  config.startup = StartupCommand{.argv = {"sh", "-c", "true"}, .keep_after_success = true};
  config.attached = true;
  config.max_duration_ms = 5000;
  return config;
}

TEST(LaunchConfig, RoundTripsThroughJson) {
  std::string text = example().to_json();
  auto back = LaunchConfig::from_json(text);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->to_json(), text);
  EXPECT_EQ(back->machine.disks[0].files.size(), 2U);
  EXPECT_TRUE(back->machine.disks[1].scratch);
  ASSERT_EQ(back->machine.shares.size(), 1U);
  const ShareSpec& share = back->machine.shares[0];
  EXPECT_EQ(share.name, "0");
  EXPECT_EQ(share.path, "/work");
  EXPECT_EQ(share.only, "one.txt");
  EXPECT_TRUE(share.read_only);
  EXPECT_EQ(share.ownership, ShareSpec::Ownership::host);
  EXPECT_EQ(share.host_modes, ShareSpec::HostModes::mirror);
  EXPECT_EQ(share.quota_bytes, 4096U);
  EXPECT_EQ(share.usage, "/usage");
  EXPECT_TRUE(share.protect_hooks);
  EXPECT_EQ(back->machine.network->v4->guest, "172.16.0.2");
  EXPECT_EQ(back->bootstrap, (std::vector<uint8_t>{0, 255, 7}));
  EXPECT_TRUE(back->startup->keep_after_success);
}

TEST(LaunchConfig, AbsentStartupStaysAbsent) {
  auto config = example();
  config.startup.reset();
  EXPECT_FALSE(LaunchConfig::from_json(config.to_json())->startup);
}

struct BadConfig : testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(BadConfig, IsRefused) {
  std::string text = example().to_json();
  auto [from, to] = GetParam();
  auto at = text.find(from);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, std::string_view(from).size(), to);
  auto parsed = LaunchConfig::from_json(text);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().kind(), ErrorKind::invalid_config);
}

INSTANTIATE_TEST_SUITE_P(All, BadConfig,
                         testing::Values(std::pair{"\"name\"", "\"nome\""}, std::pair{"\"demo\"", "7"},
                                         std::pair{"\"vcpus\":2", "\"vcpus\":-1"},
                                         std::pair{"\"vcpus\":2", "\"vcpus\":4294967296"},
                                         std::pair{"\"vcpus\":2", "\"vcpus\":2,\"more\":1"},
                                         std::pair{"[0,255,7]", "[0,256,7]"}, std::pair{"\"concat\"", "\"vmdk\""},
                                         std::pair{"\"attached\":true", "\"attached\":1"}, std::pair{"{", "["}));

TEST(StartupReport, RoundTripsAndCarriesHostileLines) {
  StartupReport report;
  report.stage = "mount";
  report.errnum = 22;
  report.kernel_lines = {"ok", "bad \xff\x01 line"};
  auto back = StartupReport::from_json(report.to_json());
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->stage, "mount");
  EXPECT_EQ(back->errnum, 22);
  EXPECT_EQ(back->kernel_lines.size(), 2U);
}

TEST(StartupReport, EmptyTextIsAnError) {
  EXPECT_FALSE(StartupReport::from_json(""));
}

}  // namespace
}  // namespace msb::state
