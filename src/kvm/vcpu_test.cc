// Guests of some instructions on this host's /dev/kvm.
#include "kvm/vcpu.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>

#include "base/units.h"
#include "kvm/testing/tiny_guest.h"
#include "kvm/x86_64/layout.h"
#include "kvm/x86_64/vcpu_state.h"
#include "kvm/x86_64/vm_state.h"

namespace msb::kvm {
namespace {

using testing::kCode;
using testing::TinyGuest;

constexpr uint8_t kHalt = 0xf4;

// Protected mode with an empty interrupt table, then an exception: a triple fault.
const Bytes kTripleFault = {
    0x0f, 0x01, 0x1e, 0x00, 0x30,                    // lidt [0x3000], where there are zeros
    0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0,  // cr0 |= 1
    0x0f, 0x0b,                                      // ud2
};

Bytes join(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

class VcpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::string why = testing::why_no_kvm(); !why.empty()) GTEST_SKIP() << why;
  }
  std::unique_ptr<TinyGuest> make(const Bytes& code, uint32_t vcpus = 1, uint64_t memory = kMiB) {
    auto guest = TinyGuest::create(code, vcpus, memory);
    EXPECT_TRUE(guest) << guest.error().to_string();
    return guest ? std::move(*guest) : nullptr;
  }
  // A device that remembers what was written to it and answers 0x12, 0x34 ...
  IoBus::Handler recorder() {
    return {[](uint64_t, MutableByteView out) {
              uint8_t next = 0x12;
              for (auto& byte : out) byte = next, next = static_cast<uint8_t>(next + 0x22);
            },
            [this](uint64_t offset, ByteView bytes) {
              writes.push_back(cat(offset, ":", bytes.size(), ":", load_le<uint8_t>(bytes.data())));
            }};
  }
  std::vector<std::string> writes;
};

TEST_F(VcpuTest, writes_to_ports_reach_the_device_and_a_triple_fault_is_the_guests_end) {
  auto guest = make(join({{
                              0xba, 0xf8, 0x03,  // mov dx, 0x3f8
                              0xb0, 'H',         // mov al, 'H'
                              0xee,              // out dx, al
                              0x42,              // inc dx
                              0xb8, 'i', 0x01,   // mov ax, 0x100 + 'i'
                              0xef,              // out dx, ax
                          },
                          kTripleFault}));
  ASSERT_TRUE(guest);
  ASSERT_TRUE(guest->ports.add(0x3f8, 8, recorder()));
  ASSERT_TRUE(guest->start());
  guest->resume();
  VcpuEnd end = guest->wait_for_end();
  EXPECT_EQ(end.cause, VcpuEnd::Cause::guest) << end.message << "\n" << end.registers;
  EXPECT_EQ(writes, (std::vector<std::string>{"0:1:72", "1:2:105"}));
}

TEST_F(VcpuTest, reads_of_ports_give_what_the_device_says_and_ones_where_there_is_none) {
  auto guest = make(join({{
                              0xba, 0xf8, 0x03,  // mov dx, 0x3f8
                              0xed,              // in ax, dx
                              0xa3, 0x00, 0x20,  // mov [0x2000], ax
                              0xba, 0x00, 0x05,  // mov dx, 0x500
                              0xed,              // in ax, dx
                              0xa3, 0x02, 0x20,  // mov [0x2002], ax
                          },
                          kTripleFault}));
  ASSERT_TRUE(guest);
  ASSERT_TRUE(guest->ports.add(0x3f8, 8, recorder()));
  ASSERT_TRUE(guest->start());
  guest->resume();
  EXPECT_EQ(guest->wait_for_end().cause, VcpuEnd::Cause::guest);
  EXPECT_EQ(guest->word(0x2000), 0xffff3412u);
}

TEST_F(VcpuTest, string_writes_to_ports_arrive_whole) {
  auto guest = make(join({{
                              0xbe, 0x00, 0x10,  // mov si, 0x1000: the code itself
                              0xb9, 0x03, 0x00,  // mov cx, 3
                              0xba, 0xf8, 0x03,  // mov dx, 0x3f8
                              0xfc, 0xf3, 0x6e,  // cld; rep outsb
                          },
                          kTripleFault}));
  ASSERT_TRUE(guest);
  ASSERT_TRUE(guest->ports.add(0x3f8, 8, recorder()));
  ASSERT_TRUE(guest->start());
  guest->resume();
  EXPECT_EQ(guest->wait_for_end().cause, VcpuEnd::Cause::guest);
  EXPECT_EQ(writes, (std::vector<std::string>{"0:1:190", "0:1:0", "0:1:16"}));
}

TEST_F(VcpuTest, memory_that_is_not_ram_is_the_devices) {
  // 64 KiB of RAM: 0xf000:0x1000 is 0x100000 - beyond.
  auto guest = make(join({{
                              0xb8, 0x00, 0x20,           // mov ax, 0x2000
                              0x8e, 0xd8,                 // mov ds, ax: base 0x20000
                              0xc6, 0x06, 0x10, 0,    7,  // mov byte [0x10], 7
                              0xa1, 0x20, 0x00,           // mov ax, [0x20]
                              0x8b, 0x1e, 0x00, 0x80,     // mov bx, [0x8000]: nobody there
                              0x31, 0xc9, 0x8e, 0xd9,     // xor cx, cx; mov ds, cx
                              0xa3, 0x00, 0x20,           // mov [0x2000], ax
                              0x89, 0x1e, 0x02, 0x20,     // mov [0x2002], bx
                          },
                          kTripleFault}),
                    1, 64 * kKiB);
  ASSERT_TRUE(guest);
  ASSERT_TRUE(guest->windows.add(0x20000, 0x1000, recorder()));
  ASSERT_TRUE(guest->start());
  guest->resume();
  VcpuEnd end = guest->wait_for_end();
  EXPECT_EQ(end.cause, VcpuEnd::Cause::guest) << end.message << "\n" << end.registers;
  EXPECT_EQ(writes, (std::vector<std::string>{"16:1:7"}));
  EXPECT_EQ(guest->word(0x2000), 0xffff3412u);
}

TEST_F(VcpuTest, code_outside_of_memory_is_a_failure_with_registers) {
  auto guest = make({0xea, 0x00, 0x00, 0x00, 0x80}, 1, 64 * kKiB);  // jmp 0x8000:0
  ASSERT_TRUE(guest);
  ASSERT_TRUE(guest->start());
  guest->resume();
  VcpuEnd end = guest->wait_for_end();
  EXPECT_EQ(end.cause, VcpuEnd::Cause::failed);
  EXPECT_NE(end.message, "");
  EXPECT_NE(end.registers.find("cs 8000 base 0000000000080000"), std::string::npos) << end.registers;
}

// add dword [0x2000], 1; jmp back
const Bytes kCounting = {0x66, 0x83, 0x06, 0x00, 0x20, 0x01, 0xeb, 0xf8};

TEST_F(VcpuTest, a_busy_guest_pauses_resumes_and_stops) {
  auto guest = make(kCounting);
  ASSERT_TRUE(guest);
  ASSERT_TRUE(guest->start());
  EXPECT_EQ(guest->word(0x2000), 0u) << "it must not run before it is told to";
  guest->resume();
  while (guest->word(0x2000) == 0) std::this_thread::yield();
  guest->pause();
  uint32_t at_rest = guest->word(0x2000);
  kvm_regs regs{};
  ASSERT_TRUE(guest->vcpu(0).fd().get(KVM_GET_REGS, regs, "read registers"));
  EXPECT_EQ(guest->word(0x2000), at_rest);
  EXPECT_GE(regs.rip, kCode);
  EXPECT_LT(regs.rip, kCode + kCounting.size());
  guest->resume();
  while (guest->word(0x2000) == at_rest) std::this_thread::yield();
  guest->stop();
}

TEST_F(VcpuTest, a_halted_guest_stops) {
  auto guest = make({kHalt, 0xeb, 0xfd});
  ASSERT_TRUE(guest);
  ASSERT_TRUE(guest->start());
  guest->resume();
  guest->pause();
  guest->resume();
  guest->stop();
}

TEST_F(VcpuTest, pausing_and_resuming_in_any_order_loses_no_access) {
  // Counts in memory and says each number on a port.
  auto guest = make({
      0xba, 0xf8, 0x03,              // mov dx, 0x3f8
      0x66, 0xff, 0x06, 0x00, 0x20,  // inc dword [0x2000]
      0x66, 0xa1, 0x00, 0x20,        // mov eax, [0x2000]
      0x66, 0xef,                    // out dx, eax
      0xeb, 0xf3,                    // jmp to inc
  });
  ASSERT_TRUE(guest);
  std::atomic<uint32_t> last = 0;
  std::atomic<bool> in_order = true;
  ASSERT_TRUE(guest->ports.add(0x3f8, 8,
                               {[](uint64_t, MutableByteView) {},
                                [&](uint64_t, ByteView bytes) {
                                  uint32_t value = load_le<uint32_t>(bytes.data());
                                  if (value != last + 1) in_order = false;
                                  last = value;
                                }}));
  ASSERT_TRUE(guest->start());
  for (int round = 0; round < 50; ++round) {
    uint32_t before = last;
    guest->resume();
    while (last == before) std::this_thread::yield();
    guest->pause();
  }
  EXPECT_TRUE(in_order);
  guest->stop();
}

TEST_F(VcpuTest, a_second_processor_starts_when_the_first_tells_it_to) {
  // Processor 0 sends INIT and startup (vector 2: 0x2000) to all others by its local APIC, whose page lies at
  // 0xfee00000, and waits for the other's sign. 32-bit addresses need a flat segment: "unreal" mode by a GDT.
  const Bytes first = {
      0xfa,                                            // cli
      0x66, 0x0f, 0x01, 0x16, 0x00, 0x14,              // lgdt [0x1400]
      0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0,  // protected mode
      0xbb, 0x08, 0x00, 0x8e, 0xdb,                    // ds = 8: flat data
      0x24, 0xfe, 0x0f, 0x22, 0xc0,                    // real mode again, the limit stays
      0x66, 0xbf, 0x00, 0x03, 0xe0, 0xfe,              // mov edi, 0xfee00300: interrupt command
      0x67, 0x66, 0xc7, 0x07, 0x00, 0x45, 0x0c, 0x00,  // [edi] = INIT, all others
      0x67, 0x66, 0xc7, 0x07, 0x02, 0x46, 0x0c, 0x00,  // [edi] = startup at 0x2000, all others
      0x31, 0xdb, 0x8e, 0xdb,                          // ds = 0
      0x80, 0x3e, 0x00, 0x30, 0x01,                    // wait: cmp byte [0x3000], 1
      0x75, 0xf9,                                      // jne wait
      0xba, 0xf8, 0x03, 0xee,                          // out 0x3f8
      0xf4, 0xeb, 0xfd,                                // hlt
  };
  auto guest = make(first, 2);
  ASSERT_TRUE(guest);
  const Bytes descriptors = {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0x92, 0xcf, 0};
  const Bytes pointer = {15, 0, 0x10, 0x14, 0, 0};
  const Bytes second = {0x31, 0xc0, 0x8e, 0xd8, 0xc6, 0x06, 0x00, 0x30, 0x01, 0xf4, 0xeb, 0xfd};
  const auto& memory = guest->ram().memory();
  ASSERT_TRUE(memory.write(virtio::GuestAddress{0x1400}, pointer));
  ASSERT_TRUE(memory.write(virtio::GuestAddress{0x1410}, descriptors));
  ASSERT_TRUE(memory.write(virtio::GuestAddress{0x2000}, second));
  Fd said(::eventfd(0, EFD_CLOEXEC));
  ASSERT_TRUE(guest->ports.add(
      0x3f8, 8, {[](uint64_t, MutableByteView) {}, [&](uint64_t, ByteView) { (void)::eventfd_write(said.get(), 1); }}));
  ASSERT_TRUE(guest->start());
  guest->resume();
  eventfd_t count = 0;
  ASSERT_EQ(::eventfd_read(said.get(), &count), 0);
  EXPECT_EQ(guest->word(0x3000), 1u);
  guest->stop();
}

TEST_F(VcpuTest, an_ioeventfd_takes_a_write_without_an_exit) {
  auto guest = make(join({{
                              0xb8, 0x00, 0x20, 0x8e, 0xd8,                 // ds = 0x2000
                              0x66, 0xc7, 0x06, 0x50, 0x00, 0x01, 0, 0, 0,  // mov dword [0x50], 1
                              0x66, 0xc7, 0x06, 0x50, 0x00, 0x02, 0, 0, 0,  // mov dword [0x50], 2
                              0x31, 0xc9, 0x8e, 0xd9,                       // ds = 0
                          },
                          kTripleFault}),
                    1, 64 * kKiB);
  ASSERT_TRUE(guest);
  ASSERT_TRUE(guest->windows.add(0x20000, 0x1000, recorder()));
  Fd kick(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ASSERT_TRUE(guest->vm().add_ioeventfd(kick.get(), 0x20050, 1));
  ASSERT_TRUE(guest->start());
  guest->resume();
  EXPECT_EQ(guest->wait_for_end().cause, VcpuEnd::Cause::guest);
  eventfd_t count = 0;
  EXPECT_EQ(::eventfd_read(kick.get(), &count), 0);
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(writes, (std::vector<std::string>{"80:4:2"}));
}

TEST_F(VcpuTest, a_processor_whose_thread_cannot_be_prepared_ends) {
  auto guest = make({kHalt});
  ASSERT_TRUE(guest);
  std::atomic<bool> ended = false;
  Vcpu::Events events;
  events.prepare = [] { return Result<>(fail(ErrorKind::internal, "no jail")); };
  events.ended = [&](VcpuEnd end) {
    EXPECT_EQ(end.cause, VcpuEnd::Cause::failed);
    EXPECT_EQ(end.message, "no jail");
    ended = true;
    ended.notify_all();
  };
  ASSERT_TRUE(guest->vcpu(0).start(std::move(events)));
  ended.wait(false);
  guest->stop();
}

TEST_F(VcpuTest, state_that_was_read_can_be_written_back) {
  auto guest = make(kCounting);
  ASSERT_TRUE(guest);
  ASSERT_TRUE(guest->start());
  guest->resume();
  while (guest->word(0x2000) == 0) std::this_thread::yield();
  guest->pause();
  const VcpuFd& fd = guest->vcpu(0).fd();
  auto device = open_file("/dev/kvm", O_RDWR);
  ASSERT_TRUE(device);
  auto kvm = Kvm::adopt(std::move(*device));
  ASSERT_TRUE(kvm);
  auto msrs = kvm->msr_indices();
  ASSERT_TRUE(msrs);
  auto size = static_cast<size_t>(guest->vm().check_extension(KVM_CAP_XSAVE2));
  auto state = read_state(fd, *msrs, size);
  ASSERT_TRUE(state) << state.error().to_string();
  kvm_regs moved = state->regs;
  moved.rip = 0x1234;
  ASSERT_TRUE(fd.set(KVM_SET_REGS, moved, "set registers"));
  auto written = write_state(fd, *state);
  ASSERT_TRUE(written) << written.error().to_string();
  auto again = read_state(fd, *msrs, size);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->regs.rip, state->regs.rip);
  EXPECT_EQ(again->sregs.cs.base, state->sregs.cs.base);
  uint32_t before = guest->word(0x2000);
  guest->resume();
  while (guest->word(0x2000) == before) std::this_thread::yield();
  guest->stop();
}

TEST_F(VcpuTest, the_machines_state_that_was_read_can_be_written_back) {
  auto guest = make(kCounting);
  ASSERT_TRUE(guest);
  ASSERT_TRUE(guest->start());
  auto state = read_state(guest->vm());
  ASSERT_TRUE(state) << state.error().to_string();
  constexpr uint64_t kHour = 3'600'000'000'000;
  // A masked interrupt to vector 0x41, the second controller's base vector 0x70: as a guest's kernel leaves them.
  state->io_apic.redirtbl[5].bits = 0x10041;
  state->second_pic.irq_base = 0x70;
  state->clock_nanos = kHour;
  auto written = write_state(guest->vm(), *state);
  ASSERT_TRUE(written) << written.error().to_string();
  auto again = read_state(guest->vm());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->io_apic.redirtbl[5].bits, 0x10041u);
  EXPECT_EQ(again->second_pic.irq_base, 0x70);
  EXPECT_EQ(again->first_pic.irq_base, state->first_pic.irq_base);
  EXPECT_EQ(again->io_apic.id, state->io_apic.id);
  EXPECT_GE(again->clock_nanos, kHour);
  // Another machine of the same make takes it too.
  auto other = make(kCounting);
  ASSERT_TRUE(other);
  ASSERT_TRUE(write_state(other->vm(), *again));
  EXPECT_EQ(read_state(other->vm())->io_apic.redirtbl[5].bits, 0x10041u);
  guest->resume();
  while (guest->word(0x2000) == 0) std::this_thread::yield();
  guest->stop();
}

}  // namespace
}  // namespace msb::kvm
