#include "sandbox/machine_plan.h"

#include <gmock/gmock.h>

#include "state/snapshots.h"

namespace msb {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using Format = state::DiskSpec::Format;

StoredConfig stored() {
  StoredConfig result;
  result.config.name = "demo";
  result.config.image.reference = "busybox";
  result.config.env = {{"A", "1"}};
  result.manifest_digest = "sha256:" + std::string(64, 'a');
  result.layers = {"sha256:" + std::string(64, 'b'), "sha256:" + std::string(64, 'c')};
  result.image.cmd = {"serve"};
  return result;
}

state::Home home() {
  return *state::Home::at("/home/x");
}

TEST(MachinePlan, an_image_is_one_read_only_disk_under_a_writable_one) {
  auto spec = plan_machine(home(), stored());
  ASSERT_EQ(spec.disks.size(), 2u);
  EXPECT_EQ(spec.disks[0].format, Format::concat);
  EXPECT_TRUE(spec.disks[0].read_only);
  EXPECT_THAT(spec.disks[0].files, ElementsAre(home().image_tree(stored().manifest_digest),
                                               home().layer(stored().layers[0]), home().layer(stored().layers[1])));
  EXPECT_THAT(spec.disks[1].files, ElementsAre(home().upper("demo")));
  EXPECT_FALSE(spec.disks[1].read_only);
  EXPECT_FALSE(spec.disks[1].scratch);
  EXPECT_EQ(spec.kernel, "");
}

TEST(MachinePlan, the_writable_disk_of_an_ephemeral_sandbox_is_scratch) {
  auto plan = stored();
  plan.config.ephemeral = true;
  EXPECT_TRUE(plan_machine(home(), plan).disks[1].scratch);
}

TEST(MachinePlan, a_root_disk_in_memory_is_no_disk) {
  auto plan = stored();
  plan.config.root_disk = {RootDisk::Kind::tmpfs, 64};
  EXPECT_EQ(plan_machine(home(), plan).disks.size(), 1u);
  auto bootstrap = plan_bootstrap(plan);
  ASSERT_TRUE(bootstrap);
  EXPECT_EQ(bootstrap->root.device, "");
  EXPECT_EQ(bootstrap->root.tmpfs_bytes, uint64_t{64} << 20);
}

TEST(MachinePlan, the_image_of_patches_takes_the_place_of_the_tree) {
  auto plan = stored();
  plan.patched = true;
  EXPECT_THAT(plan_machine(home(), plan).disks[0].files,
              ElementsAre("/home/x/sandboxes/demo/patch.erofs", home().layer(stored().layers[0]),
                          home().layer(stored().layers[1])));
  plan.config.image.kind = ImageSource::Kind::directory;
  EXPECT_THAT(plan_machine(home(), plan).disks[0].files,
              ElementsAre("/home/x/sandboxes/demo/patch.erofs", "/home/x/sandboxes/demo/root.erofs"));
}

// A snapshot is made of these names, and what it has is put where the plan looks for it.
TEST(MachinePlan, a_snapshot_has_the_files_that_are_the_sandboxs_own) {
  auto own = [](const StoredConfig& plan) {
    std::vector<std::string> names;
    for (const auto& disk : plan_machine(home(), plan).disks)
      for (const auto& file : disk.files)
        if (auto name = file.find("sandboxes/demo/"); name != std::string::npos)
          names.push_back(file.substr(name + 15));
    return names;
  };
  using Image = state::SnapshotRecord::Image;
  auto plan = stored();
  EXPECT_EQ(own(plan), state::snapshot_file_names(Image::oci, false));
  plan.patched = true;
  EXPECT_EQ(own(plan), state::snapshot_file_names(Image::oci, true));
  plan.config.root_disk.kind = RootDisk::Kind::flat;
  EXPECT_EQ(own(plan), state::snapshot_file_names(Image::oci, true));
  plan.config.image.kind = ImageSource::Kind::directory;
  EXPECT_EQ(own(plan), state::snapshot_file_names(Image::directory, true));
  plan.patched = false;
  EXPECT_EQ(own(plan), state::snapshot_file_names(Image::directory, false));
}

TEST(MachinePlan, a_flat_root_is_a_copy_on_a_disk_of_the_sandboxs_own) {
  auto plan = stored();
  plan.config.root_disk.kind = RootDisk::Kind::flat;
  EXPECT_THAT(plan_machine(home(), plan).disks.at(1).files, ElementsAre(home().upper("demo")));
  auto root = plan_bootstrap(plan)->root;
  EXPECT_EQ(root.kind, "flat");
  EXPECT_EQ(root.lower, "/dev/vda");
  EXPECT_EQ(root.device, "/dev/vdb");
  EXPECT_TRUE(root.grow);
}

TEST(MachinePlan, a_root_disk_of_the_users_is_written_in_place) {
  auto plan = stored();
  plan.config.ephemeral = true;
  plan.config.root_disk = {RootDisk::Kind::disk, 0, "/mine", DiskFormat::qcow2, "xfs"};
  auto spec = plan_machine(home(), plan);
  EXPECT_THAT(spec.disks.at(1).files, ElementsAre("/mine"));
  EXPECT_EQ(spec.disks.at(1).format, Format::qcow2);
  EXPECT_FALSE(spec.disks.at(1).scratch);
  auto root = plan_bootstrap(plan)->root;
  EXPECT_EQ(root.kind, "overlay");
  EXPECT_EQ(root.fstype, "xfs");
  EXPECT_FALSE(root.grow);
}

TEST(MachinePlan, a_disk_image_is_the_root_itself) {
  auto plan = stored();
  plan.config.image = {ImageSource::Kind::disk, "/d.qcow2", DiskFormat::qcow2, ""};
  auto spec = plan_machine(home(), plan);
  ASSERT_EQ(spec.disks.size(), 1u);
  EXPECT_EQ(spec.disks[0].format, Format::qcow2);
  auto bootstrap = plan_bootstrap(plan);
  EXPECT_EQ(bootstrap->root.kind, "disk");
  EXPECT_EQ(bootstrap->root.device, "/dev/vda");
  EXPECT_EQ(bootstrap->root.fstype, "");
}

TEST(MachinePlan, the_guest_is_told_what_image_and_user_say) {
  auto bootstrap = plan_bootstrap(stored());
  ASSERT_TRUE(bootstrap);
  EXPECT_EQ(bootstrap->root.lower, "/dev/vda");
  EXPECT_EQ(bootstrap->root.device, "/dev/vdb");
  EXPECT_EQ(bootstrap->hostname, "demo");
  EXPECT_THAT(bootstrap->env, Contains("A=1"));
  EXPECT_EQ(bootstrap->tmp_bytes, uint64_t{128} << 20);
}

TEST(MachinePlan, startup_words_follow_the_entrypoint) {
  auto plan = stored();
  EXPECT_FALSE(*plan_startup(plan));
  plan.image.entrypoint = {"/entry"};
  plan.config.startup_command = {"x"};
  EXPECT_THAT((*plan_startup(plan))->argv, ElementsAre("/entry", "x"));
  plan.config.startup_command.emplace();
  EXPECT_THAT((*plan_startup(plan))->argv, ElementsAre("/entry", "serve"));
  plan.image = {};
  EXPECT_FALSE(*plan_startup(plan));
}

TEST(MachinePlan, a_launch_carries_limits_and_ownership) {
  auto plan = stored();
  plan.config.max_duration = std::chrono::seconds(2);
  plan.config.detached = true;
  state::NetworkSpec network;
  network.v4 = state::LinkSpec{.gateway = "172.16.0.1", .guest = "172.16.0.2", .prefix = 30};
  auto launch = plan_launch(home(), "id", plan, network);
  ASSERT_TRUE(launch);
  EXPECT_EQ(launch->max_duration_ms, 2000u);
  EXPECT_EQ(launch->idle_timeout_ms, 0u);
  EXPECT_FALSE(launch->attached);
  EXPECT_EQ(launch->machine_choice, "auto");
  EXPECT_EQ(launch->machine.network->v4->guest, "172.16.0.2");
  const auto bootstrap = wire::decode<wire::Bootstrap>(launch->bootstrap);
  ASSERT_TRUE(bootstrap);
  EXPECT_THAT(bootstrap->nameservers, ElementsAre("172.16.0.1"));
}

}  // namespace
}  // namespace msb
