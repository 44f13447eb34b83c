// Power losses: a qcow2 disk works on a file that records what happens to it; then the power fails at every moment of
// that record. Each time the image must be sound, and hold what had been flushed.
#include <gtest/gtest.h>

#include <random>

#include "disk/qcow2.h"
#include "disk/testing/qcow2_image.h"
#include "disk/testing/recording_disk.h"

namespace msb::disk {
namespace {

using disk::testing::check_image;
using disk::testing::create_image;
using disk::testing::PowerLosses;
using disk::testing::Recording;
using disk::testing::RecordingDisk;
using disk::testing::Verdict;

constexpr uint64_t kSector = 512;

// What the guest did to each sector, and when, counted in events of the file.
class Guest {
 public:
  Guest(Qcow2Disk& disk, const Recording& recording, unsigned seed)
      : disk_(disk), recording_(recording), history_(disk.size() / kSector, {{0, 0}}), random_(seed) {}

  void step() {
    uint64_t count = 1 + random_() % (random_() % 3 == 0 ? 100 : 12);
    uint64_t first = random_() % (history_.size() - count);
    size_t begun = recording_.events.size();
    switch (random_() % 12) {
      case 0:
      case 1:
        ASSERT_TRUE(disk_.flush());
        flushed_.emplace_back(recording_.events.size(), begun);
        return;
      case 2:
        ASSERT_TRUE(disk_.discard(first * kSector, count * kSector));
        return note(first, count, {begun, 0, true});
      case 3:
        ASSERT_TRUE(disk_.write_zeroes(first * kSector, count * kSector, random_() % 2 == 0 ? Unmap::yes : Unmap::no));
        return note(first, count, {begun, 0});
      default:
        write(first, count);
        return note(first, count, {begun, stamp_});
    }
  }

  // Whether `disk`, after a power loss at event `cut`, holds in each sector what was last flushed or was written since.
  ::testing::AssertionResult accepts(BlockDevice& disk, size_t cut) const {
    size_t since = 0;  // the last flush that had returned
    for (auto [done, begun] : flushed_)
      if (done <= cut) since = begun;
    Bytes bytes(disk.size());
    if (auto read = disk.read(0, bytes); !read) return ::testing::AssertionFailure() << read.error().to_string();
    for (size_t sector = 0; sector < history_.size(); ++sector) {
      uint64_t found = load_le<uint64_t>(&bytes[sector * kSector]);
      if (!may_hold(history_[sector], found, since, cut))
        return ::testing::AssertionFailure() << "sector " << sector << " holds " << found << " at event " << cut;
    }
    return ::testing::AssertionSuccess();
  }

 private:
  struct Version {
    size_t begun;            // events of the file before it
    uint64_t stamp;          // 0: zeros
    bool discarded = false;  // then it may also be what it was before
  };

  static bool may_hold(const std::vector<Version>& versions, uint64_t found, size_t since, size_t cut) {
    // From the latest back, until one that was flushed.
    for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
      if (version->begun > cut) continue;
      if (version->stamp == found) return true;
      if (version->begun <= since && !version->discarded) return false;
    }
    return false;
  }
  void write(uint64_t first, uint64_t count) {
    ++stamp_;
    Bytes bytes(count * kSector);
    for (uint64_t i = 0; i < count; ++i)
      for (uint64_t at = 0; at < kSector; at += 8) store_le(&bytes[i * kSector + at], stamp_);
    auto written = disk_.write(first * kSector, bytes);
    ASSERT_TRUE(written) << written.error().to_string();
  }
  void note(uint64_t first, uint64_t count, Version version) {
    for (uint64_t i = first; i < first + count; ++i) history_[i].push_back(version);
  }

  Qcow2Disk& disk_;
  const Recording& recording_;
  std::vector<std::vector<Version>> history_;       // by sector
  std::vector<std::pair<size_t, size_t>> flushed_;  // events when it returned, when it began
  uint64_t stamp_ = 0;
  std::mt19937_64 random_;
};

struct Recipe {
  std::string name;
  std::string options;
  uint64_t size;
  int steps;
};

class Qcow2CrashTest : public ::testing::TestWithParam<Recipe> {
 protected:
  std::string path(const std::string& name) { return dir_.path() + "/" + name; }
  TempDir dir_ = TempDir::create().value();
};

TEST_P(Qcow2CrashTest, a_power_loss_at_any_moment_loses_nothing_that_was_flushed) {
  create_image(path("image"), GetParam().options, GetParam().size);
  Recording recording;
  auto disk = Qcow2Disk::open(std::make_unique<RecordingDisk>(to_bytes(read_file(path("image")).value()), recording),
                              Access::read_write);
  ASSERT_TRUE(disk) << disk.error().to_string();
  Guest guest(**disk, recording, 11);
  for (int i = 0; i < GetParam().steps; ++i) ASSERT_NO_FATAL_FAILURE(guest.step());

  PowerLosses losses(recording, 3);
  const size_t end = recording.events.size();
  for (size_t cut = 0; cut <= end; ++cut) {
    Bytes bytes = losses.at(cut);
    auto left = Qcow2Disk::open(std::make_unique<MemoryDisk>(bytes, Access::read_write), Access::read_write);
    ASSERT_TRUE(left) << left.error().to_string();
    ASSERT_TRUE(guest.accepts(**left, cut));
    // QEMU's own view is slower to get: of some moments only.
    if (cut % (end / 25 + 1) != 0) continue;
    ASSERT_TRUE(write_file_atomic(path("left"), as_text(bytes)));
    EXPECT_NE(check_image(path("left")), Verdict::corrupt) << "at event " << cut << " of " << end;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Qcow2CrashTest,
                         ::testing::Values(Recipe{"usual", "compat=1.1", 2 << 20, 160},
                                           Recipe{"version2", "compat=0.10,cluster_size=4k", 2 << 20, 160},
                                           Recipe{"small_clusters", "cluster_size=512", 1 << 20, 50},
                                           Recipe{"moving_tables", "cluster_size=512,refcount_bits=64", 3 << 20, 40}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace msb::disk
