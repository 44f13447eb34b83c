#include "qemu/testing/guest.h"

#include <sys/stat.h>

#include <cstdlib>

#include "base/child.h"
#include "base/cpio.h"
#include "base/fd.h"

namespace msb::qemu::testing {
Result<> write_initramfs(const std::string& path, const std::string& program) {
  MSB_TRY(std::string init, read_file(program));
  const CpioEntry entries[] = {{"dev", S_IFDIR | 0755},
                               {"dev/console", S_IFCHR | 0600, {}, 5, 1},
                               {"proc", S_IFDIR | 0755},
                               {"sys", S_IFDIR | 0755},
                               {"init", S_IFREG | 0755, init}};
  return write_file_atomic(path, make_cpio(entries));
}

Result<std::string> test_kernel() {
  if (const char* path = ::getenv("MSB_KERNEL_PATH"); path && *path) return std::string(path);
  MSB_TRY(std::string path, run_capture({MSB_SOURCE_DIR "/kernel/build", "--print-path"}));
  while (!path.empty() && path.back() == '\n') path.pop_back();
  return path;
}

}  // namespace msb::qemu::testing
