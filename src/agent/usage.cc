#include "agent/usage.h"

#include <sys/statvfs.h>

#include "agent/text.h"
#include "base/fd.h"

namespace msb::agent {
namespace {

// "MemAvailable:     123456 kB", in bytes.
std::optional<uint64_t> memory_field(std::string_view meminfo, std::string_view name) {
  for (auto line : split(meminfo, '\n')) {
    auto fields = words(line);
    if (fields.size() != 3 || fields[0] != name || fields[2] != "kB") continue;
    auto kib = parse_number<uint64_t>(fields[1]);
    if (!kib || *kib > UINT64_MAX / 1024) return std::nullopt;
    return *kib * 1024;
  }
  return std::nullopt;
}

}  // namespace

wire::GuestMeasured measure_guest(const std::string& meminfo, const char* root) {
  wire::GuestMeasured measured;
  if (auto text = read_file(meminfo, 64 * 1024)) {
    measured.memory_total = memory_field(*text, "MemTotal:");
    measured.memory_available = memory_field(*text, "MemAvailable:");
  }
  // An overlay answers for its upper layer.
  struct statvfs of_root{};
  if (::statvfs(root, &of_root) == 0) {
    const uint64_t block = of_root.f_frsize;
    measured.root_used = (of_root.f_blocks - of_root.f_bfree) * block;
    measured.root_free = of_root.f_bavail * block;
  }
  return measured;
}

}  // namespace msb::agent
