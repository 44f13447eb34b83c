// Quota: bounds what guests keep on a share.
//
// What counts is independent of the host's file system: the length of each file (as `ls -l` shows it, so a sparse file
// counts whole), and kInodeWeight for each name-bearing thing (file, directory, symlink). A file with several names
// counts once. A file without a name counts as long as the guest has it open.
//
//   Quota::Turn turn(share.quota.get());                  // nothing happens without a quota
//   if (!turn.fits(growth)) return ENOSPC;
//   ... the change ...
//   turn.add(what the change came to);
//
// A Turn of a shared record holds the record's lock, so that two sandboxes that extend one file do not both count it.
// A process that dies within a Turn leaves the record marked, and the next one that has it alone counts anew
// (usage_record.h).
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>

#include "base/fd.h"
#include "base/mmap.h"
#include "fs/usage_record.h"

namespace msb::fs {

class Quota {
 public:
  // Counts what this server's guest adds and takes away, from zero; taking away what was there before gives room.
  static std::unique_ptr<Quota> of_growth(uint64_t limit);
  // Counts in the record of a volume, together with everybody else who has it. `record` is from open_usage_record().
  static Result<std::unique_ptr<Quota>> of_volume(uint64_t limit, Fd record);

  uint64_t limit() const { return limit_; }
  // Never more than the limit in what it says is left; `used` can be more, when the limit was lowered.
  uint64_t used() const;
  uint64_t left() const;
  // Others may have the same files open, in other sandboxes.
  bool is_shared() const { return static_cast<bool>(record_); }

  class Turn;

 private:
  explicit Quota(uint64_t limit) : limit_(limit) {}
  uint64_t limit_;
  Fd record_;
  Mmap mapping_;
  UsageRecord own_{};
  UsageRecord* usage_ = &own_;
};

class Quota::Turn {
 public:
  explicit Turn(Quota* quota);
  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  explicit operator bool() const { return quota_ != nullptr; }
  bool fits(uint64_t growth) const;
  void add(int64_t change);
  // Of what is counted, so much has lost its name: it goes when the process ends, however that comes.
  void add_nameless(int64_t change);

 private:
  Quota* quota_;
};

}  // namespace msb::fs
