#include "image/layer_converter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "base/sha256.h"
#include "disk/erofs_format.h"
#include "image/file_tree.h"
#include "image/layer_limits.h"
#include "image/testing/layer_helpers.h"

namespace msb::image {
namespace {

using testing::directory;
using testing::file;
using testing::fsck;
using testing::hard_link;
using ::testing::HasSubstr;
using testing::Item;
using testing::Layer;
using testing::make_tar;
using testing::symlink;
using testing::typed;

std::string gzip(std::string_view text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

// Converts and opens the result, which fsck.erofs must like.
void convert(Layer& layer, const std::vector<Item>& items) {
  auto info = layer.convert(make_tar(items));
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_EQ(fsck({layer.path()}), "");
  layer.open();
}

std::string error_of(const std::vector<Item>& items) {
  Layer layer;
  auto info = layer.convert(make_tar(items));
  EXPECT_FALSE(path_exists(layer.path()) && !info) << "a failed conversion leaves a file";
  return info ? "no error" : info.error().to_string();
}

TEST(LayerConverter, KeepsEveryKindOfFile) {
  Item device = typed(TarType::block_device, "dev/b");
  device.entry.device_major = 259;
  device.entry.device_minor = 70000;
  Item owned = file("owned", "data", 04755);
  owned.entry.uid = 100000;
  owned.entry.gid = 200000;
  owned.entry.mtime = -5;
  owned.entry.mtime_nsec = 123456789;
  owned.entry.xattrs = {
      {"user.note", "n"}, {"security.capability", std::string("\1\0\2", 3)}, {"system.posix_acl_access", "acl"}};
  Layer layer;
  convert(layer, {directory("dev"), device, typed(TarType::fifo, "dev/f"), owned, symlink("l", "../anything"),
                  symlink("long", std::string(4095, 't')), file("empty"), file("big", std::string(10000, 'B'))});
  EXPECT_EQ(layer.at("dev/b").rdev, disk::erofs::encode_device(259, 70000));
  EXPECT_TRUE(S_ISBLK(layer.at("dev/b").mode));
  EXPECT_TRUE(S_ISFIFO(layer.at("dev/f").mode));
  EXPECT_EQ(layer.at("owned").mode, S_IFREG | 04755);
  EXPECT_EQ(layer.at("owned").uid, 100000u);
  EXPECT_EQ(layer.at("owned").gid, 200000u);
  EXPECT_EQ(layer.at("owned").mtime, -5);
  EXPECT_EQ(layer.at("owned").mtime_nsec, 123456789u);
  ASSERT_NE(layer.at("owned").find_xattr("system.posix_acl_access"), nullptr);
  EXPECT_EQ(*layer.at("owned").find_xattr("security.capability"), std::string("\1\0\2", 3));
  EXPECT_EQ(layer.at("l").target, "../anything");
  EXPECT_EQ(layer.at("long").target, std::string(4095, 't'));
  EXPECT_EQ(layer.content("owned"), "data");
  EXPECT_EQ(layer.content("big"), std::string(10000, 'B'));
  EXPECT_EQ(layer.at("empty").size, 0u);
}

TEST(LayerConverter, MakesMissingParentsAndMarksThem) {
  Layer layer;
  convert(layer, {file("./a//b/c", "x"), directory("/a/")});
  EXPECT_EQ(layer.at("a/b").mode, S_IFDIR | 0755);
  EXPECT_NE(layer.at("a/b").find_xattr(kImplicitXattr), nullptr);
  EXPECT_EQ(layer.at("a").find_xattr(kImplicitXattr), nullptr);
  EXPECT_NE(layer.at("").find_xattr(kImplicitXattr), nullptr);
  EXPECT_EQ(layer.content("a/b/c"), "x");
}

TEST(LayerConverter, LaterEntriesWin) {
  Layer layer;
  convert(layer, {file("f", "old"), file("f", "new"), directory("d"), file("d/x", "x"), file("d", "file now"),
                  file("e", "file"), directory("e"), file("e/y", "y"), directory("k", 0700), file("k/z"),
                  directory("k", 0711)});
  EXPECT_EQ(layer.content("f"), "new");
  EXPECT_EQ(layer.content("d"), "file now");
  EXPECT_EQ(layer.content("e/y"), "y");
  EXPECT_EQ(layer.at("k").mode, S_IFDIR | 0711);
  EXPECT_TRUE(layer.has("k/z"));
}

TEST(LayerConverter, HardLinksShareTheInode) {
  Layer layer;
  convert(layer, {file("a", "data"), hard_link("b", "./a"), hard_link("d/c", "/b"), symlink("s", "t"),
                  hard_link("s2", "s"), file("a", "other")});
  EXPECT_EQ(layer.tree().lookup("b"), layer.tree().lookup("d/c"));
  EXPECT_EQ(layer.tree().lookup("s"), layer.tree().lookup("s2"));
  EXPECT_EQ(layer.content("b"), "data");
  EXPECT_EQ(layer.content("a"), "other");
}

TEST(LayerConverter, WhiteoutsBecomeOverlayfsMarks) {
  Layer layer;
  convert(layer, {file(".wh.gone"), file("d/.wh..wh..opq"), file("keep", "k"), file(".wh.keep"), file(".wh.dir"),
                  directory("dir"), file(".wh.deep"), file("deep/er/f"), file(".wh..wh.aufs")});
  EXPECT_TRUE(layer.at("gone").is_whiteout());
  EXPECT_NE(layer.at("d").find_xattr(kOpaqueXattr), nullptr);
  EXPECT_EQ(layer.content("keep"), "k");
  EXPECT_NE(layer.at("dir").find_xattr(kOpaqueXattr), nullptr);
  EXPECT_NE(layer.at("deep").find_xattr(kOpaqueXattr), nullptr);
  EXPECT_EQ(layer.tree().inode(0).directory->entries.size(), 5u);
}

TEST(LayerConverter, DropsAttributesThatOverlayfsWouldActOn) {
  Item item = directory("d");
  item.entry.xattrs = {{"trusted.overlay.redirect", "/etc"}, {"com.apple.x", "y"}, {"user.ok", "1"}};
  Layer layer;
  convert(layer, {item});
  ASSERT_NE(layer.at("d").xattrs, nullptr);
  EXPECT_EQ(layer.at("d").xattrs->size(), 1u);
}

TEST(LayerConverter, SparseFilesKeepTheirHoles) {
  Item item;
  item.entry.path = "s";
  item.entry.sparse = true;
  item.entry.size = (uint64_t{5} << 30) + 17;
  item.entry.segments = {{5000, 3}, {8190, 4}, {(uint64_t{5} << 30) + 15, 2}};
  item.data = "abc1234yz";
  Layer layer;
  convert(layer, {item, file("after", "a")});
  ASSERT_NE(layer.at("s").sparse, nullptr);
  EXPECT_EQ(layer.at("s").size, item.entry.size);
  auto reader = disk::ErofsReader::open(layer.path());
  ASSERT_TRUE(reader);
  EXPECT_LT(reader->blocks(), 200u);
  auto read = [&](uint64_t offset, size_t count) {
    Bytes bytes(count);
    auto got = reader->read(layer.at("s"), offset, bytes);
    return got ? std::string(as_text(bytes).substr(0, *got)) : got.error().to_string();
  };
  EXPECT_EQ(read(4999, 5), std::string("\0abc\0", 5));
  EXPECT_EQ(read(8188, 8), std::string("\0\0"
                                       "1234\0\0",
                                       8));
  EXPECT_EQ(read((uint64_t{5} << 30) + 14, 100), std::string("\0yz", 3));
  EXPECT_EQ(read(uint64_t{1} << 32, 4), std::string(4, '\0'));
  EXPECT_EQ(layer.content("after"), "a");
}

TEST(LayerConverter, RefusesPathsThatLeaveTheLayer) {
  EXPECT_THAT(error_of({file("a/../../etc/passwd")}), HasSubstr("\"a/../../etc/passwd\" has \"..\""));
  EXPECT_THAT(error_of({file("..")}), HasSubstr("\"..\""));
  EXPECT_THAT(error_of({file("f"), file("f/x")}), HasSubstr("not a directory"));
  EXPECT_THAT(error_of({hard_link("h", "../../etc/shadow")}), HasSubstr("\"..\""));
}

TEST(LayerConverter, FollowsItsOwnLinksInsideTheLayer) {
  Layer layer;
  convert(layer, {symlink("lib", "usr/lib"), file("lib/foo", "foo"), directory("usr/lib", 0711), file("lib/.wh.gone"),
                  directory("lib/sub"), symlink("usr/lib/up", ".."), file("lib/up/bar", "bar"),
                  symlink("chain", "/lib"), file("chain/baz", "baz"), hard_link("h", "chain/up/lib/foo")});
  EXPECT_TRUE(layer.at("lib").is_symlink());
  EXPECT_EQ(layer.content("usr/lib/foo"), "foo");
  EXPECT_EQ(layer.at("usr/lib").mode, S_IFDIR | 0711);
  EXPECT_NE(layer.at("usr").find_xattr(kImplicitXattr), nullptr);
  EXPECT_TRUE(layer.at("usr/lib/gone").is_whiteout());
  EXPECT_TRUE(layer.at("usr/lib/sub").is_directory());
  EXPECT_EQ(layer.content("usr/bar"), "bar");
  EXPECT_EQ(layer.content("usr/lib/baz"), "baz");
  EXPECT_EQ(layer.tree().lookup("h"), layer.tree().lookup("usr/lib/foo"));
}

TEST(LayerConverter, LinksThatPointOutsideStayInside) {
  Layer layer;
  convert(layer, {symlink("abs", "/tmp"), file("abs/a", "a"), symlink("d/up", "../../../../tmp"), file("d/up/b", "b"),
                  symlink("d/e/root", "../../.."), file("d/e/root/c", "c"), symlink("self", "x/../y"),
                  file("self/d", "d"), hard_link("h", "d/up/a")});
  EXPECT_EQ(layer.content("tmp/a"), "a");
  EXPECT_EQ(layer.content("tmp/b"), "b");
  EXPECT_EQ(layer.content("c"), "c");
  EXPECT_EQ(layer.content("y/d"), "d");
  EXPECT_FALSE(layer.has("x")) << "made only to be left again";
  EXPECT_EQ(layer.tree().lookup("h"), layer.tree().lookup("tmp/a"));
  EXPECT_EQ(layer.tree().inode(0).directory->entries.size(), 7u);
}

TEST(LayerConverter, ALinkThatIsReplacedLeadsNowhereAnyMore) {
  Layer layer;
  convert(layer, {symlink("l", "one"), file("l/a", "1"), symlink("l", "two"), file("l/a", "2"), directory("l"),
                  file("l/a", "3"), symlink("m", "one"), file("m/b"), hard_link("m", "one/a"), file("one/c")});
  EXPECT_EQ(layer.content("one/a"), "1");
  EXPECT_EQ(layer.content("two/a"), "2");
  EXPECT_EQ(layer.content("l/a"), "3");
  EXPECT_EQ(layer.content("m"), "1");
}

TEST(LayerConverter, RefusesLinksWithoutEnd) {
  EXPECT_THAT(error_of({symlink("a", "b"), symlink("b", "a"), file("a/f")}),
              HasSubstr("\"a/f\" lies below \"a\", a link that leads nowhere"));
  EXPECT_THAT(error_of({symlink("a", "a/a"), file("a/f")}), HasSubstr("leads nowhere"));
  EXPECT_THAT(error_of({file("f"), symlink("l", "f"), file("l/x")}), HasSubstr("\"f\", which is not a directory"));
  EXPECT_THAT(error_of({symlink("l", std::string(300, 'n')), file("l/x")}), HasSubstr("longer than 255"));
  EXPECT_THAT(error_of({symlink("a", "b"), symlink("b", "a"), hard_link("h", "a/f")}), HasSubstr("leads nowhere"));
}

// Each link doubles the way to the next: 2^40 steps, were they not counted.
TEST(LayerConverter, RefusesLinksThatMultiply) {
  std::vector<Item> items = {directory("l0")};
  for (int i = 1; i <= 40; ++i) items.push_back(symlink(cat("l", i), cat("l", i - 1, "/../l", i - 1)));
  items.push_back(file("l40/f"));
  EXPECT_THAT(error_of(items), HasSubstr("leads nowhere"));
  std::string deep = "d";
  for (size_t i = 0; i < 1000; ++i) deep += "/d";
  EXPECT_THAT(error_of({symlink("l", deep), file("l/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/f")}),
              HasSubstr("nested too deeply"));
}

TEST(LayerConverter, RefusesHardLinksToNothing) {
  EXPECT_THAT(error_of({hard_link("h", "missing")}),
              HasSubstr("\"missing\", which is not among the entries before it"));
  EXPECT_THAT(error_of({hard_link("h", "f"), file("f")}), HasSubstr("not among the entries before it"));
  EXPECT_THAT(error_of({directory("d"), hard_link("h", "d")}), HasSubstr("hard link to the directory"));
  EXPECT_THAT(error_of({file(".wh.w"), hard_link("h", "w")}), HasSubstr("not among"));
}

TEST(LayerConverter, RefusesBadNames) {
  EXPECT_THAT(error_of({file(std::string(256, 'n'))}), HasSubstr("name longer than 255"));
  EXPECT_THAT(error_of({file(std::string(2100, '/') + std::string(2100, 'x'))}), HasSubstr("path longer than 4096"));
  EXPECT_THAT(error_of({file(std::string("a\0b", 3) + std::string(100, 'x'))}), HasSubstr("NUL"));
  EXPECT_THAT(error_of({file("")}), HasSubstr("empty path"));
  EXPECT_THAT(error_of({file(".")}), HasSubstr("is the root"));
  EXPECT_THAT(error_of({file(".wh.")}), HasSubstr("whiteout of nothing"));
  EXPECT_THAT(error_of({file(".wh...")}), HasSubstr("whiteout of nothing"));
  EXPECT_THAT(error_of({symlink("l", "")}), HasSubstr("link to nowhere"));
  EXPECT_THAT(error_of({symlink("l", std::string(4096, 't'))}), HasSubstr("4095"));
  Item item = file("f");
  item.entry.xattrs = {{"user.", "v"}};
  EXPECT_THAT(error_of({item}), HasSubstr("bad extended attribute"));
  std::string deep;
  for (size_t i = 0; i <= kMaxPathDepth; ++i) deep += "d/";
  EXPECT_THAT(error_of({file(deep + "f")}), HasSubstr("nested too deeply"));
}

TEST(LayerConverter, RefusesAbsurdSizes) {
  Layer layer;
  auto info = layer.convert(testing::pax({{"GNU.sparse.size", "9000000000000000"}, {"GNU.sparse.map", "0,1"}}) +
                            testing::raw_header("f", '0', 1) + testing::padded("x"));
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().kind(), ErrorKind::image_pull_failed);
  EXPECT_THAT(info.error().to_string(), HasSubstr("1 TiB"));
}

// The tests pull such a layer whole (tests/e2e); here is what stops it, without half a gigabyte of tar.
TEST(FileTree, RefusesAMillionEntriesAndOne) {
  auto first_refused = [](const std::string& path) {
    FileTree tree;
    TarEntry entry;
    entry.path = path;
    for (uint64_t i = 1;; ++i)
      if (auto added = tree.add(entry); !added) return cat(i, ": ", added.error().to_string());
  };
  // The same name again and again: each replaces the one before, which still takes its memory.
  EXPECT_THAT(first_refused("f"), HasSubstr("1000001: the layer's entry \"f\" is one too many: a layer may "
                                            "have 1000000"));
  EXPECT_THAT(first_refused(".wh..wh.x"), HasSubstr("1000001: "));
}

TEST(LayerConverter, RefusesMoreNamesThanFitInMemory) {
  std::string files;
  for (int i = 0; i < 100; ++i)
    files +=
        testing::pax({{"path", cat(std::string(250, 'n'), i)}, {"SCHILY.xattr.user.a", std::string(60'000, 'v')}}) +
        testing::raw_header("f", '0', 0);
  // It ends: by the limit on the uncompressed size, were there no other.
  Layer layer;
  auto converter = LayerConverter::create({layer.path(), Compression::none, {}, {}});
  ASSERT_TRUE(converter);
  Result<> taken;
  while (taken) taken = (*converter)->feed(as_bytes(files));
  EXPECT_THAT(taken.error().to_string(), HasSubstr("need more than 256 MiB"));
}

TEST(LayerConverter, ManyEntriesInOneDirectory) {
  std::vector<Item> items;
  for (int i = 0; i < 3000; ++i)
    items.push_back(file(cat("d/", std::string(static_cast<size_t>(i) % 200 + 1, '!'), i)));
  Layer layer;
  convert(layer, items);
  EXPECT_EQ(layer.at("d").directory->entries.size(), 3000u);
}

TEST(LayerConverter, AllCompressionsGiveTheSameLayer) {
  std::string noise;
  for (unsigned i = 0, x = 1; i < 900'000; ++i) noise.push_back(static_cast<char>((x = x * 1103515245 + 12345) >> 16));
  const std::string tar = make_tar({file("noise", noise), file("f", std::string(3'000'000, 'f'))});
  const size_t half = tar.size() / 2;
  const std::string blobs[] = {tar,
                               gzip(tar),
                               zstd(tar),
                               gzip(tar.substr(0, half)) + gzip(tar.substr(half)),
                               zstd(tar.substr(0, half)) + zstd(tar.substr(half)),
                               gzip(tar) + std::string(1000, '\0')};
  for (const std::string& blob : blobs) {
    for (size_t piece : {size_t{0}, size_t{10'007}}) {
      Layer layer;
      auto info = layer.convert(blob, Compression::by_magic, piece);
      ASSERT_TRUE(info) << info.error().to_string();
      EXPECT_EQ(info->digest, cat("sha256:", sha256_hex(as_bytes(blob))));
      EXPECT_EQ(info->diff_id, cat("sha256:", sha256_hex(as_bytes(tar))));
      EXPECT_EQ(info->compressed_size, blob.size());
      EXPECT_EQ(info->uncompressed_size, tar.size());
      EXPECT_EQ(info->entries, 2u);
      layer.open();
      EXPECT_EQ(layer.content("noise"), noise);
    }
  }
}

TEST(LayerConverter, ReportsDamagedBlobs) {
  const std::string tar = make_tar({file("f", std::string(100'000, 'f'))});
  auto error = [](std::string_view blob, Compression compression) {
    Layer layer;
    auto info = layer.convert(blob, compression);
    EXPECT_FALSE(path_exists(layer.path()));
    return info ? "no error" : info.error().to_string();
  };
  for (auto [blob, compression] : {std::pair(gzip(tar), Compression::gzip), std::pair(zstd(tar), Compression::zstd)}) {
    EXPECT_THAT(error(blob.substr(0, blob.size() - 9), compression), HasSubstr("cut off"));
    EXPECT_THAT(error("", compression), HasSubstr("cut off"));
    EXPECT_THAT(error("this is not it", compression), HasSubstr("damaged"));
    std::string flipped = blob;
    flipped[blob.size() / 2] ^= 0x40;
    EXPECT_THAT(error(flipped, compression), HasSubstr("the layer"));
  }
  EXPECT_THAT(error(gzip(tar) + "garbage", Compression::gzip), HasSubstr("garbage behind"));
  EXPECT_THAT(error(zstd(tar) + "garbage", Compression::zstd), HasSubstr("damaged"));
  EXPECT_THAT(error(tar.substr(0, 5000), Compression::none), HasSubstr("cut off"));
  EXPECT_THAT(error("BZh91AY", Compression::by_magic), HasSubstr("bzip2"));
}

TEST(LayerConverter, VerifiesDigestAndDiffId) {
  const std::string tar = make_tar({file("f", "x")}), blob = gzip(tar);
  const std::string digest = cat("sha256:", sha256_hex(as_bytes(blob))),
                    diff = cat("sha256:", sha256_hex(as_bytes(tar)));
  Layer good, bad_digest, bad_diff;
  EXPECT_TRUE(good.convert({good.path(), Compression::gzip, digest, diff}, blob));
  auto first = bad_digest.convert({bad_digest.path(), Compression::gzip, diff, diff}, blob);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().kind(), ErrorKind::corrupt);
  EXPECT_THAT(first.error().to_string(), HasSubstr("digest is"));
  auto second = bad_diff.convert({bad_diff.path(), Compression::gzip, digest, digest}, blob);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().to_string(), HasSubstr("diff id is"));
  EXPECT_FALSE(path_exists(bad_diff.path()));
}

TEST(LayerConverter, AnUnfinishedConversionLeavesNothing) {
  Layer layer;
  {
    auto converter = LayerConverter::create({layer.path(), Compression::none, {}, {}});
    ASSERT_TRUE(converter);
    ASSERT_TRUE((*converter)->feed(as_bytes(make_tar({file("f", std::string(5'000'000, 'x'))}))));
    EXPECT_TRUE(path_exists(layer.path()));
  }
  EXPECT_FALSE(path_exists(layer.path()));
}

TEST(LayerConverter, TheSameTarGivesTheSameBytes) {
  const std::string tar = make_tar({file("b", "2"), file("a/x", "1"), symlink("l", "t")});
  Layer first, second;
  ASSERT_TRUE(first.convert(tar));
  ASSERT_TRUE(second.convert(gzip(tar), Compression::gzip, 3));
  EXPECT_EQ(*read_file(first.path()), *read_file(second.path()));
}

TEST(CompressionOf, KnowsTheMediaTypes) {
  EXPECT_EQ(*compression_of("application/vnd.oci.image.layer.v1.tar+gzip"), Compression::gzip);
  EXPECT_EQ(*compression_of("application/vnd.oci.image.layer.v1.tar+zstd"), Compression::zstd);
  EXPECT_EQ(*compression_of("application/vnd.oci.image.layer.v1.tar"), Compression::none);
  EXPECT_EQ(*compression_of("application/vnd.docker.image.rootfs.diff.tar.gzip"), Compression::gzip);
  EXPECT_EQ(compression_of("application/vnd.oci.image.layer.v1.tar+rot13").error().kind(), ErrorKind::unsupported);
}

}  // namespace
}  // namespace msb::image
