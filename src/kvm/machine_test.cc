// Whole machines on this host's /dev/kvm, with a kernel of some instructions.
#include "kvm/machine.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "base/temp_dir.h"
#include "base/units.h"
#include "kvm/running_machine.h"
#include "kvm/testing/tiny_guest.h"
#include "kvm/testing/tiny_kernel.h"

namespace msb::kvm {
namespace {

using testing::tiny_kernel;

// mov dx, 0x3f8, then each character: mov al, c; out dx, al
Bytes say(std::string_view text) {
  Bytes code = {0x66, 0xba, 0xf8, 0x03};
  for (char c : text) code.insert(code.end(), {0xb0, static_cast<uint8_t>(c), 0xee});
  return code;
}

const Bytes kReset = {0xb0, 0xfe, 0xe6, 0x64, 0xf4};  // mov al, 0xfe; out 0x64, al; hlt
const Bytes kSpin = {0xeb, 0xfe};                     // jmp to itself

// mov eax, [address], then says its four bytes
Bytes say_memory(uint32_t address) {
  Bytes code = {0xa1, 0, 0, 0, 0, 0x66, 0xba, 0xf8, 0x03};
  store_le(&code[1], address);
  for (int i = 0; i < 4; ++i) code.insert(code.end(), {0xee, 0xc1, 0xe8, 0x08});  // out dx, al; shr eax, 8
  return code;
}

// mov dword [address], value
Bytes store(uint32_t address, uint32_t value) {
  Bytes code = {0xc7, 0x05, 0, 0, 0, 0, 0, 0, 0, 0};
  store_le(&code[2], address);
  store_le(&code[6], value);
  return code;
}

Bytes join(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

class MachineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::string why = testing::why_no_kvm(); !why.empty()) GTEST_SKIP() << why;
    ::signal(SIGPIPE, SIG_IGN);  // as the real process does
    reactor = std::move(*Reactor::create());
    mailbox = std::move(*Mailbox::create(*reactor));
    config.memory_mib = 16;
    config.kernel_words = "console=ttyS0";
  }

  static int32_t give(Result<Fd> fd) {
    EXPECT_TRUE(fd) << fd.error().to_string();
    // Beyond the numbers that a real configuration may not use either.
    return fd ? ::fcntl(fd->get(), F_DUPFD_CLOEXEC, 10) : -1;
  }
  Result<std::unique_ptr<Machine>> build(const Bytes& code) {
    config.kvm_fd = give(open_file("/dev/kvm", O_RDWR));
    config.kernel_fd = give(make_memfd("kernel", tiny_kernel(code)));
    config.initramfs_fd = give(make_memfd("initramfs", Bytes(100)));
    auto agent_pair = std::move(*make_socket_pair());
    auto console_pair = std::move(*make_socket_pair());
    agent = std::move(agent_pair.first);
    console = std::move(console_pair.first);
    config.agent_fd = give(std::move(agent_pair.second));
    config.console_fd = give(std::move(console_pair.second));
    return Machine::build(*reactor, *mailbox, config, hooks);
  }
  void add_disk(std::string format, size_t size, bool read_only) {
    Fd file(::memfd_create("disk", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(file.get(), static_cast<off_t>(size)), 0);
    config.disks.push_back({.format = std::move(format), .fds = {give(std::move(file))}, .read_only = read_only});
  }
  void start(const Bytes& code, std::function<void()> when_ready) {
    auto machine = build(code);
    ASSERT_TRUE(machine) << machine.error().to_string();
    RunningMachine::Events events;
    events.prepare_thread = [this] { return prepare(); };
    events.ready = std::move(when_ready);
    events.ended = [this](const VcpuEnd& why) { end = why; };
    auto started = RunningMachine::start(*reactor, *mailbox, std::move(*machine), std::move(events));
    ASSERT_TRUE(started) << started.error().to_string();
    running = std::move(*started);
  }
  void run_to_end() {
    while (!end) ASSERT_TRUE(reactor->run_once());
  }
  // To its end, from the start.
  void run(const Bytes& code) {
    start(code, [this] { running->resume([] {}); });
    run_to_end();
  }
  std::string said() {
    running.reset();
    std::string text;
    uint8_t buffer[4096];
    EXPECT_TRUE(set_blocking(console.get(), Blocking::no));
    while (auto count = read_some(console.get(), buffer)) {
      if (*count == 0) break;
      text.append(as_text({buffer, *count}));
    }
    return text;
  }
  std::string why_not(const Bytes& code = kSpin) {
    auto machine = build(code);
    return machine ? "" : machine.error().to_string();
  }

  MachineConfig config;
  Machine::Hooks hooks;
  std::unique_ptr<Reactor> reactor;
  std::unique_ptr<Mailbox> mailbox;
  Fd agent, console;
  std::function<Result<>()> prepare = [] { return Result<>(); };
  std::optional<VcpuEnd> end;
  std::unique_ptr<RunningMachine> running;
};

TEST_F(MachineTest, what_the_guest_prints_is_there_when_its_end_is_reported) {
  run(join({say("no newline"), kReset}));
  EXPECT_EQ(end->cause, VcpuEnd::Cause::guest) << end->message;
  EXPECT_EQ(said(), "no newline");
}

TEST_F(MachineTest, memory_beyond_the_gap_lies_above_4_gib) {
  config.memory_mib = 3 * 1024 + 16;
  // Two pages of 2 MiB: the first shows itself, the second what lies at 4 GiB. Four levels, as hosts without hardware
  // virtualisation know no others.
  constexpr uint32_t kLevel4 = 0x180000, kLevel3 = 0x181000, kLevel2 = 0x182000, kTable = 3, kLarge = 0x83,
                     kSecond = 0x200000;
  const Bytes tables = join({store(kLevel4, kLevel3 | kTable), store(kLevel3, kLevel2 | kTable), store(kLevel2, kLarge),
                             store(kLevel2 + 8, kLarge), store(kLevel2 + 12, kGapEnd >> 32)});
  const Bytes paging = {0xb8, 0,    0,    0x18, 0,               // mov eax, kLevel4
                        0x0f, 0x22, 0xd8,                        // mov cr3, eax
                        0x0f, 0x20, 0xe0, 0x83, 0xc8, 0x20,      // mov eax, cr4; or eax, PAE
                        0x0f, 0x22, 0xe0,                        // mov cr4, eax
                        0xb9, 0x80, 0,    0,    0xc0,            // mov ecx, EFER
                        0x0f, 0x32, 0x80, 0xcc, 1,               // rdmsr; or ah, LME
                        0x0f, 0x30,                              // wrmsr
                        0x0f, 0x20, 0xc0, 0x0f, 0xba, 0xe8, 31,  // mov eax, cr0; bts eax, PG
                        0x0f, 0x22, 0xc0};                       // mov cr0, eax
  run(join({tables, paging, store(kSecond, 0x68676968), say_memory(kSecond), kReset}));
  EXPECT_EQ(end->cause, VcpuEnd::Cause::guest) << end->message;
  auto high = running->machine().ram().memory().slice(virtio::GuestAddress{kGapEnd}, 4);
  ASSERT_TRUE(high);
  EXPECT_EQ(as_text(*high), "high");
  EXPECT_EQ(said(), "high");
}

TEST_F(MachineTest, thirty_two_processors_rest_and_run) {
  config.vcpus = 32;
  run(join({say("x"), kReset}));
  EXPECT_EQ(end->cause, VcpuEnd::Cause::guest) << end->message;
  EXPECT_EQ(said(), "x");
}

TEST_F(MachineTest, devices_have_their_windows_in_the_order_of_the_contract) {
  add_disk("raw", 4096, true);
  constexpr uint32_t kMagic = 0, kDeviceId = 8;
  run(join({say_memory(0xd0000000 + kMagic), say_memory(0xd0000000 + kDeviceId), say_memory(0xd0001000 + kDeviceId),
            say_memory(0xd0002000 + kDeviceId), say_memory(0xd0003000 + kDeviceId), say_memory(0xd0004000 + kDeviceId),
            kReset}));
  EXPECT_EQ(end->cause, VcpuEnd::Cause::guest) << end->message;
  EXPECT_EQ(said(), std::string("virt\3\0\0\0\4\0\0\0\5\0\0\0\2\0\0\0\xff\xff\xff\xff", 24));
}

TEST_F(MachineTest, a_device_is_activated_and_reset_by_a_guest_that_waits_for_it) {
  constexpr uint32_t kEntropy = 0xd0001000, kStatus = kEntropy + 0x70, kFeatures = kEntropy + 0x20,
                     kFeaturesSelect = kEntropy + 0x24;
  run(join({store(kStatus, 1), store(kStatus, 3), store(kFeaturesSelect, 1), store(kFeatures, 1), store(kStatus, 11),
            store(kStatus, 15), say_memory(kStatus), store(kStatus, 0), say_memory(kStatus), kReset}));
  EXPECT_EQ(end->cause, VcpuEnd::Cause::guest) << end->message;
  // Without its queue the device is broken (64): it says so and goes on.
  EXPECT_EQ(said(), std::string("\x4f\0\0\0\0\0\0\0", 8));
}

TEST_F(MachineTest, requests_are_carried_out_in_order) {
  std::string order;
  start(kSpin, [&] {
    running->resume([&] { order += "r"; });
    running->pause([&] { order += "p"; });
    running->pause([&] { order += "p"; });
    running->resume([&] { order += "r"; });
    running->pause([&] {
      order += "p";
      running->end({VcpuEnd::Cause::guest});
    });
    running->resume([&] { order += "never"; });
  });
  run_to_end();
  EXPECT_EQ(order, "rpprp");
}

TEST_F(MachineTest, all_processors_rest_before_the_first_instruction) {
  config.vcpus = 4;
  bool ready = false;
  start(join({say("x"), kReset}), [&] { ready = true; });
  while (!ready) ASSERT_TRUE(reactor->run_once());
  EXPECT_FALSE(end);
  uint8_t byte = 0;
  ASSERT_TRUE(set_blocking(console.get(), Blocking::no));
  EXPECT_FALSE(read_some(console.get(), {&byte, 1}));
  running->resume([] {});
  run_to_end();
  EXPECT_EQ(said(), "x");
}

TEST_F(MachineTest, a_thread_that_cannot_raise_its_walls_ends_the_machine_before_it_ran) {
  prepare = [] { return Result<>(fail(ErrorKind::internal, "no walls")); };
  bool ready = false;
  start(join({say("x"), kReset}), [&] { ready = true; });
  run_to_end();
  EXPECT_FALSE(ready);
  EXPECT_EQ(end->cause, VcpuEnd::Cause::failed);
  EXPECT_EQ(end->message, "no walls");
  EXPECT_EQ(said(), "");
}

TEST_F(MachineTest, a_running_machine_can_be_dropped_at_any_time) {
  config.vcpus = 2;
  bool runs = false;
  start(kSpin, [&] { running->resume([&] { runs = true; }); });
  while (!runs) ASSERT_TRUE(reactor->run_once());
  running.reset();
  start(kSpin, [] {});
  running.reset();
}

TEST_F(MachineTest, a_console_nobody_reads_holds_up_nobody_but_the_last_words) {
  // A byte without end: xor eax, eax; jmp to the byte's output
  start(join({say("a"), {0xee, 0xeb, 0xfd}}), [&] { running->resume([] {}); });
  console.reset();
  running->end({VcpuEnd::Cause::guest});
  run_to_end();
}

TEST_F(MachineTest, the_balloons_target_is_bounded_by_the_guests_memory) {
  start(kSpin, [] {});
  running->set_balloon(4);
  EXPECT_EQ(running->machine().balloon().target(), 1024u);
  running->set_balloon(~uint64_t{0});
  EXPECT_EQ(running->machine().balloon().target(), 4096u);
}

TEST_F(MachineTest, what_cannot_be_is_refused_with_the_reason) {
  config.vcpus = 0;
  EXPECT_NE(why_not().find("1 to 32 virtual processors, not 0"), std::string::npos) << why_not();
  config.vcpus = 33;
  EXPECT_NE(why_not().find("not 33"), std::string::npos) << why_not();
  config.vcpus = 1;
  config.memory_mib = 0;
  EXPECT_NE(why_not().find("0 MiB"), std::string::npos) << why_not();
  config.memory_mib = 1;
  EXPECT_NE(why_not().find("too little memory"), std::string::npos) << why_not();
  config.memory_mib = 1 << 23;
  EXPECT_NE(why_not().find("this host"), std::string::npos) << why_not();
}

TEST_F(MachineTest, a_descriptor_that_is_not_kvm_is_refused) {
  config.kvm_fd = give(open_file("/dev/null", O_RDWR));
  config.kernel_fd = give(make_memfd("kernel", tiny_kernel(kSpin)));
  config.initramfs_fd = give(make_memfd("initramfs", Bytes(100)));
  config.agent_fd = give(make_memfd("agent", {}));
  config.console_fd = give(make_memfd("console", {}));
  auto machine = Machine::build(*reactor, *mailbox, config, {});
  ASSERT_FALSE(machine);
  EXPECT_EQ(machine.error().kind(), ErrorKind::unsupported);
}

TEST_F(MachineTest, a_descriptor_named_twice_is_refused) {
  add_disk("raw", 4096, true);
  config.disks.push_back(config.disks.front());
  EXPECT_NE(why_not().find("names a descriptor twice"), std::string::npos);
}

TEST_F(MachineTest, more_disks_than_interrupts_are_refused) {
  for (int i = 0; i < 17; ++i) add_disk("raw", 4096, true);
  EXPECT_NE(why_not().find("at most 19 devices"), std::string::npos);
}

TEST_F(MachineTest, a_disk_of_another_shape_than_its_format_is_refused) {
  add_disk("vhd", 4096, true);
  EXPECT_NE(why_not().find("format 'vhd'"), std::string::npos);
  config.disks.clear();
  add_disk("concat", 4096, false);
  EXPECT_NE(why_not().find("format 'concat'"), std::string::npos);
  config.disks.clear();
  add_disk("qcow2", 4096, false);
  EXPECT_NE(why_not().find("disk 0"), std::string::npos);
}

TEST_F(MachineTest, SharesAreOneDeviceBehindTheDisksWithAThreadOfItsOwn) {
  TempDir directory = TempDir::create().value();
  for (const char* name : {"0", "1"})
    config.shares.push_back({.name = name, .fd = give(open_file(directory.path(), O_PATH | O_DIRECTORY))});
  std::thread::id prepared;
  hooks.prepare_share_thread = [&](const std::vector<int>& usage) {
    EXPECT_TRUE(usage.empty());
    prepared = std::this_thread::get_id();
    return Result<>();
  };
  constexpr uint32_t kShares = 3, kDeviceId = 8;  // after console, entropy and balloon
  run(join({say_memory(0xd0000000 + kShares * 4096 + kDeviceId), kReset}));
  EXPECT_EQ(end->cause, VcpuEnd::Cause::guest) << end->message;
  EXPECT_EQ(said(), std::string("\x1a\0\0\0", 4));
  EXPECT_NE(prepared, std::thread::id());
  EXPECT_NE(prepared, std::this_thread::get_id());
}

TEST_F(MachineTest, AShareWhoseThreadCannotBeShutInIsNone) {
  TempDir directory = TempDir::create().value();
  config.shares.push_back({.name = "0", .fd = give(open_file(directory.path(), O_PATH | O_DIRECTORY))});
  hooks.prepare_share_thread = [](const auto&) { return Result<>(fail(ErrorKind::io, "no wall")); };
  EXPECT_EQ(why_not(), "no wall");
  config.shares[0] = {.name = "..", .fd = give(open_file(directory.path(), O_PATH | O_DIRECTORY))};
  EXPECT_NE(why_not().find("'..'"), std::string::npos);
}

}  // namespace
}  // namespace msb::kvm
