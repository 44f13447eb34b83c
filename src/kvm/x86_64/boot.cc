#include "kvm/x86_64/boot.h"

#include <sys/stat.h>

#include <cstring>

#include "base/units.h"
#include "kvm/x86_64/elf_kernel.h"
#include "kvm/x86_64/layout.h"
#include "kvm/x86_64/mp_table.h"

namespace msb::kvm {
namespace {

constexpr uint32_t kStartMagic = 0x336ec578;
constexpr uint32_t kRam = 1, kReserved = 2;  // E820 types

struct StartInfo {
  uint32_t magic = kStartMagic;
  uint32_t version = 1;  // has a memory map
  uint32_t flags = 0;
  uint32_t module_count = 0;
  uint64_t modules = 0;
  uint64_t command_line = 0;
  uint64_t rsdp = 0;  // no ACPI
  uint64_t memory_map = 0;
  uint32_t memory_map_entries = 0;
  uint32_t reserved = 0;
};
static_assert(sizeof(StartInfo) == 56);

struct Module {
  uint64_t address = 0;
  uint64_t size = 0;
  uint64_t command_line = 0;
  uint64_t reserved = 0;
};
static_assert(sizeof(Module) == 32);

struct MemoryMapEntry {
  uint64_t address = 0;
  uint64_t size = 0;
  uint32_t type = kRam;
  uint32_t reserved = 0;
};
static_assert(sizeof(MemoryMapEntry) == 24);

template <class T>
ByteView view_of(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof(value)};
}

Result<> put(const GuestRam& ram, uint64_t address, ByteView bytes) {
  if (!ram.memory().write(virtio::GuestAddress{address}, bytes))
    return fail(ErrorKind::invalid_config, "the guest has too little memory to boot");
  return {};
}

Result<uint64_t> file_size(int file) {
  struct stat status{};
  if (::fstat(file, &status) < 0) return fail_errno("look at the initramfs");
  return static_cast<uint64_t>(status.st_size);
}

// At the end of low memory, where the kernel does not need it; returns its address.
Result<Module> load_initramfs(GuestRam& ram, int file) {
  MSB_TRY(uint64_t size, file_size(file));
  uint64_t limit = ram.low_size();
  if (size == 0 || size > limit) {
    return fail(Error(ErrorKind::invalid_config, cat("an initramfs of ", size, " bytes does not fit into a guest with ",
                                                     limit / kMiB, " MiB of low memory")));
  }
  uint64_t address = (limit - size) & ~(kPage - 1);
  MSB_CHECK_CTX(load_file(ram, address, file, 0, size), "load the initramfs");
  return Module{address, size, 0, 0};
}

Result<uint32_t> put_memory_map(const GuestRam& ram) {
  std::vector<MemoryMapEntry> entries = {
      {0, kLowMemoryEnd, kRam, 0},
      {kLowMemoryEnd, kMegabyte - kLowMemoryEnd, kReserved, 0},
      {kMegabyte, ram.low_size() - kMegabyte, kRam, 0},
  };
  if (ram.high_size() > 0) entries.push_back({kGapEnd, ram.high_size(), kRam, 0});
  uint64_t address = kMemoryMap;
  for (const auto& entry : entries) {
    MSB_CHECK(put(ram, address, view_of(entry)));
    address += sizeof(entry);
  }
  return static_cast<uint32_t>(entries.size());
}

kvm_segment flat_segment(uint8_t type, uint16_t selector) {
  kvm_segment segment{};
  segment.limit = 0xffffffff;
  segment.selector = selector;
  segment.type = type;
  segment.present = 1;
  segment.db = 1;  // 32 bits
  segment.s = 1;   // code or data
  segment.g = 1;   // the limit counts pages
  return segment;
}

}  // namespace

Result<uint64_t> load_guest(GuestRam& ram, const BootFiles& files, const std::string& command_line, uint32_t vcpus) {
  if (ram.low_size() <= kMegabyte) return fail(ErrorKind::invalid_config, "the guest has too little memory to boot");
  if (command_line.size() + 1 > kMaxCommandLine)
    return fail(ErrorKind::invalid_config, cat("the kernel command line has ", command_line.size(),
                                               " characters; the kernel takes ", kMaxCommandLine - 1));
  MSB_TRY(ElfKernel kernel, ElfKernel::parse(files.kernel));
  MSB_TRY(Module initramfs, load_initramfs(ram, files.initramfs));
  MSB_CHECK(kernel.load(files.kernel, ram, initramfs.address));

  StartInfo info;
  info.module_count = 1;
  info.modules = kModuleList;
  info.command_line = kCommandLine;
  info.memory_map = kMemoryMap;
  MSB_TRY(info.memory_map_entries, put_memory_map(ram));
  MSB_CHECK(put(ram, kStartInfo, view_of(info)));
  MSB_CHECK(put(ram, kModuleList, view_of(initramfs)));
  MSB_CHECK(put(ram, kCommandLine, {reinterpret_cast<const uint8_t*>(command_line.c_str()), command_line.size() + 1}));
  MSB_CHECK(put(ram, kMpTable, mp_table(kMpTable, vcpus)));
  return kernel.entry;
}

void set_pvh_entry(uint64_t entry, kvm_regs& regs, kvm_sregs& special) {
  constexpr uint8_t kCode = 0xb, kData = 0x3, kBusyTaskState = 0xb;
  constexpr uint64_t kProtectedMode = 0x1, kExtensionType = 0x10;
  regs = {};
  regs.rflags = 0x2;  // always set
  regs.rip = entry;
  regs.rbx = kStartInfo;
  special.cs = flat_segment(kCode, 0x8);
  special.ds = special.es = special.fs = special.gs = special.ss = flat_segment(kData, 0x10);
  special.tr = {};
  special.tr.limit = 0x67;
  special.tr.type = kBusyTaskState;
  special.tr.present = 1;
  special.ldt = {};
  special.ldt.unusable = 1;
  special.cr0 = kProtectedMode | kExtensionType;
  special.cr3 = special.cr4 = special.efer = 0;
}

}  // namespace msb::kvm
