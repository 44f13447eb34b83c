// Root: makes the sandbox's root file system from its block devices, and moves into it.
#pragma once

#include "base/fd.h"
#include "wire/messages.h"

namespace msb::agent {

class Root {
 public:
  // Assembles it on a directory of the initramfs and makes it "/" of this process and all later ones.
  // mount_early() has been called. Errors name the device.
  Result<> enter(const wire::RootSpec& spec);

  // Writes everything back and leaves the file systems clean. No process may be running any more.
  void make_read_only();

 private:
  Result<> assemble_overlay(const wire::RootSpec& spec);
  Result<> assemble_flat(const wire::RootSpec& spec);
  Result<> mount_upper(const wire::RootSpec& spec);

  // The writable file system under an overlay or a flat root, which has no path any more. Empty for a single disk.
  Fd upper_;
};

}  // namespace msb::agent
