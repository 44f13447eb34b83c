// Property tests: random layers against libarchive (reads the same tar) and fsck.erofs (extracts the image).
#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/stat.h>

#include <clocale>
#include <map>

#include "image/testing/layer_helpers.h"

namespace msb::image {
namespace {

using testing::Item;
using testing::Layer;
using testing::make_tar;

// What both sides agree on about one path.
struct Facts {
  std::string type_and_mode, owner, target, content;
  int64_t mtime = 0;
  uint32_t mtime_nsec = 0;
  std::map<std::string, std::string> xattrs;
  bool operator==(const Facts&) const = default;
};
using Listing = std::map<std::string, Facts>;

std::string mode_text(unsigned mode) {
  return cat(mode & S_IFMT, ' ', mode & 07777);
}

Listing read_with_libarchive(const std::string& tar) {
  Listing listing;
  // libarchive turns pax names, which are UTF-8, into the locale's encoding.
  EXPECT_NE(std::setlocale(LC_CTYPE, "C.UTF-8"), nullptr);
  archive* reader = archive_read_new();
  archive_read_support_format_tar(reader);
  archive_read_support_filter_none(reader);
  EXPECT_EQ(archive_read_open_memory(reader, tar.data(), tar.size()), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
    std::string path = archive_entry_pathname(entry);
    while (path.ends_with('/')) path.pop_back();
    if (const char* link = archive_entry_hardlink(entry)) {
      listing[path] = listing.at(link);
      continue;
    }
    Facts facts;
    facts.type_and_mode = mode_text(archive_entry_mode(entry));
    facts.owner = cat(archive_entry_uid(entry), ':', archive_entry_gid(entry));
    if (const char* target = archive_entry_symlink(entry)) facts.target = target;
    facts.mtime = archive_entry_mtime(entry);
    facts.mtime_nsec = static_cast<uint32_t>(archive_entry_mtime_nsec(entry));
    archive_entry_xattr_reset(entry);
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
      facts.xattrs[name] = std::string(static_cast<const char*>(value), size);
    }
    facts.content.resize(static_cast<size_t>(archive_entry_size(entry)));
    const void* block = nullptr;
    la_int64_t offset = 0;
    while (archive_read_data_block(reader, &block, &size, &offset) == ARCHIVE_OK) {
      facts.content.replace(static_cast<size_t>(offset), size, static_cast<const char*>(block), size);
    }
    listing[path] = std::move(facts);
  }
  archive_read_free(reader);
  return listing;
}

Listing read_layer(Layer& layer) {
  Listing listing;
  auto walk = [&](auto&& self, disk::InodeId id, const std::string& prefix) -> void {
    for (const auto& [name, child] : layer.tree().inode(id).directory->entries) {
      const disk::Inode& inode = layer.tree().inode(child);
      const std::string path = cat(prefix, name);
      Facts facts;
      facts.type_and_mode = mode_text(inode.mode);
      facts.owner = cat(inode.uid, ':', inode.gid);
      facts.target = inode.target;
      facts.mtime = inode.mtime;
      facts.mtime_nsec = inode.mtime_nsec;
      if (inode.xattrs) {
        for (const auto& xattr : *inode.xattrs) facts.xattrs[xattr.name] = xattr.value;
      }
      if (inode.is_regular()) facts.content = layer.content(path);
      listing[path] = std::move(facts);
      if (inode.is_directory()) self(self, child, path + "/");
    }
  };
  walk(walk, disk::ErofsTree::kRoot, "");
  return listing;
}

// Random layers in which every parent is listed before its children and no name comes twice:
// there the two readers must agree on everything.
std::vector<Item> random_items() {
  std::vector<Item> items;
  std::vector<std::string> directories = {""};
  std::vector<std::string> files;
  const int count = *rc::gen::inRange(1, 60);
  for (int i = 0; i < count; ++i) {
    const std::string name = cat(*rc::gen::elementOf(std::vector<std::string>{"a", "-", "!x", "..z", "\xc3\xa9", "Z"}),
                                 std::string(static_cast<size_t>(*rc::gen::inRange(0, 200)), 'n'), i);
    const std::string path = *rc::gen::elementOf(directories) + name;
    Item item;
    item.entry.path = path;
    item.entry.mode = static_cast<uint32_t>(*rc::gen::inRange(0, 010000));
    item.entry.uid = *rc::gen::arbitrary<uint32_t>() >> *rc::gen::inRange(0, 32);
    item.entry.gid = *rc::gen::arbitrary<uint32_t>() >> *rc::gen::inRange(0, 32);
    item.entry.mtime = *rc::gen::inRange<int64_t>(0, int64_t{1} << 40);
    item.entry.mtime_nsec = *rc::gen::inRange<uint32_t>(0, 1'000'000'000);
    if (*rc::gen::inRange(0, 4) == 0) {
      item.entry.xattrs = {{"user.k", std::string(static_cast<size_t>(*rc::gen::inRange(1, 6000)), 'v')}};
    }
    switch (*rc::gen::inRange(0, 6)) {
      case 0:
        item.entry.type = TarType::directory;
        item.entry.path += '/';
        if (path.size() < 800) directories.push_back(path + "/");
        break;
      case 1:
        item.entry.type = TarType::symlink;
        item.entry.link_target = std::string(static_cast<size_t>(*rc::gen::inRange(1, 4096)), 't');
        item.entry.xattrs.clear();
        break;
      case 2:
        if (!files.empty()) {
          item.entry = {};
          item.entry.type = TarType::hard_link;
          item.entry.path = path;
          item.entry.link_target = *rc::gen::elementOf(files);
          break;
        }
        [[fallthrough]];
      case 3:
        item.entry.sparse = true;
        item.entry.size = static_cast<uint64_t>(*rc::gen::inRange(20'000, 500'000));
        item.entry.segments = {{static_cast<uint64_t>(*rc::gen::inRange(0, 9'000)), 10}, {19'000, 1'000}};
        item.data = std::string(1'010, 'd');
        files.push_back(path);
        break;
      default:
        item.data = std::string(static_cast<size_t>(*rc::gen::inRange(0, 20'000)), static_cast<char>('A' + i % 26));
        item.entry.size = item.data.size();
        files.push_back(path);
    }
    items.push_back(std::move(item));
  }
  return items;
}

RC_GTEST_PROP(LayerOracle, AgreesWithLibarchiveAndFsck, ()) {
  const std::string tar = make_tar(random_items());
  Layer layer;
  auto info = layer.convert(tar, Compression::none, 1000);
  if (!info) RC_FAIL(info.error().to_string());
  RC_ASSERT(testing::fsck({layer.path()}) == "");
  layer.open();
  RC_ASSERT(read_layer(layer) == read_with_libarchive(tar));
}

TEST(LayerOracle, FsckExtractsWhatWasPutIn) {
  std::vector<Item> items;
  for (int i = 0; i < 700; ++i) {
    items.push_back(testing::file(cat("d", i % 7, "/", std::string(static_cast<size_t>(i % 90), 'n'), i),
                                  std::string(static_cast<size_t>(i) * 37, static_cast<char>('a' + i % 26))));
  }
  items.push_back(testing::symlink("link", "d0/target"));
  Layer layer;
  ASSERT_TRUE(layer.convert(make_tar(items)));
  const std::string target = layer.directory() + "/out";
  ASSERT_EQ(testing::fsck({"--extract=" + target, layer.path()}), "");
  for (int i = 0; i < 700; ++i) {
    const Item& item = items[static_cast<size_t>(i)];
    EXPECT_EQ(*read_file(cat(target, "/", item.entry.path)), item.data) << item.entry.path;
  }
}

}  // namespace
}  // namespace msb::image
