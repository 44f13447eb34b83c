#include "qemu/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "qemu/vmdk.h"

namespace msb::qemu {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

QemuProgram program() {
  QemuProgram qemu;
  qemu.binary.path = "/usr/bin/qemu-system-x86_64";
  qemu.version = {7, 2, 22};
  qemu.interpreter = "/lib64/ld-linux-x86-64.so.2";
  qemu.libraries = {{"/lib/x86_64-linux-gnu/libc.so.6"}, {"/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so"}};
  qemu.firmware = {{"/usr/share/qemu/qboot.rom"}};
  qemu.firmware_dir = "/usr/share/qemu";
  qemu.module_dir = "/usr/lib/x86_64-linux-gnu/qemu";
  qemu.has_sandbox = true;
  qemu.tsc_khz = 2445425;
  return qemu;
}

state::MachineSpec spec() {
  state::MachineSpec spec;
  spec.kernel = "/home/u/vmlinux";
  spec.initramfs = "/home/u/initramfs.cpio";
  spec.disks = {{state::DiskSpec::Format::concat, {"/c/tree", "/c/layer"}, true},
                {state::DiskSpec::Format::raw, {"/s/upper"}, false},
                {state::DiskSpec::Format::qcow2, {"/s/data"}, false}};
  return spec;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words)
    text += (word.starts_with("-") && !text.empty() ? "\n" : text.empty() ? "" : " ") + word;
  return text;
}

const std::vector<std::vector<uint64_t>> kSizes = {{8192, 4096}, {1 << 20}, {1 << 20}};

TEST(CommandLineTest, IsExactlyThis) {
  auto qemu = program();
  auto machine = spec();
  auto command = build_command({machine, qemu, kSizes, 0, false, {}});
  ASSERT_TRUE(command) << command.error().message();
  std::string text = joined(command->argv);
  text = text.substr(0, text.find("\n-append"));  // the kernel's words are the kernel's business
  EXPECT_EQ(text, R"(/usr/bin/qemu-system-x86_64
-nodefaults
-no-user-config
-display none
-no-reboot
-L /usr/share/qemu
-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
-machine microvm,acpi=off,x-option-roms=off,pit=off,pic=off,rtc=on,isa-serial=on,dump-guest-core=off,mem-merge=off
-accel tcg,thread=single,tb-size=64
-cpu max
-smp 1
-m 512M
-global virtio-mmio.force-legacy=false
-chardev socket,id=qmp,fd=5
-mon chardev=qmp,mode=control
-chardev socket,id=console,fd=4
-serial chardev:console
-chardev socket,id=agent,fd=3
-device virtio-serial-device,bus=virtio-mmio-bus.0,max_ports=2
-device virtserialport,chardev=agent,name=agent,nr=1
-object rng-builtin,id=rng
-device virtio-rng-device,rng=rng,bus=virtio-mmio-bus.1
-device virtio-balloon-device,bus=virtio-mmio-bus.2,free-page-reporting=on
-add-fd fd=6,set=6
-add-fd fd=7,set=7
-add-fd fd=8,set=8
-blockdev {"node-name":"disk0","read-only":true,"discard":"unmap","driver":"vmdk","file":{"driver":"file","filename":"/dev/fdset/8","aio":"threads","locking":"off","discard":"unmap","cache":{"direct":false,"no-flush":false}}}
-device virtio-blk-device,drive=disk0,werror=report,bus=virtio-mmio-bus.7
-add-fd fd=9,set=9
-blockdev {"node-name":"disk1","read-only":false,"discard":"unmap","driver":"raw","file":{"driver":"file","filename":"/dev/fdset/9","aio":"threads","locking":"off","discard":"unmap","cache":{"direct":false,"no-flush":false}}}
-device virtio-blk-device,drive=disk1,werror=report,bus=virtio-mmio-bus.6
-add-fd fd=10,set=10
-blockdev {"node-name":"disk2","read-only":false,"discard":"unmap","driver":"qcow2","backing":null,"file":{"driver":"file","filename":"/dev/fdset/10","aio":"threads","locking":"off","discard":"unmap","cache":{"direct":false,"no-flush":false}}}
-device virtio-blk-device,drive=disk2,werror=report,bus=virtio-mmio-bus.5
-kernel /home/u/vmlinux
-initrd /home/u/initramfs.cpio)");
  EXPECT_EQ(joined(command->env),
            "GLIBC_TUNABLES=glibc.malloc.arena_max=1:glibc.malloc.top_pad=4194304:glibc.malloc.hugetlb=1 "
            "LD_LIBRARY_PATH=/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu/qemu "
            "QEMU_MODULE_DIR=/usr/lib/x86_64-linux-gnu/qemu");
}

TEST(CommandLineTest, DisksAreGivenAsDescriptorsOfTheRightAccess) {
  auto qemu = program();
  auto machine = spec();
  auto command = build_command({machine, qemu, kSizes, 0, false, {}});
  ASSERT_EQ(command->disk_files.size(), 5u);
  EXPECT_EQ(command->disk_files[0].path, "/c/tree");
  EXPECT_EQ(command->disk_files[0].number, kFirstDiskFd);
  EXPECT_EQ(command->disk_files[2].contents, vmdk_descriptor({{"/dev/fdset/6", 8192}, {"/dev/fdset/7", 4096}}));
  EXPECT_EQ(command->disk_files[2].access, DiskFile::Access::read_only);
  EXPECT_EQ(command->disk_files[3].access, DiskFile::Access::read_write);
  // Disks are not among the files that can be opened by path.
  for (const auto& file : command->files) EXPECT_THAT(file.path, Not(HasSubstr("/s/")));
  EXPECT_EQ(command->files.size(), 7u);
}

TEST(CommandLineTest, OnlyAScratchDiskIsNotFlushed) {
  auto qemu = program();
  auto machine = spec();
  machine.disks[1].scratch = true;
  std::string text = joined(build_command({machine, qemu, kSizes, 0, false, {}})->argv);
  size_t scratch = text.find("\"node-name\":\"disk1\"");
  EXPECT_EQ(text.find("\"no-flush\":true"), text.find("\"no-flush\":", scratch));
  EXPECT_EQ(text.find("\"no-flush\":true"), text.rfind("\"no-flush\":true"));
}

TEST(CommandLineTest, SharesTakeASlotAndSharedMemory) {
  auto qemu = program();
  auto machine = spec();
  machine.shares.resize(2);
  auto command = build_command({machine, qemu, kSizes, 0, false, {}});
  ASSERT_TRUE(command);
  std::string text = joined(command->argv);
  EXPECT_THAT(text, HasSubstr("-object memory-backend-memfd,id=memory,size=512M,share=on,seal=on"));
  EXPECT_THAT(text, HasSubstr("mem-merge=off,memory-backend=memory"));
  EXPECT_EQ(command->share_fd, 11);
  EXPECT_THAT(text, HasSubstr("-chardev socket,id=shares,fd=11"));
  EXPECT_THAT(text, HasSubstr("-device vhost-user-fs-device,chardev=shares,tag=msb,queue-size=1024,"
                              "num-request-queues=1,bus=virtio-mmio-bus.3"));
  machine.disks.resize(5, machine.disks[1]);
  auto full = build_command({machine, qemu, {{8192, 4096}, {512}, {512}, {512}, {512}}, 0, false, {}});
  ASSERT_FALSE(full);
  EXPECT_THAT(full.error().message(), HasSubstr("at most 4 disks beside shares"));
}

TEST(CommandLineTest, ANetworkTakesASlotAndItsCableADescriptor) {
  auto qemu = program();
  auto machine = spec();
  machine.shares.resize(1);
  machine.network.emplace().guest_mac = "02:6d:73:00:01:02";
  auto command = build_command({machine, qemu, kSizes, 0, false, {}});
  ASSERT_TRUE(command);
  std::string text = joined(command->argv);
  EXPECT_EQ(command->network_fd, 12);
  EXPECT_THAT(text, HasSubstr("-netdev dgram,id=net,local.type=fd,local.str=12"));
  EXPECT_THAT(text, HasSubstr("-device virtio-net-device,netdev=net,mac=02:6d:73:00:01:02,"));
  EXPECT_THAT(text, HasSubstr("bus=virtio-mmio-bus.4"));
  machine.disks.resize(4, machine.disks[1]);
  auto full = build_command({machine, qemu, {{8192, 4096}, {512}, {512}, {512}}, 0, false, {}});
  ASSERT_FALSE(full);
  EXPECT_THAT(full.error().message(), HasSubstr("at most 3 disks beside shares and a network"));
}

TEST(CommandLineTest, MoreProcessorsRunInThreadsOfTheirOwn) {
  auto qemu = program();
  auto machine = spec();
  machine.vcpus = 4;
  machine.memory_mib = 4096;
  auto command = build_command({machine, qemu, kSizes, 0, false, {}});
  EXPECT_THAT(joined(command->argv), HasSubstr("tcg,thread=multi,tb-size=128"));
  EXPECT_THAT(joined(command->argv), HasSubstr("-smp 4"));
}

TEST(CommandLineTest, AQemuWithoutSandboxIsNotAskedForIt) {
  auto qemu = program();
  qemu.has_sandbox = false;
  auto machine = spec();
  EXPECT_THAT(joined(build_command({machine, qemu, kSizes, 0, false, {}})->argv), Not(HasSubstr("-sandbox")));
}

TEST(CommandLineTest, RefusesWhatTheMachineCannotBe) {
  auto qemu = program();
  auto refused = [&](auto change, std::vector<std::vector<uint64_t>> sizes = kSizes) {
    auto machine = spec();
    change(machine);
    auto command = build_command({machine, qemu, std::move(sizes), 0, false, {}});
    return command ? std::string("accepted") : command.error().message();
  };
  EXPECT_THAT(refused([](auto& m) { m.vcpus = 0; }), HasSubstr("virtual processors"));
  EXPECT_THAT(refused([](auto& m) { m.vcpus = 33; }), HasSubstr("virtual processors"));
  EXPECT_THAT(refused([](auto& m) { m.memory_mib = 8; }), HasSubstr("too small"));
  EXPECT_THAT(refused([](auto& m) { m.disks.resize(6, m.disks[1]); }), HasSubstr("at most 5 disks"));
  EXPECT_THAT(refused([](auto& m) { m.disks[0].read_only = false; }), HasSubstr("read-only"));
  EXPECT_THAT(refused([](auto& m) { m.disks[1].files.clear(); }), HasSubstr("0 files"));
  EXPECT_THAT(refused([](auto&) {}, {{8192, 100}, {512}, {512}}), HasSubstr("sectors"));
}

TEST(KernelWordsTest, CarryTheHostsClock) {
  auto qemu = program();
  auto machine = spec();
  std::string words = kernel_words({machine, qemu, kSizes, 0, false, "extra=1"});
  EXPECT_THAT(words, HasSubstr("tsc_early_khz=2445425 tsc=reliable"));
  EXPECT_THAT(words, HasSubstr("maxcpus=1"));
  EXPECT_THAT(words, Not(HasSubstr("@")));
  EXPECT_TRUE(words.ends_with(" extra=1"));
}

TEST(KernelWordsTest, LeaveTheClockToTheGuestWhereItsRateIsUnknown) {
  auto qemu = program();
  qemu.tsc_khz = 0;
  auto machine = spec();
  std::string words = kernel_words({machine, qemu, kSizes, 0, false, {}});
  EXPECT_THAT(words, Not(HasSubstr("tsc")));
  EXPECT_THAT(words, Not(HasSubstr("lpj")));
  EXPECT_THAT(words, Not(HasSubstr("@")));
}

TEST(KernelWordsTest, CanAskForTheWholeLog) {
  auto qemu = program();
  auto machine = spec();
  EXPECT_THAT(kernel_words({machine, qemu, kSizes, 0, true, {}}), Not(HasSubstr("quiet")));
}

TEST(VmdkTest, HasNoEmptyLineBeforeTheExtents) {
  EXPECT_THAT(vmdk_descriptor({{"/a", 512}}), Not(HasSubstr("\n\n")));
}

}  // namespace
}  // namespace msb::qemu
