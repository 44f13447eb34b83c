// The guest's kernel and initramfs, and the program that runs the kvm machine, as files.
//
// `msb` carries them (the objects of src/sandbox/embedded_runtime.c). At first use they are written to
// $MSB_HOME/cache/runtime/<hash>/, named by their content, so later starts only stat. Other programs
// (whatever links libmicrosandbox.so) carry nothing: there the sandbox process, which is msb, does it.
#pragma once

#include <string>

#include "base/result.h"
#include "state/home.h"

namespace msb::state {

// An extraction happens in cache/tmp/runtime-*, by whoever holds the lock of this name.
inline constexpr std::string_view kRuntimePrefix = "runtime-";
inline constexpr std::string_view kRuntimeLock = "runtime";

struct RuntimeFiles {
  std::string kernel;     // uncompressed PVH vmlinux
  std::string initramfs;  // cpio archive
  std::string kvm;        // the program msb-kvm; empty when this build has none
};

// Whether this program carries a runtime.
bool has_embedded_runtime();

// MSB_KERNEL_PATH, MSB_INITRAMFS_PATH and MSB_KVM_PATH where set, else what this program carries, extracted when it
// has not been. ErrorKind::unsupported says how to get a runtime when there is none.
Result<RuntimeFiles> runtime_files(const Home& home);

}  // namespace msb::state
