#include "image/layer_merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "image/file_tree.h"
#include "image/testing/layer_helpers.h"

namespace msb::image {
namespace {

using testing::directory;
using testing::file;
using testing::hard_link;
using ::testing::HasSubstr;
using testing::Item;
using testing::Layer;
using testing::make_tar;
using testing::symlink;

// Layers of the given entries and their merge.
class Stack {
 public:
  explicit Stack(const std::vector<std::vector<Item>>& layers) : layers_(layers.size()) {
    std::vector<std::string> arguments;
    for (size_t i = 0; i < layers.size(); ++i) {
      auto info = layers_[i].convert(make_tar(layers[i]));
      EXPECT_TRUE(info) << info.error().to_string();
      layers_[i].open();
      paths_.push_back(layers_[i].path());
      arguments.push_back("--device=" + layers_[i].path());
    }
    auto merged = merge_layers(paths_, merged_.path());
    EXPECT_TRUE(merged) << merged.error().to_string();
    merged_.open();
    arguments.push_back(merged_.path());
    EXPECT_EQ(testing::fsck(arguments), "");
  }
  const Layer& merged() const { return merged_; }
  std::string content(std::string_view path) {
    const disk::Inode& inode = merged_.at(path);
    if (inode.device == 0 || inode.device > layers_.size()) return "no device";
    // The same place, seen from the layer itself.
    disk::Inode there;
    there.mode = inode.mode;
    there.size = inode.size;
    there.block = inode.block;
    if (inode.sparse) there.sparse = std::make_unique<disk::SparseMap>(*inode.sparse);
    auto reader = disk::ErofsReader::open(paths_[inode.device - 1u]);
    Bytes bytes(inode.size);
    EXPECT_TRUE(reader->read(there, 0, bytes));
    return std::string(as_text(bytes));
  }

 private:
  std::vector<Layer> layers_;
  std::vector<std::string> paths_;
  Layer merged_;
};

TEST(LayerMerge, UpperLayersWin) {
  Stack stack({{file("a", "1"), file("b", "1"), directory("d"), file("d/x", "1")},
               {file("b", "2"), file("d/y", "2")},
               {file("c", "3"), file("d/x", "3333")}});
  EXPECT_EQ(stack.content("a"), "1");
  EXPECT_EQ(stack.content("b"), "2");
  EXPECT_EQ(stack.content("c"), "3");
  EXPECT_EQ(stack.content("d/x"), "3333");
  EXPECT_EQ(stack.content("d/y"), "2");
}

TEST(LayerMerge, WhiteoutsHideAndAreGone) {
  Stack stack({{file("a", "1"), file("d/x", "1"), file("d/y", "1"), file("o/x", "1"), file("o/s/t", "1")},
               {file(".wh.a"), file("d/.wh.x"), file("o/.wh..wh..opq"), file("o/new", "2"), file(".wh.never")}});
  EXPECT_FALSE(stack.merged().has("a"));
  EXPECT_FALSE(stack.merged().has("d/x"));
  EXPECT_TRUE(stack.merged().has("d/y"));
  EXPECT_EQ(stack.merged().at("o").directory->entries.size(), 1u);
  EXPECT_EQ(stack.content("o/new"), "2");
  EXPECT_FALSE(stack.merged().has("never"));
  EXPECT_EQ(stack.merged().at("o").xattrs, nullptr);
}

TEST(LayerMerge, WhatAWhiteoutHidCanComeBack) {
  Stack stack({{file("d/x", "1")}, {file(".wh.d")}, {directory("d", 0700), file("d/y", "3")}});
  EXPECT_FALSE(stack.merged().has("d/x"));
  EXPECT_EQ(stack.content("d/y"), "3");
}

TEST(LayerMerge, FilesAndDirectoriesReplaceEachOther) {
  Stack stack({{file("a/x", "1"), file("b", "1"), symlink("bin", "usr/bin")},
               {file("a", "2"), file("b/y", "2"), file("bin/tool", "2")}});
  EXPECT_EQ(stack.content("a"), "2");
  EXPECT_EQ(stack.content("b/y"), "2");
  EXPECT_EQ(stack.content("bin/tool"), "2");
}

// The lower layer's link is not known where the upper one is converted, nor would a container engine that unpacks for
// overlayfs know it: the directory takes the link's place.
TEST(LayerMerge, OnlyLinksOfTheSameLayerAreFollowed) {
  Stack stack({{symlink("lib", "usr/lib"), file("lib/a", "1"), symlink("var", "usr/var"), file("usr/var/a", "1")},
               {file("lib/b", "2")},
               {symlink("var", "usr/other"), file("var/b", "3")}});
  EXPECT_EQ(stack.content("usr/lib/a"), "1");
  EXPECT_TRUE(stack.merged().at("lib").is_directory());
  EXPECT_EQ(stack.content("lib/b"), "2");
  EXPECT_FALSE(stack.merged().has("usr/lib/b"));
  EXPECT_EQ(stack.merged().at("var").target, "usr/other");
  EXPECT_EQ(stack.content("usr/other/b"), "3");
  EXPECT_EQ(stack.content("usr/var/a"), "1");
}

TEST(LayerMerge, DirectoryMetadataComesFromTheTopmostEntry) {
  Item first = directory("tmp", 01777);
  first.entry.uid = 5;
  first.entry.mtime = 77;
  first.entry.xattrs = {{"user.a", "1"}};
  Stack stack({{directory("./", 0711), first, directory("v", 0700)}, {file("tmp/f", "2"), directory("v", 0755)}});
  EXPECT_EQ(stack.merged().at("tmp").mode, S_IFDIR | 01777);
  EXPECT_EQ(stack.merged().at("tmp").uid, 5u);
  EXPECT_EQ(stack.merged().at("tmp").mtime, 77);
  EXPECT_NE(stack.merged().at("tmp").find_xattr("user.a"), nullptr);
  EXPECT_EQ(stack.merged().at("v").mode, S_IFDIR | 0755);
  EXPECT_EQ(stack.merged().at("").mode, S_IFDIR | 0711);
}

TEST(LayerMerge, HardLinksStayWithinTheirLayer) {
  Stack stack({{file("a", "1"), hard_link("b", "a"), hard_link("c", "a")}, {file("b", "2"), hard_link("e", "b")}});
  EXPECT_EQ(stack.merged().tree().lookup("a"), stack.merged().tree().lookup("c"));
  EXPECT_EQ(stack.merged().tree().lookup("b"), stack.merged().tree().lookup("e"));
  EXPECT_EQ(stack.content("a"), "1");
  EXPECT_EQ(stack.content("b"), "2");
}

TEST(LayerMerge, HolesStayHoles) {
  Item item;
  item.entry.path = "s";
  item.entry.sparse = true;
  item.entry.size = 100'000;
  item.entry.segments = {{50'000, 3}};
  item.data = "abc";
  Stack stack({{file("x", "1")}, {item}});
  std::string expected(100'000, '\0');
  expected.replace(50'000, 3, "abc");
  EXPECT_EQ(stack.content("s"), expected);
  EXPECT_EQ(stack.merged().at("s").sparse->blocks[0], disk::erofs::kHole);
}

TEST(LayerMerge, DeviceTableLaysTheLayersBehindTheTree) {
  Layer first, second, merged;
  ASSERT_TRUE(first.convert(make_tar({file("a", std::string(9000, 'a'))})));
  ASSERT_TRUE(second.convert(make_tar({file("b", "b")})));
  ASSERT_TRUE(merge_layers({first.path(), second.path()}, merged.path()));
  const std::string tree = *read_file(merged.path());
  EXPECT_EQ(tree.size() % disk::erofs::kBlockSize, 0u);
  const auto* slots = reinterpret_cast<const uint8_t*>(tree.data()) + 1024 + 128;
  const uint32_t own = static_cast<uint32_t>(tree.size() / disk::erofs::kBlockSize);
  const uint32_t first_blocks = load_le<uint32_t>(slots + 64);
  EXPECT_EQ(first_blocks, read_file(first.path())->size() / disk::erofs::kBlockSize);
  EXPECT_EQ(load_le<uint32_t>(slots + 68), own);
  EXPECT_EQ(load_le<uint32_t>(slots + 128 + 68), own + first_blocks);
}

TEST(LayerMerge, HundredsOfLayersFit) {
  Layer layer, merged;
  ASSERT_TRUE(layer.convert(make_tar({file("a", "a")})));
  ASSERT_TRUE(merge_layers(std::vector<std::string>(300, layer.path()), merged.path()));
  merged.open();
  EXPECT_EQ(merged.at("a").device, 300);
}

TEST(LayerMerge, NamesADamagedLayer) {
  Layer layer, merged;
  ASSERT_TRUE(layer.convert(make_tar({file("a", "a")})));
  auto fd = open_file(layer.path(), O_RDWR);
  ASSERT_TRUE(pwrite_full(fd->get(), as_bytes("x"), 1030));
  auto result = merge_layers({layer.path()}, merged.path());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::corrupt);
  EXPECT_THAT(result.error().to_string(), HasSubstr(layer.path()));
  EXPECT_FALSE(path_exists(merged.path()));
}

TEST(LayerExport, GivesBackWhatWentIn) {
  Item sparse;
  sparse.entry.path = "s";
  sparse.entry.sparse = true;
  sparse.entry.size = 1 << 20;
  sparse.entry.segments = {{4096, 4096}, {1 << 19, 3}};
  sparse.data = std::string(4096, 'q') + "abc";
  Item owned = file("o", "x", 06711);
  owned.entry.uid = 3'000'000;
  owned.entry.mtime = -9;
  owned.entry.mtime_nsec = 5;
  owned.entry.xattrs = {{"user.k", std::string("v\0w", 3)}};
  Layer layer, again;
  ASSERT_TRUE(layer.convert(make_tar({directory("./", 0700), file("implicit/f", "1"), file(".wh.gone"), sparse, owned,
                                      directory("d"), file("d/.wh..wh..opq"), hard_link("h", "o"),
                                      file(std::string(200, 'n') + "/\xc3\xa4", "2"), symlink("l", "t")})));
  auto tar_of = [](const Layer& source) {
    std::string tar;
    auto result = export_layer(source.path(), [&](ByteView bytes) -> Result<> {
      tar += as_text(bytes);
      return {};
    });
    EXPECT_TRUE(result) << result.error().to_string();
    return tar;
  };
  const std::string tar = tar_of(layer);
  ASSERT_TRUE(again.convert(tar));
  EXPECT_EQ(tar_of(again), tar);
  again.open();
  EXPECT_NE(again.at("implicit").find_xattr(kImplicitXattr), nullptr);
  EXPECT_NE(again.at("d").find_xattr(kOpaqueXattr), nullptr);
  EXPECT_TRUE(again.at("gone").is_whiteout());
  EXPECT_EQ(again.tree().lookup("o"), again.tree().lookup("h"));
  EXPECT_EQ(again.at("o").uid, 3'000'000u);
  EXPECT_EQ(again.at("o").mtime, -9);
  EXPECT_EQ(again.content("s").substr(1 << 19, 3), "abc");
}

}  // namespace
}  // namespace msb::image
