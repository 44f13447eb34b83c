#include "kvm/x86_64/elf_kernel.h"

#include <elf.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/units.h"
#include "kvm/x86_64/layout.h"

namespace msb::kvm {
namespace {

// Kernels have about five and a few hundred bytes.
constexpr size_t kMaxProgramHeaders = 64;
constexpr size_t kMaxNotes = size_t{64} << 10;
constexpr uint32_t kPvhEntryNote = 18;  // XEN_ELFNOTE_PHYS32_ENTRY
constexpr uint64_t kAnywhere = uint64_t{1} << 52;

Error not_a_kernel(std::string why) {
  return Error(ErrorKind::invalid_config, cat("the guest kernel ", why))
      .hint("It must be an uncompressed x86-64 vmlinux built with CONFIG_PVH=y.");
}

Result<Elf64_Ehdr> read_header(int file) {
  Elf64_Ehdr header{};
  if (!pread_full(file, {reinterpret_cast<uint8_t*>(&header), sizeof(header)}, 0))
    return fail(not_a_kernel("is too short for an ELF file"));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return fail(not_a_kernel("is not an ELF file"));
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_X86_64 || header.e_type != ET_EXEC)
    return fail(not_a_kernel("is not an x86-64 executable"));
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 || header.e_phnum > kMaxProgramHeaders ||
      header.e_phoff > kAnywhere)
    return fail(not_a_kernel("has a damaged ELF header"));
  return header;
}

// The 32- or 64-bit address in the PVH note, if `notes` has one.
std::optional<uint64_t> pvh_entry(ByteView notes) {
  ByteReader reader(notes);
  auto take_padded = [&](uint32_t size) { return reader.take((uint64_t{size} + 3) & ~uint64_t{3}); };
  while (auto name_size = reader.le<uint32_t>()) {
    auto content_size = reader.le<uint32_t>();
    auto type = reader.le<uint32_t>();
    if (!content_size || !type) return std::nullopt;
    auto name = take_padded(*name_size);
    auto content = name ? take_padded(*content_size) : std::nullopt;
    if (!content) return std::nullopt;
    bool is_entry = *type == kPvhEntryNote && *name_size == 4 && std::memcmp(name->data(), "Xen", 4) == 0;
    if (is_entry && *content_size == 8) return load_le<uint64_t>(content->data());
    if (is_entry && *content_size == 4) return load_le<uint32_t>(content->data());
  }
  return std::nullopt;
}

}  // namespace

Result<ElfKernel> ElfKernel::parse(int file) {
  MSB_TRY(Elf64_Ehdr header, read_header(file));
  std::vector<Elf64_Phdr> headers(header.e_phnum);
  if (!pread_full(file, {reinterpret_cast<uint8_t*>(headers.data()), headers.size() * sizeof(Elf64_Phdr)},
                  header.e_phoff))
    return fail(not_a_kernel("has a damaged ELF header"));

  ElfKernel kernel;
  std::optional<uint64_t> entry;
  for (const Elf64_Phdr& part : headers) {
    if (part.p_type == PT_LOAD && part.p_memsz > 0) {
      if (part.p_filesz > part.p_memsz || part.p_offset > kAnywhere || part.p_memsz > kAnywhere ||
          part.p_paddr > kAnywhere)
        return fail(not_a_kernel("has a damaged segment"));
      kernel.segments.push_back({part.p_offset, part.p_filesz, part.p_paddr, part.p_memsz});
      kernel.end = std::max(kernel.end, part.p_paddr + part.p_memsz);
    } else if (part.p_type == PT_NOTE && !entry && part.p_offset <= kAnywhere) {
      Bytes notes(std::min<uint64_t>(part.p_filesz, kMaxNotes));
      if (!pread_full(file, notes, part.p_offset)) return fail(not_a_kernel("has damaged notes"));
      entry = pvh_entry(notes);
    }
  }
  if (kernel.segments.empty()) return fail(not_a_kernel("has no segment to load"));
  if (!entry) return fail(not_a_kernel("has no PVH entry point"));
  bool in_a_segment = std::any_of(kernel.segments.begin(), kernel.segments.end(), [&](const Segment& segment) {
    return *entry >= segment.address && *entry - segment.address < segment.file_size;
  });
  // The processor begins in 32-bit mode.
  if (!in_a_segment || *entry > UINT32_MAX) return fail(not_a_kernel("has a PVH entry point outside of itself"));
  kernel.entry = *entry;
  return kernel;
}

Result<> ElfKernel::load(int file, GuestRam& ram, uint64_t limit) const {
  for (const Segment& segment : segments) {
    bool inside = segment.address >= kMegabyte && segment.address <= limit && segment.size <= limit - segment.address;
    if (!inside)
      return fail(
          Error(ErrorKind::invalid_config, cat("the guest kernel needs memory up to ", (end + kMiB - 1) / kMiB,
                                               " MiB, but has ", limit / kMiB, " MiB with the initramfs above it"))
              .hint("Give the sandbox more memory (--memory)."));
    MSB_CHECK_CTX(load_file(ram, segment.address, file, segment.file_offset, segment.file_size),
                  "load the guest kernel");
  }
  return {};
}

Result<> load_file(GuestRam& ram, uint64_t address, int file, uint64_t offset, uint64_t length) {
  struct stat status{};
  if (::fstat(file, &status) < 0) return fail_errno("look at a file");
  auto file_size = static_cast<uint64_t>(status.st_size);
  if (offset > file_size || length > file_size - offset) return fail(ErrorKind::corrupt, "the file ends too early");
  auto target = ram.memory().slice(virtio::GuestAddress{address}, length);
  if (!target) return fail(ErrorKind::invalid_config, "a file does not fit into the guest's memory");
  // Pages that begin and end alike in file and memory are mapped; what is left at both ends, or all of it, is copied.
  uint64_t head = std::min(length, (kPage - address % kPage) % kPage);
  uint64_t middle = address % kPage == offset % kPage ? (length - head) & ~(kPage - 1) : 0;
  if (middle > 0) MSB_CHECK(ram.map_file(virtio::GuestAddress{address + head}, file, offset + head, middle));
  MSB_CHECK(pread_full(file, target->first(head), offset));
  return pread_full(file, target->subspan(head + middle), offset + head + middle);
}

}  // namespace msb::kvm
