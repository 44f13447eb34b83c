#include "qemu/testing/guest.h"

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>

#include "base/child.h"
#include "base/fd.h"

namespace msb::qemu::testing {
namespace {

struct Entry {
  std::string name;
  unsigned mode;
  std::string contents = {};
  unsigned device_major = 0, device_minor = 0;
};

void pad(std::string& archive) {
  archive.resize((archive.size() + 3) / 4 * 4);
}

void append(std::string& archive, const Entry& entry, unsigned inode) {
  char header[111];
  std::snprintf(header, sizeof(header), "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", inode,
                entry.mode, 0u, 0u, 1u, 0u, entry.contents.size(), 0u, 0u, entry.device_major, entry.device_minor,
                entry.name.size() + 1, 0u);
  archive += header;
  archive += entry.name;
  archive += '\0';
  pad(archive);
  archive += entry.contents;
  pad(archive);
}

}  // namespace

Result<> write_initramfs(const std::string& path, const std::string& program) {
  MSB_TRY(std::string init, read_file(program));
  std::string archive;
  unsigned inode = 1;
  for (const Entry& entry :
       {Entry{"dev", S_IFDIR | 0755}, Entry{"dev/console", S_IFCHR | 0600, {}, 5, 1}, Entry{"proc", S_IFDIR | 0755},
        Entry{"sys", S_IFDIR | 0755}, Entry{"init", S_IFREG | 0755, init}, Entry{"TRAILER!!!", 0}})
    append(archive, entry, inode++);
  return write_file_atomic(path, archive);
}

Result<std::string> test_kernel() {
  if (const char* path = ::getenv("MSB_KERNEL_PATH"); path && *path) return std::string(path);
  MSB_TRY(std::string path, run_capture({MSB_SOURCE_DIR "/kernel/build", "--print-path"}));
  while (!path.empty() && path.back() == '\n') path.pop_back();
  return path;
}

}  // namespace msb::qemu::testing
