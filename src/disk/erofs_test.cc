// The EROFS writer and reader against each other, and the reader against damage.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "base/child.h"
#include "base/fd.h"
#include "base/temp_dir.h"
#include "disk/erofs_checksum.h"
#include "disk/erofs_format.h"
#include "disk/erofs_reader.h"
#include "disk/erofs_writer.h"
#include "disk/erofs_xattr.h"

namespace msb::disk {
namespace {

using erofs::kBlockSize;

Fd memory_file() {
  return Fd(::memfd_create("erofs", MFD_CLOEXEC));
}

Bytes written(const ErofsTree& tree) {
  Fd file = memory_file();
  ErofsWriter writer(file.get());
  auto summary = writer.finish(tree);
  EXPECT_TRUE(summary);
  Bytes bytes(summary->size);
  EXPECT_TRUE(pread_full(file.get(), bytes, 0));
  return bytes;
}

Result<ErofsTree> read_back(const Bytes& image) {
  Fd file = memory_file();
  MSB_CHECK(pwrite_full(file.get(), image, 0));
  MSB_TRY(auto reader, ErofsReader::adopt(std::move(file), "test"));
  return reader.load_tree();
}

InodeId add(ErofsTree& tree, InodeId parent, std::string_view name, uint16_t mode) {
  const InodeId id = tree.create(mode);
  tree.set(parent, name, id);
  return id;
}

// A tree with one of everything.
ErofsTree sample() {
  ErofsTree tree;
  const InodeId directory = add(tree, 0, "dir", S_IFDIR | 0711);
  for (int i = 0; i < 300; ++i) add(tree, directory, cat("!entry-", std::string(60, 'x'), i), S_IFREG | 0600);
  const InodeId link = add(tree, 0, "link", S_IFLNK | 0777);
  tree.inode(link).target = tree.intern("dir/target");
  const InodeId longer = add(tree, 0, "long", S_IFLNK | 0777);
  tree.inode(longer).target = tree.intern(std::string(4095, 'y'));
  const InodeId device = add(tree, 0, "null", S_IFCHR | 0666);
  tree.inode(device).rdev = erofs::encode_device(1, 3);
  tree.inode(device).set_xattr("user.comment", "the void");
  tree.set(directory, "again", device);
  const InodeId sparse = add(tree, 0, "sparse", S_IFREG | 0644);
  tree.inode(sparse).size = 3 * kBlockSize;
  tree.inode(sparse).sparse = std::make_unique<SparseMap>(SparseMap{0, {erofs::kHole, erofs::kHole, erofs::kHole}});
  return tree;
}

TEST(Crc32c, MatchesTheStandardCheckValue) {
  EXPECT_EQ(~erofs_crc32c(as_bytes("123456789")), 0xE3069283u);
}

TEST(ErofsTree, FindsByPath) {
  const ErofsTree tree = sample();
  EXPECT_EQ(tree.lookup(""), ErofsTree::kRoot);
  EXPECT_EQ(tree.lookup("/dir//again"), tree.lookup("null"));
  EXPECT_EQ(tree.lookup("link/x"), kNoInode);
  EXPECT_EQ(tree.lookup("nothing"), kNoInode);
}

TEST(ErofsWriter, ReaderGivesBackTheTree) {
  auto tree = read_back(written(sample()));
  ASSERT_TRUE(tree) << tree.error().to_string();
  EXPECT_EQ(tree->inode(tree->lookup("dir")).mode, S_IFDIR | 0711);
  EXPECT_EQ(tree->inode(tree->lookup("dir")).directory->entries.size(), 301u);
  EXPECT_EQ(tree->inode(tree->lookup("link")).target, "dir/target");
  EXPECT_EQ(tree->inode(tree->lookup("long")).target, std::string(4095, 'y'));
  EXPECT_EQ(tree->lookup("dir/again"), tree->lookup("null"));
  EXPECT_EQ(tree->inode(tree->lookup("null")).rdev, erofs::encode_device(1, 3));
  EXPECT_EQ(*tree->inode(tree->lookup("null")).find_xattr("user.comment"), "the void");
  EXPECT_EQ(tree->inode(tree->lookup("sparse")).sparse->blocks.size(), 3u);
}

TEST(ErofsWriter, FsckAcceptsIt) {
  auto dir = TempDir::create();
  const std::string path = dir->path() + "/image";
  ASSERT_TRUE(write_file_atomic(path, as_text(written(sample()))));
  auto said = run_capture({"fsck.erofs", path});
  EXPECT_TRUE(said) << said.error().to_string();
  auto dumped = run_capture({"dump.erofs", "-s", path});
  ASSERT_TRUE(dumped) << dumped.error().to_string();
  EXPECT_THAT(*dumped, ::testing::HasSubstr("sb_csum"));
}

TEST(ErofsWriter, DirectoriesOfAnySizeAroundABlock) {
  for (int names = 28; names < 36; ++names) {
    ErofsTree tree;
    for (int i = 0; i < names; ++i) add(tree, 0, cat(100 + i, std::string(113, 'n')), S_IFREG | 0600);
    auto back = read_back(written(tree));
    ASSERT_TRUE(back) << names << ": " << back.error().to_string();
    EXPECT_EQ(back->inode(0).directory->entries.size(), static_cast<size_t>(names));
  }
}

// With 49 files the last inode ends with its block.
TEST(ErofsWriter, FsckAcceptsAnyNumberOfInodesInTheLastBlock) {
  auto dir = TempDir::create();
  const std::string path = dir->path() + "/image";
  for (int names = 40; names < 60; ++names) {
    ErofsTree tree;
    for (int i = 0; i < names; ++i) add(tree, 0, cat(1000 + i), S_IFREG | 0600);
    ASSERT_TRUE(write_file_atomic(path, as_text(written(tree))));
    auto said = run_capture({"fsck.erofs", path});
    EXPECT_TRUE(said) << names << ": " << said.error().to_string();
  }
}

TEST(ErofsWriter, ADirectoryWithTwoParentsIsOurMistake) {
  ErofsTree tree;
  const InodeId id = add(tree, 0, "a", S_IFDIR | 0755);
  tree.set(0, "b", id);
  Fd file = memory_file();
  EXPECT_EQ(ErofsWriter(file.get()).finish(tree).error().kind(), ErrorKind::internal);
}

TEST(ErofsWriter, DataNeedsABlockBoundary) {
  Fd file = memory_file();
  ErofsWriter writer(file.get());
  EXPECT_EQ(*writer.next_block(), 1u);
  ASSERT_TRUE(writer.append(as_bytes("x")));
  EXPECT_FALSE(writer.next_block());
  ASSERT_TRUE(writer.pad());
  EXPECT_EQ(*writer.next_block(), 2u);
}

TEST(ErofsReader, EveryDamagedByteIsAnErrorOrHarmless) {
  const Bytes image = written(sample());
  size_t errors = 0;
  for (size_t at = kBlockSize; at < image.size(); at += 41) {
    Bytes damaged = image;
    damaged[at] ^= 0xff;
    auto tree = read_back(damaged);
    if (!tree) ++errors;
    if (!tree) EXPECT_THAT(tree.error().kind(), ::testing::AnyOf(ErrorKind::corrupt, ErrorKind::unsupported));
  }
  EXPECT_GT(errors, 0u);
}

TEST(ErofsReader, ReportsDamageOfTheSuperblock) {
  const Bytes image = written(sample());
  auto error = [](const Bytes& bytes) { return read_back(bytes).error().to_string(); };
  Bytes magic = image, checksum = image;
  magic[erofs::kSuperOffset] ^= 1;
  checksum[erofs::kSuperOffset + 40] ^= 1;
  EXPECT_THAT(error(magic), ::testing::HasSubstr("no superblock"));
  EXPECT_THAT(error(checksum), ::testing::HasSubstr("checksum is wrong"));
  EXPECT_THAT(error(Bytes(image.begin(), image.begin() + kBlockSize)), ::testing::HasSubstr("cut off"));
  EXPECT_THAT(error(Bytes(100)), ::testing::HasSubstr("no superblock"));
}

TEST(ErofsXattr, KnowsWhichNamesCanBeKept) {
  EXPECT_TRUE(erofs_xattr_name_ok("user.a"));
  EXPECT_TRUE(erofs_xattr_name_ok("system.posix_acl_access"));
  EXPECT_FALSE(erofs_xattr_name_ok("user."));
  EXPECT_FALSE(erofs_xattr_name_ok("system.other"));
  EXPECT_FALSE(erofs_xattr_name_ok("user." + std::string(256, 'x')));
  EXPECT_FALSE(erofs_xattr_name_ok(std::string_view("user.a\0b", 8)));
}

}  // namespace
}  // namespace msb::disk
