#include "base/elf.h"

#include <elf.h>
#include <sys/stat.h>

#include <cstring>
#include <vector>

#include "base/fd.h"

namespace msb {
namespace {

constexpr size_t kMaxProgramHeaders = 256;
constexpr size_t kMaxNotes = size_t{1} << 16;
constexpr uint32_t kPvhEntryNote = 18;  // XEN_ELFNOTE_PHYS32_ENTRY

struct ElfFile {
  Fd fd;
  Elf64_Ehdr header{};
  std::vector<Elf64_Phdr> segments;
};

template <class T>
MutableByteView bytes_of(T& value) {
  return {reinterpret_cast<uint8_t*>(&value), sizeof(value)};
}

Result<ElfFile> open_elf(const std::string& path) {
  ElfFile elf;
  MSB_TRY(elf.fd, open_file(path));
  auto read = pread_full(elf.fd.get(), bytes_of(elf.header), 0);
  bool magic = read && std::memcmp(elf.header.e_ident, ELFMAG, SELFMAG) == 0;
  if (!magic || elf.header.e_ident[EI_CLASS] != ELFCLASS64 || elf.header.e_ident[EI_DATA] != ELFDATA2LSB)
    return fail(ErrorKind::invalid_config, cat(path, " is not a 64-bit ELF file"));
  if (elf.header.e_phentsize != sizeof(Elf64_Phdr) || elf.header.e_phnum > kMaxProgramHeaders)
    return fail(ErrorKind::invalid_config, cat(path, " has a damaged ELF header"));
  elf.segments.resize(elf.header.e_phnum);
  MSB_CHECK_CTX(pread_full(elf.fd.get(),
                           {reinterpret_cast<uint8_t*>(elf.segments.data()), elf.segments.size() * sizeof(Elf64_Phdr)},
                           elf.header.e_phoff),
                cat("read ", path));
  return elf;
}

Result<Bytes> read_segment(const ElfFile& elf, const Elf64_Phdr& segment, size_t limit, const std::string& path) {
  Bytes bytes(std::min<uint64_t>(segment.p_filesz, limit));
  MSB_CHECK_CTX(pread_full(elf.fd.get(), bytes, segment.p_offset), cat("read ", path));
  return bytes;
}

bool has_pvh_note(ByteView notes) {
  ByteReader reader(notes);
  auto skip_to = [&](uint32_t size) { return reader.take((uint64_t{size} + 3) & ~uint64_t{3}); };
  while (auto name_size = reader.le<uint32_t>()) {
    auto content_size = reader.le<uint32_t>();
    auto type = reader.le<uint32_t>();
    if (!content_size || !type) return false;
    auto name = skip_to(*name_size);
    if (!name || !skip_to(*content_size)) return false;
    if (*type == kPvhEntryNote && *name_size == 4 && std::memcmp(name->data(), "Xen", 4) == 0) return true;
  }
  return false;
}

}  // namespace

Result<> check_pvh_kernel(const std::string& path) {
  auto elf = open_elf(path);
  if (!elf) {
    if (elf.error().kind() == ErrorKind::invalid_config)
      return fail(std::move(elf).error().hint("The guest kernel must be an uncompressed vmlinux, not a bzImage."));
    return fail(std::move(elf).error());
  }
  if (elf->header.e_machine != EM_X86_64) return fail(ErrorKind::invalid_config, cat(path, " is not an x86-64 kernel"));
  for (const auto& segment : elf->segments) {
    if (segment.p_type != PT_NOTE) continue;
    MSB_TRY(Bytes notes, read_segment(*elf, segment, kMaxNotes, path));
    if (has_pvh_note(notes)) return {};
  }
  return fail(Error(ErrorKind::invalid_config, cat(path, " has no PVH entry point"))
                  .hint("Build the guest kernel with CONFIG_PVH=y, or unset MSB_KERNEL_PATH."));
}

Result<std::string> elf_interpreter(const std::string& path) {
  MSB_TRY(ElfFile elf, open_elf(path));
  for (const auto& segment : elf.segments) {
    if (segment.p_type != PT_INTERP) continue;
    MSB_TRY(Bytes name, read_segment(elf, segment, 4096, path));
    while (!name.empty() && name.back() == 0) name.pop_back();
    return std::string(as_text(name));
  }
  return std::string();
}

}  // namespace msb
