// SharedFiles: two directories of the host as a hostile guest sees them, and what lies beside them, which it must not
// reach (guest/hardware.h says what is in them).
#pragma once

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::hostile {

class SharedFiles {
 public:
  static Result<SharedFiles> create();

  std::string path(const std::string& share) const { return folder_.path() + "/" + share; }
  Result<Fd> open(const std::string& share) const { return open_file(path(share), O_PATH | O_DIRECTORY); }

  // Whatever the guest has done within: what lies beside is as it was, and so is what it may only read.
  bool are_contained() const;

 private:
  explicit SharedFiles(TempDir folder) : folder_(std::move(folder)) {}
  TempDir folder_;
};

}  // namespace msb::hostile
