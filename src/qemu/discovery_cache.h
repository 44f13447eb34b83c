// $MSB_HOME/cache/qemu.json: what was found out about each QEMU, and the host's TSC frequency of this boot.
// A cache: when it is missing, damaged or cannot be written, everything is found out again.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "qemu/discovery.h"

namespace msb::qemu {

struct QemuCache {
  std::string boot_id;  // of the boot that tsc_khz belongs to
  uint64_t tsc_khz = 0;
  std::vector<QemuProgram> programs;
  std::vector<std::pair<FileStamp, std::string>> rejected;  // with the reason

  static QemuCache load(const std::string& path);
  void save(const std::string& path) const;

  static QemuCache from_json(const std::string& text);
  std::string to_json() const;
};

}  // namespace msb::qemu
