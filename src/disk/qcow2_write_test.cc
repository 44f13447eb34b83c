// Writing qcow2 images: random work beside a shadow of plain bytes, with QEMU as the judge.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "disk/qcow2.h"
#include "disk/testing/qcow2_image.h"

namespace msb::disk {
namespace {

using disk::testing::check_image;
using disk::testing::create_image;
using disk::testing::NoSyncDisk;
using disk::testing::qemu_reads;
using disk::testing::Verdict;
using ::testing::HasSubstr;

struct Recipe {
  std::string name;
  std::string options;
  uint64_t size;
  bool compressed = false;  // filled by QEMU and rewritten by qemu-img convert -c
};
std::ostream& operator<<(std::ostream& out, const Recipe& recipe) {
  return out << recipe.name;
}

class Qcow2WriteTest : public ::testing::TestWithParam<Recipe> {
 protected:
  std::string path(const std::string& name) { return dir_.path() + "/" + name; }
  std::unique_ptr<Qcow2Disk> open(Access access = Access::read_write) {
    auto file = RawDisk::open(path("image"), access);
    EXPECT_TRUE(file);
    auto disk = Qcow2Disk::open(std::make_unique<NoSyncDisk>(std::move(*file)), access);
    EXPECT_TRUE(disk) << disk.error().to_string();
    return disk ? std::move(*disk) : nullptr;
  }
  Bytes read_all(BlockDevice& disk) {
    Bytes bytes(disk.size());
    auto read = disk.read(0, bytes);
    EXPECT_TRUE(read) << read.error().to_string();
    return bytes;
  }
  TempDir dir_ = TempDir::create().value();
};

// One disk, and what it should hold.
class Shadow {
 public:
  Shadow(Bytes bytes, unsigned seed) : bytes_(std::move(bytes)), random_(seed) {}

  void step(BlockDevice& disk) {
    uint64_t most = random_() % 4 == 0 ? 600 : 40;
    uint64_t length = std::min<uint64_t>((1 + random_() % most) * 512, bytes_.size());
    uint64_t offset = random_() % ((bytes_.size() - length) / 512 + 1) * 512;
    switch (random_() % 10) {
      case 0:
        ASSERT_TRUE(disk.flush());
        return;
      case 1:
        return discard(disk, offset, length);
      case 2:
      case 3:
        ASSERT_TRUE(disk.write_zeroes(offset, length, random_() % 2 == 0 ? Unmap::yes : Unmap::no));
        std::fill_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), length, uint8_t{0});
        return;
      default:
        return write(disk, offset, length);
    }
  }
  const Bytes& bytes() const { return bytes_; }

 private:
  // In pieces, as a guest hands them over.
  void write(BlockDevice& disk, uint64_t offset, uint64_t length) {
    uint8_t* at = bytes_.data() + offset;
    for (uint64_t i = 0; i < length; ++i) at[i] = static_cast<uint8_t>(random_());
    std::vector<iovec> pieces;
    for (uint64_t done = 0; done < length;) {
      uint64_t count = std::min<uint64_t>(length - done, 1 + random_() % 5000);
      pieces.push_back({at + done, count});
      done += count;
    }
    auto written = disk.writev(offset, pieces);
    ASSERT_TRUE(written) << written.error().to_string();
  }
  // Leaves the old bytes or zeros.
  void discard(BlockDevice& disk, uint64_t offset, uint64_t length) {
    ASSERT_TRUE(disk.discard(offset, length));
    Bytes now(length);
    ASSERT_TRUE(disk.read(offset, now));
    uint8_t* old = bytes_.data() + offset;
    bool fits = true;
    for (uint64_t i = 0; i < length; ++i) fits = fits && (now[i] == old[i] || now[i] == 0);
    ASSERT_TRUE(fits) << "discard of " << length << " at " << offset;
    std::copy(now.begin(), now.end(), old);
  }
  Bytes bytes_;
  std::mt19937_64 random_;
};

TEST_P(Qcow2WriteTest, random_work_leaves_what_the_shadow_has) {
  const Recipe& recipe = GetParam();
  create_image(path("image"), recipe.options, recipe.size);
  if (recipe.compressed) {
    ASSERT_TRUE(
        run_capture({"qemu-io", "-f", "qcow2", "-c", "write -P 17 0 1M", "-c", "write -P 33 3M 700k", path("image")}));
    ASSERT_TRUE(run_capture({"qemu-img", "convert", "-c", "-f", "qcow2", "-O", "qcow2", "-o", recipe.options,
                             path("image"), path("packed")}));
    ASSERT_TRUE(run_capture({"mv", path("packed"), path("image")}));
  }
  Shadow shadow(read_all(*open(Access::read_only)), 5);
  for (int round = 0; round < 4; ++round) {
    auto disk = open();
    ASSERT_TRUE(disk);
    for (int i = 0; i < 150; ++i) ASSERT_NO_FATAL_FAILURE(shadow.step(*disk)) << "round " << round << ", step " << i;
    // Compared with ==, not EXPECT_EQ: nobody wants megabytes in a failure message.
    EXPECT_TRUE(read_all(*disk) == shadow.bytes());
    disk.reset();
    EXPECT_EQ(check_image(path("image")), Verdict::sound);
    EXPECT_TRUE(read_all(*open(Access::read_only)) == shadow.bytes());
    EXPECT_TRUE(qemu_reads(path("image"), path("raw")) == shadow.bytes());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Formats, Qcow2WriteTest,
    ::testing::Values(
        Recipe{"version2", "compat=0.10", 24 << 20}, Recipe{"version3", "compat=1.1", 24 << 20},
        Recipe{"odd_size", "compat=1.1", (5 << 20) + 512}, Recipe{"small_clusters", "cluster_size=512", 6 << 20},
        Recipe{"small_clusters_wide_counts", "cluster_size=512,refcount_bits=64", 6 << 20},
        Recipe{"big_clusters", "cluster_size=2M", 24 << 20}, Recipe{"one_bit_counts", "refcount_bits=1", 24 << 20},
        Recipe{"four_bit_counts", "refcount_bits=4,cluster_size=4k", 8 << 20},
        Recipe{"byte_counts", "refcount_bits=8,lazy_refcounts=on", 24 << 20},
        Recipe{"half_wide_counts", "refcount_bits=32", 24 << 20},
        Recipe{"preallocated", "preallocation=metadata", 8 << 20}, Recipe{"zlib", "compat=1.1", 8 << 20, true},
        Recipe{"zlib_version2", "compat=0.10", 8 << 20, true},
        Recipe{"zstd", "compression_type=zstd,cluster_size=4k", 8 << 20, true}),
    [](const auto& info) { return info.param.name; });

TEST_F(Qcow2WriteTest, what_qemu_wrote_afterwards_is_read) {
  create_image(path("image"), "compat=1.1", 8 << 20);
  ASSERT_TRUE(open()->write(100 << 10, Bytes(200 << 10, 7)));
  ASSERT_TRUE(
      run_capture({"qemu-io", "-f", "qcow2", "-c", "write -P 9 64k 128k", "-c", "read -P 7 200k 100k", path("image")}));
  Bytes bytes(512);
  ASSERT_TRUE(open()->read(100 << 10, bytes));
  EXPECT_EQ(bytes, Bytes(512, 9));
}

TEST_F(Qcow2WriteTest, discarded_space_is_used_again) {
  create_image(path("image"), "compat=1.1", 64 << 20);
  auto disk = open();
  Bytes data(16 << 20, 1);
  ASSERT_TRUE(disk->write(0, data));
  ASSERT_TRUE(disk->flush());
  uint64_t size = (*RawDisk::open(path("image")))->size();
  for (uint64_t i = 1; i < 4; ++i) {
    ASSERT_TRUE(disk->discard(0, 64 << 20));
    ASSERT_TRUE(disk->flush());
    ASSERT_TRUE(disk->write(i * data.size(), data));
    ASSERT_TRUE(disk->flush());
  }
  disk.reset();
  EXPECT_LE((*RawDisk::open(path("image")))->size(), size + (2 << 20));
  EXPECT_EQ(check_image(path("image")), Verdict::sound);
}

TEST_F(Qcow2WriteTest, a_real_file_is_flushed) {
  create_image(path("image"), "compat=1.1", 8 << 20);
  auto disk = Qcow2Disk::open(path("image"), Access::read_write);
  ASSERT_TRUE(disk);
  ASSERT_TRUE((*disk)->write(4096, Bytes(4096, 7)));
  ASSERT_TRUE((*disk)->flush());
  Bytes bytes(4096);
  ASSERT_TRUE(open(Access::read_only)->read(4096, bytes));
  EXPECT_EQ(bytes, Bytes(4096, 7));
}

TEST_F(Qcow2WriteTest, what_an_image_holds_it_holds_without_a_flush_when_it_is_closed) {
  create_image(path("image"), "compat=1.1", 8 << 20);
  ASSERT_TRUE(open()->write(4096, Bytes(4096, 7)));
  EXPECT_EQ(check_image(path("image")), Verdict::sound);
  Bytes bytes(4096);
  ASSERT_TRUE(open(Access::read_only)->read(4096, bytes));
  EXPECT_EQ(bytes, Bytes(4096, 7));
}

TEST_F(Qcow2WriteTest, a_disk_opened_for_reading_refuses_writes) {
  create_image(path("image"), "compat=1.1", 1 << 20);
  auto disk = open(Access::read_only);
  EXPECT_TRUE(disk->read_only());
  EXPECT_EQ(disk->write(0, Bytes(512)).error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ(disk->discard(0, 512).error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ(disk->write_zeroes(0, 512, Unmap::yes).error().kind(), ErrorKind::invalid_config);
}

TEST_F(Qcow2WriteTest, work_past_the_end_is_refused) {
  create_image(path("image"), "compat=1.1", 1 << 20);
  auto disk = open();
  EXPECT_EQ(disk->write((1 << 20) - 1, Bytes(2)).error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ(disk->discard(~uint64_t{0}, 2).error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ(disk->write_zeroes(512, ~uint64_t{0}, Unmap::no).error().kind(), ErrorKind::invalid_config);
}

TEST_F(Qcow2WriteTest, an_image_with_snapshots_is_read_but_not_written) {
  create_image(path("image"), "compat=1.1", 1 << 20);
  ASSERT_TRUE(run_capture({"qemu-img", "snapshot", "-c", "one", path("image")}));
  EXPECT_TRUE(open(Access::read_only));
  auto disk = Qcow2Disk::open(path("image"), Access::read_write);
  ASSERT_FALSE(disk);
  EXPECT_EQ(disk.error().kind(), ErrorKind::unsupported);
  EXPECT_THAT(disk.error().to_string(), HasSubstr("snapshots"));
  EXPECT_TRUE(inspect_qcow2(path("image"), Access::read_only));
  EXPECT_EQ(inspect_qcow2(path("image"), Access::read_write).error().to_string(), disk.error().to_string());
}

// Made by hand below, as only a crash makes them.
class DamagedQcow2WriteTest : public Qcow2WriteTest {
 protected:
  void SetUp() override {
    create_image(path("image"), "compat=1.1", 8 << 20);
    ASSERT_TRUE(open()->write(0, Bytes(512, 1)));
    bytes_ = to_bytes(read_file(path("image")).value());
  }
  Result<std::unique_ptr<Qcow2Disk>> open_bytes() {
    return Qcow2Disk::open(std::make_unique<MemoryDisk>(bytes_, Access::read_write), Access::read_write);
  }
  uint64_t table(uint64_t field) { return load_be<uint64_t>(&bytes_[field]); }
  Bytes bytes_;
};

TEST_F(DamagedQcow2WriteTest, an_image_that_was_not_closed_properly_is_not_written) {
  bytes_[79] = 1;  // dirty
  auto disk = open_bytes();
  ASSERT_FALSE(disk);
  EXPECT_THAT(disk.error().hints().at(0), HasSubstr("qemu-img check -r all"));
}

TEST_F(DamagedQcow2WriteTest, features_that_writing_spoils_are_cleared) {
  bytes_[95] = 1;  // bitmaps are consistent
  ASSERT_TRUE(write_file_atomic(path("image"), as_text(bytes_)));
  ASSERT_TRUE(open()->write(0, Bytes(512, 2)));
  EXPECT_EQ(read_file(path("image")).value()[95], 0);
}

TEST_F(DamagedQcow2WriteTest, a_table_counted_as_free_is_not_given_out) {
  uint64_t block = table(table(48));
  for (int i = 0; i < 2 * 3; ++i) bytes_[block + i] = 0;  // the header and two tables
  auto disk = open_bytes();
  ASSERT_TRUE(disk);
  EXPECT_EQ((*disk)->write(1 << 20, Bytes(512)).error().kind(), ErrorKind::corrupt);
  EXPECT_EQ((*disk)->write(1 << 20, Bytes(512)).error().kind(), ErrorKind::io);  // and nothing after that
  EXPECT_EQ((*disk)->flush().error().kind(), ErrorKind::io);
  Bytes sector(512);
  EXPECT_TRUE((*disk)->read(0, sector));
}

TEST_F(DamagedQcow2WriteTest, data_in_the_header_is_not_written) {
  uint64_t l2 = table(table(40)) & kQcow2OffsetMask;
  store_be<uint64_t>(&bytes_[l2], kQcow2Owned | table(48));  // the reference count table
  auto disk = open_bytes();
  ASSERT_TRUE(disk);
  EXPECT_EQ((*disk)->write(0, Bytes(512)).error().kind(), ErrorKind::corrupt);
}

TEST_F(DamagedQcow2WriteTest, a_shared_cluster_is_copied_before_it_is_written) {
  uint64_t l2 = table(table(40)) & kQcow2OffsetMask;
  uint64_t shared = table(l2) & ~kQcow2Owned;
  store_be(&bytes_[l2], shared);
  store_be(&bytes_[l2 + 8], shared);
  uint64_t block = table(table(48));
  bytes_[block + (shared >> 16) * 2 + 1] = 2;
  ASSERT_TRUE(write_file_atomic(path("image"), as_text(bytes_)));
  ASSERT_EQ(check_image(path("image")), Verdict::sound);
  ASSERT_TRUE(open()->write(1024, Bytes(512, 2)));
  Bytes bytes = qemu_reads(path("image"), path("raw"));
  ASSERT_EQ(bytes.size(), 8u << 20);
  EXPECT_EQ(bytes[0], 1);
  EXPECT_EQ(bytes[1024], 2);
  EXPECT_EQ(bytes[65536], 1);
  EXPECT_EQ(bytes[65536 + 1024], 0);
}

}  // namespace
}  // namespace msb::disk
