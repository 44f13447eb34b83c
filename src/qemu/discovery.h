// Finding a QEMU that can run the portable machine, and knowing everything about it that a start needs.
//
// Asking a QEMU for its version costs 30 ms, so the answers are kept in $MSB_HOME/cache/qemu.json, keyed by path, size,
// modification time and inode of the program and of every file it loads. A warm lookup only calls stat.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace msb::qemu {

struct QemuVersion {
  int major = 0;
  int minor = 0;
  int micro = 0;
  auto operator<=>(const QemuVersion&) const = default;
  std::string to_string() const;
};

// What runs the portable machine at all, and what runs it well: older ones start processes in the guest 8 times slower.
inline constexpr QemuVersion kOldestQemu{7, 2, 0};
inline constexpr QemuVersion kRecommendedQemu{10, 0, 0};

// A file, and what tells whether it is still the one that was looked at.
struct FileStamp {
  std::string path;
  uint64_t size = 0;
  int64_t mtime_ns = 0;
  uint64_t inode = 0;
  bool operator==(const FileStamp&) const = default;
  static Result<FileStamp> of(const std::string& path);
};

// One usable QEMU. A value.
struct QemuProgram {
  FileStamp binary;
  QemuVersion version;
  std::string interpreter;           // its ELF interpreter; empty when static
  std::vector<FileStamp> libraries;  // shared libraries and QEMU modules, by the path they are loaded from
  std::vector<FileStamp> firmware;   // what the microvm machine reads from firmware_dir
  std::string firmware_dir;          // for -L
  std::string module_dir;            // for QEMU_MODULE_DIR; empty when nothing is a module
  bool has_sandbox = false;          // built with -sandbox
  uint64_t tsc_khz = 0;              // the guest's time stamp counter (it is the host's on x86)

  bool is_recommended() const { return version >= kRecommendedQemu; }
};

// A program that was looked at and is not usable, and why (for `doctor`).
struct RejectedQemu {
  std::string path;
  std::string reason;
};

struct QemuSearch {
  std::string cache_file;               // empty: nothing is cached
  std::vector<std::string> extra_dirs;  // searched besides the usual places, e.g. $MSB_HOME/qemu/bin
};

struct QemuSurvey {
  std::vector<QemuProgram> usable;  // best first
  std::vector<RejectedQemu> rejected;
};

// Every QEMU on this host: $MSB_QEMU_PATH (then only that), $PATH, extra_dirs, next to this program, /usr/bin,
// /usr/local/bin, /opt/*/bin.
Result<QemuSurvey> survey_qemu(const QemuSearch& search);
// The best one. ErrorKind::unsupported names the package to install when there is none.
Result<QemuProgram> find_qemu(const QemuSearch& search);

}  // namespace msb::qemu
