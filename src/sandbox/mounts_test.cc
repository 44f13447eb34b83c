#include "sandbox/mounts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb {
namespace {

using ::testing::HasSubstr;

TEST(ParseTmpfs, path_size_and_options) {
  EXPECT_EQ(Mount::parse_tmpfs("/scratch")->target, "/scratch");
  EXPECT_EQ(Mount::parse_tmpfs("/scratch")->size_mib, 0u);
  EXPECT_EQ(Mount::parse_tmpfs("/scratch:64M")->size_mib, 64u);
  auto both = Mount::parse_tmpfs("/scratch:1G:ro,noexec");
  ASSERT_TRUE(both);
  EXPECT_EQ(both->size_mib, 1024u);
  EXPECT_TRUE(both->read_only);
  EXPECT_TRUE(both->noexec);
  EXPECT_FALSE(both->nosuid);
  EXPECT_EQ(Mount::parse_tmpfs("/scratch:size=32M,nosuid,nodev")->size_mib, 32u);
}

TEST(ParseTmpfs, what_is_wrong_is_named) {
  EXPECT_THAT(Mount::parse_tmpfs("/s:fast").error().to_string(), HasSubstr("'fast' is not an option"));
  EXPECT_THAT(Mount::parse_tmpfs("/s:ro,rw").error().to_string(), HasSubstr("twice"));
  EXPECT_THAT(Mount::parse_tmpfs("/s:ro,ro").error().to_string(), HasSubstr("twice"));
  EXPECT_FALSE(Mount::parse_tmpfs("/s:64X"));
  EXPECT_FALSE(Mount::parse_tmpfs("/s:"));
  EXPECT_FALSE(Mount::parse_tmpfs("/s:format=raw"));
  EXPECT_FALSE(Mount::parse_tmpfs("/s:ro="));
}

TEST(ParseDisk, image_path_and_options) {
  auto mount = Mount::parse_disk("./data.qcow2:/data:ro,fstype=ext4");
  ASSERT_TRUE(mount) << mount.error().to_string();
  EXPECT_EQ(mount->kind, Mount::Kind::disk);
  EXPECT_EQ(mount->source, "./data.qcow2");
  EXPECT_EQ(mount->target, "/data");
  EXPECT_EQ(mount->format, DiskFormat::qcow2);
  EXPECT_EQ(mount->fstype, "ext4");
  EXPECT_TRUE(mount->read_only);
  EXPECT_EQ(Mount::parse_disk("a:b.img:/data")->source, "a:b.img");
  EXPECT_EQ(Mount::parse_disk("disk:/data:format=raw")->format, DiskFormat::raw);
}

TEST(ParseDisk, what_is_wrong_is_named) {
  EXPECT_THAT(Mount::parse_disk("disk.raw").error().to_string(), HasSubstr("mounted where"));
  EXPECT_THAT(Mount::parse_disk(":/data").error().to_string(), HasSubstr("mounted where"));
  EXPECT_THAT(Mount::parse_disk("disk.raw:data").error().to_string(), HasSubstr("mounted where"));
  EXPECT_THAT(Mount::parse_disk("disk:/data").error().to_string(), HasSubstr("format"));
  EXPECT_FALSE(Mount::parse_disk("disk.raw:/data:size=1G"));
  EXPECT_FALSE(Mount::parse_disk("disk.raw:/data:format=vmdk"));
}

std::string hint_of(const Result<Mount>& refused) {
  return refused || refused.error().hints().empty() ? "none" : refused.error().hints().front();
}

TEST(ParseVolume, a_path_is_a_bind_and_a_name_a_volume) {
  for (const char* source : {".", "..", "/a", "./a", "../a", "~/a", "~", "/a:b"})
    EXPECT_EQ(Mount::parse_volume(cat(source, ":/x"))->kind, Mount::Kind::bind) << source;
  for (const char* source : {"a", "a.b", ".a", "..a", "a/b", "~a", "a:b"})
    EXPECT_EQ(Mount::parse_volume(cat(source, ":/x"))->kind, Mount::Kind::named) << source;
  auto bind = Mount::parse_volume("./src:/src:ro,noexec,stat-virt=relaxed,host-perms=mirror,quota=1G,protect-hooks");
  ASSERT_TRUE(bind) << bind.error().to_string();
  EXPECT_EQ(bind->source, "./src");
  EXPECT_EQ(bind->target, "/src");
  EXPECT_TRUE(bind->read_only);
  EXPECT_TRUE(bind->noexec);
  EXPECT_TRUE(bind->protect_hooks);
  EXPECT_FALSE(bind->follow_root_symlinks);
  EXPECT_EQ(bind->stat_virtualization, StatVirtualization::relaxed);
  EXPECT_EQ(bind->host_permissions, HostPermissions::mirror);
  EXPECT_EQ(bind->quota_mib, 1024u);
  auto named = Mount::parse_volume("cache:/var/cache:kind=disk,size=2G,fstype=ext4,nosuid");
  ASSERT_TRUE(named) << named.error().to_string();
  EXPECT_EQ(named->volume, "cache");
  EXPECT_EQ(named->volume_kind, VolumeKind::disk);
  EXPECT_EQ(named->size_mib, 2048u);
  EXPECT_TRUE(named->nosuid);
}

TEST(ParseVolume, defaults) {
  auto bind = Mount::parse_volume("/a:/b");
  EXPECT_FALSE(bind->read_only);
  EXPECT_EQ(bind->source_type, Mount::SourceType::any);
  EXPECT_EQ(bind->stat_virtualization, StatVirtualization::strict);
  EXPECT_EQ(bind->host_permissions, HostPermissions::private_);
  EXPECT_EQ(bind->quota_mib, 0u);
  EXPECT_EQ(Mount::parse_bind("a:/b", Mount::SourceType::file)->source_type, Mount::SourceType::file);
}

TEST(ParseVolume, what_is_wrong_is_named) {
  EXPECT_THAT(hint_of(Mount::parse_volume("./src:work")), HasSubstr("absolute"));
  EXPECT_THAT(Mount::parse_volume(":/work").error().to_string(), HasSubstr("mounted where"));
  EXPECT_THAT(Mount::parse_volume("/a:/b:ro,noexec,ro").error().to_string(), HasSubstr("twice"));
  EXPECT_THAT(Mount::parse_volume("/a:/b:quota=1G,quota=2G").error().to_string(), HasSubstr("twice"));
  for (const char* given : {"suid", "exec", "dev"})
    EXPECT_THAT(hint_of(Mount::parse_volume(cat("/a:/b:", given))), HasSubstr(cat("say no", given)));
  for (const char* wrong : {"kind=dir", "size=1G", "format=raw", "stat-virt=maybe", "quota=0", "quota=x", "ro=1", ""})
    EXPECT_FALSE(Mount::parse_volume(cat("/a:/b:", wrong))) << wrong;
  for (const char* wrong : {"kind=tape", "format=raw", "protect-hooks", "follow-root-symlinks", "fstype="})
    EXPECT_FALSE(Mount::parse_volume(cat("a:/b:", wrong))) << wrong;
}

Result<> checked(std::vector<Mount> mounts) {
  SandboxConfig config;
  config.mounts = std::move(mounts);
  return check_mounts(config);
}
Mount tmpfs(std::string target) {
  return {.target = std::move(target)};
}
Mount disk(std::string source, std::string target) {
  return {
      .kind = Mount::Kind::disk, .target = std::move(target), .source = std::move(source), .format = DiskFormat::raw};
}

TEST(CheckMounts, targets_are_plain_absolute_paths) {
  EXPECT_TRUE(checked({tmpfs("/a"), tmpfs("/a/b"), tmpfs("/tmp")}));
  for (const char* target : {"", "a", "/", "/a/", "//a", "/a/../b", "/a/./b", "/dev", "/proc", "/sys"})
    EXPECT_FALSE(checked({tmpfs(target)})) << target;
}

TEST(CheckMounts, nothing_twice) {
  EXPECT_THAT(checked({tmpfs("/a"), disk("d.raw", "/a")}).error().to_string(), HasSubstr("two mounts are on /a"));
  EXPECT_THAT(checked({disk("d.raw", "/a"), disk("d.raw", "/b")}).error().to_string(), HasSubstr("twice"));
}

TEST(CheckMounts, a_tmpfs_fits_the_memory) {
  Mount large = tmpfs("/a");
  large.size_mib = 513;
  EXPECT_THAT(checked({large}).error().to_string(), HasSubstr("does not fit"));
}

TEST(ResolveMounts, disks_must_be_there_and_be_what_they_should) {
  auto directory = TempDir::create().value();
  const std::string good = directory.path() + "/good.raw", odd = directory.path() + "/odd.raw";
  ASSERT_TRUE(write_file_atomic(good, std::string(4096, 'x')));
  ASSERT_TRUE(write_file_atomic(odd, "odd"));
  ASSERT_EQ(::symlink(good.c_str(), (directory.path() + "/link.raw").c_str()), 0);
  std::vector<Mount> mounts{disk(directory.path() + "/./good.raw", "/a")};
  auto resolve = [&] { return resolve_mounts(mounts, state::Home::at(directory.path()).value(), Resolution::first); };
  ASSERT_TRUE(resolve());
  EXPECT_EQ(mounts[0].source, good);
  mounts = {disk(directory.path() + "/none.raw", "/a")};
  EXPECT_EQ(resolve().error().kind(), ErrorKind::path_not_found);
  mounts = {disk(odd, "/a")};
  EXPECT_EQ(resolve().error().kind(), ErrorKind::corrupt);
  mounts = {disk(directory.path(), "/a")};
  EXPECT_EQ(resolve().error().kind(), ErrorKind::invalid_config);
  mounts = {disk(good, "/a"), disk(directory.path() + "/link.raw", "/b")};
  EXPECT_THAT(resolve().error().to_string(), HasSubstr("twice"));
}

TEST(PlanMounts, parents_come_first_and_disks_follow_the_roots) {
  Mount data = disk("/host/d.qcow2", "/b/data");
  data.format = DiskFormat::qcow2;
  data.read_only = true;
  Mount scratch = tmpfs("/b");
  scratch.size_mib = 64;
  Mount file{.kind = Mount::Kind::bind, .target = "/b/file", .source = "/host/dir/f", .read_only = true};
  file.source_type = Mount::SourceType::file;
  state::MachineSpec machine;
  machine.disks.resize(2);
  auto plan = plan_mounts({data, scratch, disk("/host/e.raw", "/a"), file}, state::Home::at("/home").value(), machine);
  const auto& disks = machine.disks;
  ASSERT_EQ(plan.size(), 4u);
  EXPECT_EQ(plan[0].target, "/a");
  EXPECT_EQ(plan[0].device, "/dev/vdd");
  EXPECT_EQ(plan[1].target, "/b");
  EXPECT_EQ(plan[1].tmpfs_bytes, uint64_t{64} << 20);
  EXPECT_EQ(plan[2].target, "/b/data");
  EXPECT_EQ(plan[2].device, "/dev/vdc");
  EXPECT_TRUE(plan[2].read_only);
  EXPECT_EQ(plan[3].target, "/b/file");
  EXPECT_EQ(plan[3].kind, "share");
  EXPECT_EQ(plan[3].share, "0");
  EXPECT_EQ(plan[3].file, "f");
  ASSERT_EQ(machine.shares.size(), 1u);
  EXPECT_EQ(machine.shares[0].path, "/host/dir");
  EXPECT_EQ(machine.shares[0].only, "f");
  EXPECT_TRUE(machine.shares[0].read_only);
  ASSERT_EQ(disks.size(), 4u);
  EXPECT_EQ(disks[2].format, state::DiskSpec::Format::qcow2);
  EXPECT_TRUE(disks[2].read_only);
  EXPECT_EQ(disks[3].files, std::vector<std::string>{"/host/e.raw"});
  EXPECT_FALSE(disks[3].scratch);
}

}  // namespace
}  // namespace msb
