// What a share is: a directory of the host (or a single file of one) shown to the guest, and on which terms.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/fd.h"
#include "fs/quota.h"

namespace msb::fs {

// Who owns a file, and with which mode, in the guest's eyes.
enum class Ownership {
  // chown and chmod in the guest are noted in an extended attribute of the host's file (owner_record.h) and need no
  // rights on the host. A file without a note belongs to whom the server sees as its owner. Where the host's file
  // system has no such attributes, they fail.
  strict,
  // The same, but where there are no attributes a note lasts as long as the guest holds the file.
  relaxed,
  // They are done on the host, as far as the server may.
  host,
};

// Which permission bits the host's own file gets where ownership is noted (strict or relaxed).
enum class HostModes {
  private_,  // none but the owner's: the host's other users see nothing of what the guest makes
  mirror,    // those of the guest; the owner can always read and write, set-id and sticky bits stay notes
};

enum class Writable { no, yes };

struct ShareOptions {
  Writable writable = Writable::yes;
  Ownership ownership = Ownership::strict;
  HostModes host_modes = HostModes::mirror;
  // How long the guest may trust names and attributes without asking again, in milliseconds: how late it may see
  // what somebody else changes.
  uint32_t trust_ms = 1000;
  // When not empty, the only name the guest sees in the share's own directory: how a single file is shared. It can be
  // written, but not removed or renamed, and nothing be put beside it.
  std::string only = {};
  // Names that programs of the host run or obey (obeyed_names.h) can be read, but not made, changed, moved or removed.
  bool protect_hooks = false;
};

struct Share {
  std::string name;  // of its directory in the server's root
  Fd root;           // O_PATH, a directory
  ShareOptions options = {};
  std::unique_ptr<Quota> quota = {};  // none: the host's disk is the bound
  // Found by the server.
  dev_t device = 0;
  ino_t inode = 0;
};

}  // namespace msb::fs
