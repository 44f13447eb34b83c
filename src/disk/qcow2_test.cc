#include "disk/qcow2.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/child.h"
#include "base/temp_dir.h"
#include "disk/raw_disk.h"

namespace msb::disk {
namespace {

using testing::HasSubstr;

// One way to make an image with qemu-img.
struct Recipe {
  std::string name;
  std::string options;  // of qemu-img create -o
  uint64_t size_mib;
  bool compressed;  // rewritten by qemu-img convert -c
};
std::ostream& operator<<(std::ostream& out, const Recipe& recipe) {
  return out << recipe.name;
}

Bytes read_device(BlockDevice& disk) {
  Bytes bytes(disk.size());
  auto read = disk.read(0, bytes);
  EXPECT_TRUE(read) << read.error().to_string();
  return bytes;
}

class Qcow2Test : public testing::TestWithParam<Recipe> {
 protected:
  std::string path(const std::string& name) { return dir_.path() + "/" + name; }

  void create(const std::string& image, const std::string& options, uint64_t size_mib) {
    ASSERT_TRUE(run_capture({"qemu-img", "create", "-q", "-f", "qcow2", "-o", options, image, cat(size_mib, "M")}));
  }

  // Writes, zeroes and discards at random places, in one qemu-io run.
  void scribble(const std::string& image, uint64_t size_mib, unsigned seed) {
    std::mt19937_64 random(seed);
    std::vector<std::string> argv = {"qemu-io", "-f", "qcow2", "-d", "unmap"};
    for (int i = 0; i < 60; ++i) {
      uint64_t length = (1 + random() % 300) * 512;
      uint64_t offset = random() % (size_mib * 2048 - length / 512) * 512;
      std::string place = cat(offset, " ", length);
      uint64_t kind = random() % 8;
      argv.push_back("-c");
      argv.push_back(kind == 0   ? cat("write -z ", place)
                     : kind == 1 ? cat("discard ", place)
                                 : cat("write -P ", 1 + random() % 255, " ", place));
    }
    argv.push_back(image);
    auto ran = run_capture(argv);
    ASSERT_TRUE(ran) << ran.error().to_string();
  }

  Bytes as_qemu_reads(const std::string& image) {
    auto ran = run_capture({"qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, path("raw")});
    EXPECT_TRUE(ran) << ran.error().to_string();
    auto raw = RawDisk::open(path("raw"));
    return read_device(**raw);
  }

  TempDir dir_ = TempDir::create().value();
};

TEST_P(Qcow2Test, reads_what_qemu_reads) {
  const Recipe& recipe = GetParam();
  std::string image = path("image");
  create(image, recipe.options, recipe.size_mib);
  scribble(image, recipe.size_mib, 7);
  if (recipe.compressed) {
    std::string packed = path("packed");
    auto ran =
        run_capture({"qemu-img", "convert", "-c", "-f", "qcow2", "-O", "qcow2", "-o", recipe.options, image, packed});
    ASSERT_TRUE(ran) << ran.error().to_string();
    image = packed;
  }
  auto disk = Qcow2Disk::open(image);
  ASSERT_TRUE(disk) << disk.error().to_string();
  EXPECT_EQ((*disk)->size(), recipe.size_mib << 20);
  // Compared with ==, not EXPECT_EQ: nobody wants megabytes in a failure message.
  EXPECT_TRUE(read_device(**disk) == as_qemu_reads(image));
}

INSTANTIATE_TEST_SUITE_P(
    Formats, Qcow2Test,
    testing::Values(Recipe{"version2", "compat=0.10", 24, false}, Recipe{"version3", "compat=1.1", 24, false},
                    Recipe{"small_clusters", "cluster_size=512", 3, false},
                    Recipe{"big_clusters", "cluster_size=2M", 24, false},
                    Recipe{"wide_refcounts", "refcount_bits=64,lazy_refcounts=on", 24, false},
                    Recipe{"zlib", "compat=1.1", 24, true}, Recipe{"zlib_version2", "compat=0.10", 24, true},
                    Recipe{"zstd", "compression_type=zstd", 24, true},
                    Recipe{"zstd_small_clusters", "compression_type=zstd,cluster_size=4k", 24, true}),
    [](const auto& info) { return info.param.name; });

TEST_F(Qcow2Test, a_read_past_the_end_of_the_disk_is_refused) {
  create(path("image"), "compat=1.1", 1);
  auto disk = Qcow2Disk::open(path("image"));
  ASSERT_TRUE(disk);
  Bytes two(2);
  EXPECT_EQ((*disk)->read((1 << 20) - 1, two).error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ((*disk)->read(~uint64_t{0}, two).error().kind(), ErrorKind::invalid_config);
}

TEST_F(Qcow2Test, an_image_with_a_backing_file_is_refused) {
  create(path("base"), "compat=1.1", 1);
  ASSERT_TRUE(
      run_capture({"qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", path("base"), path("image")}));
  auto inspected = inspect_qcow2(path("image"), Access::read_only);
  ASSERT_FALSE(inspected);
  EXPECT_EQ(inspected.error().kind(), ErrorKind::unsupported);
  EXPECT_THAT(inspected.error().to_string(), HasSubstr("backing file"));
}

TEST_F(Qcow2Test, an_image_with_an_external_data_file_is_refused) {
  create(path("image"), cat("data_file=", path("data")), 1);
  auto inspected = inspect_qcow2(path("image"), Access::read_only);
  ASSERT_FALSE(inspected);
  EXPECT_THAT(inspected.error().to_string(), HasSubstr("external data file"));
}

TEST_F(Qcow2Test, an_encrypted_image_is_refused) {
  // As qemu-img would say it (crypt_method, 2 is LUKS); making one it measures the processor, which fails on a busy
  // host.
  create(path("image"), "compat=1.1", 1);
  Bytes bytes = to_bytes(read_file(path("image")).value());
  constexpr size_t kCryptMethod = 32;
  bytes[kCryptMethod + 3] = 2;
  ASSERT_TRUE(write_file_atomic(path("image"), as_text(bytes)));
  EXPECT_EQ(inspect_qcow2(path("image"), Access::read_only).error().kind(), ErrorKind::unsupported);
}

TEST_F(Qcow2Test, extended_l2_entries_are_refused) {
  create(path("image"), "extended_l2=on", 1);
  EXPECT_THAT(inspect_qcow2(path("image"), Access::read_only).error().to_string(), HasSubstr("extended L2"));
}

// The bytes of a small sound image, to be broken one way or another.
class DamagedQcow2Test : public Qcow2Test {
 protected:
  void SetUp() override {
    create(path("image"), "compat=1.1", 8);
    scribble(path("image"), 8, 3);
    bytes_ = to_bytes(read_file(path("image")).value());
  }
  Result<Qcow2Header> inspect() {
    MemoryDisk file(bytes_);
    return inspect_qcow2(file, Access::read_only);
  }
  Bytes bytes_;
};

TEST_F(DamagedQcow2Test, a_file_shorter_than_its_tables_is_refused) {
  bytes_.resize(200000);
  EXPECT_EQ(inspect().error().kind(), ErrorKind::corrupt);
  bytes_.resize(50);
  EXPECT_EQ(inspect().error().kind(), ErrorKind::corrupt);
  bytes_.clear();
  EXPECT_EQ(inspect().error().kind(), ErrorKind::corrupt);
}

TEST_F(DamagedQcow2Test, an_unknown_incompatible_feature_is_refused) {
  bytes_[72] = 0x80;
  EXPECT_EQ(inspect().error().kind(), ErrorKind::unsupported);
}

TEST_F(DamagedQcow2Test, an_image_marked_corrupt_is_refused) {
  bytes_[79] = 2;
  EXPECT_THAT(inspect().error().to_string(), HasSubstr("marked corrupt"));
}

TEST_F(DamagedQcow2Test, a_disk_too_big_for_its_table_is_refused) {
  store_be<uint64_t>(&bytes_[24], uint64_t{1} << 40);
  EXPECT_EQ(inspect().error().kind(), ErrorKind::corrupt);
}

TEST_F(DamagedQcow2Test, a_table_far_outside_is_refused) {
  store_be<uint64_t>(&bytes_[40], ~uint64_t{0xffff});
  EXPECT_EQ(inspect().error().kind(), ErrorKind::corrupt);
}

TEST_F(DamagedQcow2Test, data_beyond_the_end_of_the_file_is_an_error_not_zeros) {
  uint64_t l2 = load_be<uint64_t>(&bytes_[load_be<uint64_t>(&bytes_[40])]) & 0x00fffffffffffe00;
  store_be<uint64_t>(&bytes_[l2], uint64_t{1} << 40);
  auto disk = Qcow2Disk::open(std::make_unique<MemoryDisk>(bytes_));
  ASSERT_TRUE(disk);
  Bytes sector(512);
  EXPECT_EQ((*disk)->read(0, sector).error().kind(), ErrorKind::corrupt);
}

TEST_F(DamagedQcow2Test, a_compressed_cluster_of_rubbish_is_an_error) {
  uint64_t l2 = load_be<uint64_t>(&bytes_[load_be<uint64_t>(&bytes_[40])]) & 0x00fffffffffffe00;
  store_be<uint64_t>(&bytes_[l2], (uint64_t{1} << 62) | 0x10003);
  auto disk = Qcow2Disk::open(std::make_unique<MemoryDisk>(bytes_));
  ASSERT_TRUE(disk);
  Bytes sector(512);
  EXPECT_EQ((*disk)->read(0, sector).error().kind(), ErrorKind::corrupt);
}

}  // namespace
}  // namespace msb::disk
