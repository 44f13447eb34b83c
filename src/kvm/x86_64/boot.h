// Direct boot: puts a kernel, an initramfs and the words for them into guest memory, so that the first instruction is
// the kernel's PVH entry (Xen's docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h).
//
// The files come from the host's user, not from a guest, but nothing in them is trusted: every field is checked against
// the file's and the memory's bounds.
#pragma once

#include <cstdint>
#include <string>

#include "kvm/memory.h"

namespace msb::kvm {

struct BootFiles {
  int kernel = -1;  // an uncompressed 64-bit vmlinux with the note XEN_ELFNOTE_PHYS32_ENTRY
  int initramfs = -1;
};

// Fills the memory and returns the address at which the first processor begins. Failures: invalid_config (not such a
// kernel, memory too small, command line too long), corrupt (a file ends early), io.
Result<uint64_t> load_guest(GuestRam& ram, const BootFiles& files, const std::string& command_line, uint32_t vcpus);

// Registers at the PVH entry: 32-bit protected mode, flat segments, no paging.
// `special` as KVM gives it for a new processor.
void set_pvh_entry(uint64_t entry, kvm_regs& regs, kvm_sregs& special);

}  // namespace msb::kvm
