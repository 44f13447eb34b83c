// The smallest PVH kernel: some code at 1 MiB, entered in 32-bit protected mode with flat segments.
#pragma once

#include <elf.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/bytes.h"

namespace msb::kvm::testing {

inline Bytes tiny_kernel(const Bytes& code) {
  struct {
    Elf64_Ehdr header{};
    Elf64_Phdr segments[2]{};
    uint32_t note[3] = {4, 4, 18};  // sizes of name and content; XEN_ELFNOTE_PHYS32_ENTRY
    char name[4] = {'X', 'e', 'n', 0};
    uint32_t entry = 0x100000;
    uint8_t code[512]{};
  } file;
  std::memcpy(file.header.e_ident, ELFMAG, SELFMAG);
  file.header.e_ident[EI_CLASS] = ELFCLASS64;
  file.header.e_ident[EI_DATA] = ELFDATA2LSB;
  file.header.e_type = ET_EXEC;
  file.header.e_machine = EM_X86_64;
  file.header.e_phoff = offsetof(decltype(file), segments);
  file.header.e_phentsize = sizeof(Elf64_Phdr);
  file.header.e_phnum = 2;
  file.segments[0].p_type = PT_NOTE;
  file.segments[0].p_offset = offsetof(decltype(file), note);
  file.segments[0].p_filesz = sizeof(file.note) + sizeof(file.name) + sizeof(file.entry);
  file.segments[1].p_type = PT_LOAD;
  file.segments[1].p_offset = offsetof(decltype(file), code);
  file.segments[1].p_paddr = file.entry;
  file.segments[1].p_filesz = file.segments[1].p_memsz = sizeof(file.code);
  std::copy(code.begin(), code.end(), file.code);
  auto* begin = reinterpret_cast<const uint8_t*>(&file);
  return {begin, begin + sizeof(file)};
}

}  // namespace msb::kvm::testing
