#include "base/cpio.h"

#include <cstdio>

namespace msb {
namespace {

void pad(std::string& out) {
  out.append((4 - out.size() % 4) % 4, '\0');
}

void append(std::string& out, unsigned inode, const CpioEntry& entry) {
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

}  // namespace

std::string make_cpio(std::span<const CpioEntry> entries) {
  std::string archive;
  unsigned inode = 1;
  for (const auto& entry : entries) append(archive, inode++, entry);
  append(archive, 0, {"TRAILER!!!"});
  return archive;
}

}  // namespace msb
