#include "kvm/x86_64/boot.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/units.h"
#include "kvm/x86_64/cpuid.h"
#include "kvm/x86_64/elf_kernel.h"
#include "kvm/x86_64/layout.h"
#include "kvm/x86_64/mp_table.h"

namespace msb::kvm {
namespace {

constexpr uint64_t kEntry = 0x1000040;

// A kernel as small as can be: one segment of 64 bytes of code and 64 of zeros at 16 MiB, and the PVH note.
struct SmallKernel {
  Elf64_Ehdr header{};
  Elf64_Phdr parts[2]{};
  struct {
    uint32_t name_size = 4, content_size = 8, type = 18;
    char name[4] = "Xen";
    uint64_t entry = kEntry;
  } __attribute__((packed)) note;
  uint8_t code[128];

  SmallKernel() {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_phoff = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 2;
    parts[0].p_type = PT_LOAD;
    parts[0].p_offset = offsetof(SmallKernel, code);
    parts[0].p_paddr = 0x1000000;
    parts[0].p_filesz = sizeof(code);
    parts[0].p_memsz = 2 * sizeof(code);
    parts[1].p_type = PT_NOTE;
    parts[1].p_offset = offsetof(SmallKernel, note);
    parts[1].p_filesz = sizeof(note);
    std::iota(code, code + sizeof(code), uint8_t{1});
  }
  Fd file() const { return std::move(*make_memfd("kernel", {reinterpret_cast<const uint8_t*>(this), sizeof(*this)})); }
};

std::unique_ptr<GuestRam> ram_of(uint64_t size) {
  auto ram = GuestRam::create(size);
  if (!ram) ADD_FAILURE() << ram.error().to_string();
  return std::move(ram.value());
}

template <class T>
T at(const GuestRam& ram, uint64_t address) {
  T value{};
  EXPECT_TRUE(ram.memory().read(virtio::GuestAddress{address}, {reinterpret_cast<uint8_t*>(&value), sizeof(value)}));
  return value;
}

TEST(Boot, everything_lies_where_the_kernel_looks_for_it) {
  auto ram = ram_of(32 * kMiB);
  Fd kernel = SmallKernel().file();
  Fd initramfs = std::move(*make_memfd("initramfs", Bytes(5000, 7)));
  auto entry = load_guest(*ram, {kernel.get(), initramfs.get()}, "console=ttyS0", 2);
  ASSERT_TRUE(entry) << entry.error().to_string();
  EXPECT_EQ(*entry, kEntry);
  EXPECT_EQ(at<uint32_t>(*ram, kStartInfo), 0x336ec578u);
  EXPECT_EQ(at<uint32_t>(*ram, kStartInfo + 12), 1u);
  EXPECT_EQ(at<uint64_t>(*ram, kStartInfo + 24), kCommandLine);
  EXPECT_EQ(at<uint32_t>(*ram, kStartInfo + 48), 3u);
  auto module = at<uint64_t>(*ram, kModuleList);
  EXPECT_EQ(module, 32 * kMiB - 8192);
  EXPECT_EQ(at<uint64_t>(*ram, kModuleList + 8), 5000u);
  EXPECT_EQ(at<uint8_t>(*ram, module + 4999), 7);
  EXPECT_EQ(at<uint8_t>(*ram, 0x1000000), 1);
  EXPECT_EQ(at<uint8_t>(*ram, 0x1000000 + 127), 128);
  EXPECT_EQ(at<uint8_t>(*ram, 0x1000000 + 128), 0);
  EXPECT_EQ(at<uint32_t>(*ram, kMpTable), 0x5f504d5fu) << "_MP_";
  EXPECT_EQ(at<char>(*ram, kCommandLine + 12), '0');
  EXPECT_EQ(at<char>(*ram, kCommandLine + 13), 0);
}

TEST(Boot, memory_above_the_gap_is_in_the_map) {
  auto ram = ram_of(kGapStart + 16 * kMiB);
  Fd kernel = SmallKernel().file();
  Fd initramfs = std::move(*make_memfd("initramfs", Bytes(1)));
  auto entry = load_guest(*ram, {kernel.get(), initramfs.get()}, "", 1);
  ASSERT_TRUE(entry) << entry.error().to_string();
  EXPECT_EQ(at<uint32_t>(*ram, kStartInfo + 48), 4u);
  EXPECT_EQ(at<uint64_t>(*ram, kMemoryMap + 3 * 24), kGapEnd);
  EXPECT_EQ(at<uint64_t>(*ram, kMemoryMap + 3 * 24 + 8), 16 * kMiB);
  EXPECT_EQ(at<uint64_t>(*ram, kModuleList), kGapStart - 4096);
}

void expect_refused(const SmallKernel& kernel, std::string_view words, uint64_t memory = 32 * kMiB) {
  auto ram = ram_of(memory);
  Fd file = kernel.file();
  Fd initramfs = std::move(*make_memfd("initramfs", Bytes(4096)));
  auto entry = load_guest(*ram, {file.get(), initramfs.get()}, "", 1);
  ASSERT_FALSE(entry);
  EXPECT_EQ(entry.error().kind(), ErrorKind::invalid_config) << entry.error().to_string();
  EXPECT_NE(entry.error().to_string().find(words), std::string::npos) << entry.error().to_string();
}

TEST(Boot, a_kernel_that_is_none_is_refused) {
  SmallKernel bad;
  bad.header.e_ident[0] = 'M';
  expect_refused(bad, "not an ELF file");
  bad = SmallKernel();
  bad.header.e_machine = EM_386;
  expect_refused(bad, "not an x86-64 executable");
  bad = SmallKernel();
  bad.header.e_phnum = 0xffff;
  expect_refused(bad, "damaged ELF header");
  bad = SmallKernel();
  bad.header.e_phoff = ~uint64_t{0} - 8;
  expect_refused(bad, "damaged ELF header");
}

TEST(Boot, a_kernel_with_damaged_segments_is_refused) {
  SmallKernel bad;
  bad.parts[0].p_filesz = 1000;
  expect_refused(bad, "damaged segment");
  bad = SmallKernel();
  bad.parts[0].p_paddr = ~uint64_t{0} - 10;
  expect_refused(bad, "damaged segment");
  bad = SmallKernel();
  bad.parts[0].p_memsz = ~uint64_t{0};
  expect_refused(bad, "damaged segment");
  bad = SmallKernel();
  bad.parts[0].p_type = PT_NULL;
  expect_refused(bad, "no segment to load");
}

TEST(Boot, a_kernel_outside_of_memory_is_refused) {
  SmallKernel bad;
  bad.parts[0].p_memsz = 64 * kMiB;
  expect_refused(bad, "needs memory up to 80 MiB");
  expect_refused(SmallKernel(), "too little memory", kMegabyte);
  bad = SmallKernel();
  bad.parts[0].p_paddr = 0x7000;  // over our own tables
  bad.note.entry = 0x7000;
  expect_refused(bad, "guest kernel needs memory");
}

TEST(Boot, a_kernel_without_a_usable_pvh_note_is_refused) {
  SmallKernel bad;
  bad.note.type = 17;
  expect_refused(bad, "no PVH entry point");
  bad = SmallKernel();
  bad.note.content_size = 0xfffffff0;
  expect_refused(bad, "no PVH entry point");
  bad = SmallKernel();
  bad.note.entry = 0x1000000 + 128;
  expect_refused(bad, "outside of itself");
  bad = SmallKernel();
  bad.note.entry = ~uint64_t{0};
  expect_refused(bad, "outside of itself");
}

TEST(Boot, a_kernel_file_that_ends_early_is_corrupt) {
  SmallKernel kernel;
  Fd file = std::move(*make_memfd("kernel", {reinterpret_cast<const uint8_t*>(&kernel), sizeof(kernel) - 1}));
  Fd initramfs = std::move(*make_memfd("initramfs", Bytes(4096)));
  auto entry = load_guest(*ram_of(32 * kMiB), {file.get(), initramfs.get()}, "", 1);
  ASSERT_FALSE(entry);
  EXPECT_EQ(entry.error().kind(), ErrorKind::corrupt) << entry.error().to_string();
}

TEST(Boot, a_command_line_longer_than_the_kernels_buffer_is_refused) {
  auto ram = ram_of(32 * kMiB);
  Fd kernel = SmallKernel().file();
  Fd initramfs = std::move(*make_memfd("initramfs", Bytes(1)));
  EXPECT_TRUE(load_guest(*ram, {kernel.get(), initramfs.get()}, std::string(2047, 'x'), 1));
  EXPECT_FALSE(load_guest(*ram, {kernel.get(), initramfs.get()}, std::string(2048, 'x'), 1));
}

TEST(Memory, more_than_the_host_has_is_refused) {
  auto ram = GuestRam::create(uint64_t{1} << 46);
  ASSERT_FALSE(ram);
  EXPECT_EQ(ram.error().kind(), ErrorKind::invalid_config);
  EXPECT_FALSE(GuestRam::create(0));
  EXPECT_FALSE(GuestRam::create(4095));
}

TEST(Memory, released_pages_read_as_zero) {
  auto ram = std::move(*GuestRam::create(4 * kMiB));
  auto pages = ram->memory().slice(virtio::GuestAddress{0x3000}, 0x3000);
  ASSERT_TRUE(pages);
  std::fill(pages->begin(), pages->end(), uint8_t{1});
  ram->release(virtio::GuestAddress{0x4000}, 0x1000);
  EXPECT_EQ((*pages)[0x0fff], 1);
  EXPECT_EQ((*pages)[0x1000], 0);
  EXPECT_EQ((*pages)[0x1fff], 0);
  EXPECT_EQ((*pages)[0x2000], 1);
}

TEST(Memory, a_mapped_file_is_there_can_be_written_and_comes_back_when_released) {
  auto ram = std::move(*GuestRam::create(4 * kMiB));
  Bytes contents(5 * 4096);
  for (size_t i = 0; i < contents.size(); ++i) contents[i] = static_cast<uint8_t>(1 + i / 4096);
  Fd file = std::move(*make_memfd("file", contents));
  ASSERT_TRUE(ram->map_file(virtio::GuestAddress{0x10000}, file.get(), 4096, 3 * 4096));
  auto pages = ram->memory().slice(virtio::GuestAddress{0xf000}, 5 * 4096);
  ASSERT_TRUE(pages);
  EXPECT_EQ((*pages)[0x0fff], 0);
  EXPECT_EQ((*pages)[0x1000], 2);
  EXPECT_EQ((*pages)[0x3fff], 4);
  EXPECT_EQ((*pages)[0x4000], 0);
  std::fill(pages->begin(), pages->end(), uint8_t{9});
  ram->release(virtio::GuestAddress{0xf000}, 5 * 4096);
  EXPECT_EQ((*pages)[0x0fff], 0);
  EXPECT_EQ((*pages)[0x1000], 2);
  EXPECT_EQ((*pages)[0x3fff], 4);
  EXPECT_EQ((*pages)[0x4000], 0);
}

TEST(Memory, a_file_is_mapped_only_as_whole_pages_of_memory) {
  auto ram = std::move(*GuestRam::create(kMiB));
  Fd file = std::move(*make_memfd("file", Bytes(8192)));
  EXPECT_FALSE(ram->map_file(virtio::GuestAddress{1}, file.get(), 0, 4096));
  EXPECT_FALSE(ram->map_file(virtio::GuestAddress{0}, file.get(), 1, 4096));
  EXPECT_FALSE(ram->map_file(virtio::GuestAddress{0}, file.get(), 0, 4095));
  EXPECT_FALSE(ram->map_file(virtio::GuestAddress{0}, file.get(), 0, 0));
  EXPECT_FALSE(ram->map_file(virtio::GuestAddress{kMiB}, file.get(), 0, 4096));
}

TEST(MpTable, sums_are_zero_and_32_processors_fit_below_640_kib) {
  for (uint32_t vcpus : {1u, 2u, 32u}) {
    Bytes table = mp_table(kMpTable, vcpus);
    ASSERT_LE(table.size(), 0xa0000 - kMpTable);
    EXPECT_EQ(std::accumulate(table.begin(), table.begin() + 16, uint8_t{0}), 0);
    EXPECT_EQ(std::accumulate(table.begin() + 16, table.end(), uint8_t{0}), 0);
    EXPECT_EQ(load_le<uint16_t>(&table[16 + 4]), table.size() - 16);
    EXPECT_EQ(load_le<uint16_t>(&table[16 + 34]), vcpus + 1 + 1 + kIoApicPins + 2);
    EXPECT_EQ(load_le<uint32_t>(&table[4]), kMpTable + 16);
  }
}

kvm_cpuid_entry2 leaf(uint32_t function, uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx) {
  kvm_cpuid_entry2 entry{};
  entry.function = function;
  entry.eax = eax, entry.ebx = ebx, entry.ecx = ecx, entry.edx = edx;
  return entry;
}

const kvm_cpuid_entry2* find(const std::vector<kvm_cpuid_entry2>& table, uint32_t function, uint32_t index = 0) {
  for (const auto& entry : table)
    if (entry.function == function && entry.index == index) return &entry;
  return nullptr;
}

TEST(Cpuid, each_processor_knows_its_number_and_how_many_there_are) {
  auto table = guest_cpuid({leaf(0, 0xd, 0, 0, 0), leaf(1, 0, 0xffff0800, 0x7fffffff, 0)}, {6, true}, 5);
  const auto* features = find(table, 1);
  ASSERT_TRUE(features);
  EXPECT_EQ(features->ebx, 0x05060800u);
  EXPECT_TRUE(features->edx & (1u << 28));
  EXPECT_TRUE(features->ecx & (1u << 31)) << "hypervisor";
  EXPECT_TRUE(features->ecx & (1u << 24)) << "TSC deadline timer";
  const auto* cores = find(table, 0xb, 1);
  ASSERT_TRUE(cores);
  EXPECT_EQ(cores->eax, 3u);
  EXPECT_EQ(cores->ebx, 6u);
  EXPECT_EQ(cores->edx, 5u);
}

TEST(Cpuid, nested_virtualisation_and_counters_are_not_offered) {
  auto table = guest_cpuid({leaf(1, 0, 0, ~0u, 0), leaf(0xa, 1, 1, 1, 1), leaf(0x80000001, 0, 0, ~0u, ~0u),
                            leaf(0x8000000a, 1, 1, 1, 1), leaf(0x12, 1, 1, 1, 1)},
                           {1, false}, 0);
  EXPECT_FALSE(find(table, 1)->ecx & (1u << 5)) << "VMX";
  EXPECT_FALSE(find(table, 1)->ecx & (1u << 24)) << "TSC deadline timer";
  EXPECT_FALSE(find(table, 1)->edx & (1u << 28));
  EXPECT_FALSE(find(table, 0x80000001)->ecx & (1u << 2)) << "SVM";
  EXPECT_FALSE(find(table, 0x80000001)->ecx & (1u << 23)) << "counters";
  EXPECT_FALSE(find(table, 0xa));
  EXPECT_FALSE(find(table, 0x8000000a));
  EXPECT_FALSE(find(table, 0x12));
}

TEST(Cpuid, the_last_cache_is_shared_by_all_and_the_first_by_none) {
  auto level = [](uint32_t number) { return leaf(0x8000001d, 1 | (number << 5) | (0xfff << 14), 0, 0, 0); };
  auto table = guest_cpuid({level(1)}, {4, true}, 0);
  EXPECT_EQ(table[0].eax >> 14 & 0xfff, 0u);
  table = guest_cpuid({level(3)}, {4, true}, 0);
  EXPECT_EQ(table[0].eax >> 14 & 0xfff, 3u);
}

}  // namespace
}  // namespace msb::kvm
