// make-cpio OUTPUT PROGRAM: an uncompressed "newc" archive with the program as /init and the console
// device the kernel opens for it. The bytes depend on the program's bytes only.
// Format: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstdio>

#include "base/fd.h"

namespace {

using namespace msb;

struct Entry {
  std::string_view name;
  unsigned mode = 0;
  std::string_view data;
  unsigned device_major = 0, device_minor = 0;
};

void pad(std::string& out) {
  out.append((4 - out.size() % 4) % 4, '\0');
}

void append(std::string& out, unsigned inode, const Entry& entry) {
  char head[111];
  // inode, mode, uid, gid, links, time, size, device of the file, device number, name size, checksum
  std::snprintf(head, sizeof(head), "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", inode, entry.mode,
                0u, 0u, 1u, 0u, entry.data.size(), 0u, 0u, entry.device_major, entry.device_minor,
                entry.name.size() + 1, 0u);
  out += head;
  out += entry.name;
  out += '\0';
  pad(out);
  out += entry.data;
  pad(out);
}

Result<> make(const std::string& output, const std::string& program) {
  MSB_TRY(std::string init, read_file(program));
  std::string archive;
  unsigned inode = 1;
  append(archive, inode++, {"dev", S_IFDIR | 0755, {}});
  append(archive, inode++, {"dev/console", S_IFCHR | 0600, {}, 5, 1});
  append(archive, inode++, {"init", S_IFREG | 0755, init});
  append(archive, 0, {"TRAILER!!!", 0, {}});
  return write_file_atomic(output, archive);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: make-cpio OUTPUT PROGRAM\n", stderr), 2;
  auto made = make(argv[1], argv[2]);
  if (!made) std::fprintf(stderr, "make-cpio: %s\n", made.error().to_string().c_str());
  return made ? 0 : 1;
}
