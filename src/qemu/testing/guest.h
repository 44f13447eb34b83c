// A guest made for tests: an initramfs with one static program as /init.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace msb::qemu::testing {

// Writes a newc cpio archive with /dev/console, mount points and `program` as /init.
Result<> write_initramfs(const std::string& path, const std::string& program);

// The kernel to boot: $MSB_KERNEL_PATH or what kernel/build has cached.
Result<std::string> test_kernel();

}  // namespace msb::qemu::testing
