// For tests of layers: tar streams made by hand, converted into a temporary directory.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/child.h"
#include "base/fd.h"
#include "base/temp_dir.h"
#include "disk/erofs_reader.h"
#include "image/layer_converter.h"
#include "image/layer_export.h"
#include "image/layer_tar_fields.h"
#include "image/layer_tar_writer.h"

namespace msb::image::testing {

struct Item {
  TarEntry entry;
  std::string data;
};

inline Item file(std::string path, std::string data = {}, uint32_t mode = 0644) {
  Item item;
  item.entry.path = std::move(path);
  item.entry.mode = mode;
  item.entry.size = data.size();
  item.data = std::move(data);
  return item;
}
inline Item typed(TarType type, std::string path, std::string target = {}, uint32_t mode = 0755) {
  Item item;
  item.entry.type = type;
  item.entry.path = std::move(path);
  item.entry.link_target = std::move(target);
  item.entry.mode = mode;
  return item;
}
inline Item directory(std::string path, uint32_t mode = 0755) {
  return typed(TarType::directory, std::move(path), {}, mode);
}
inline Item symlink(std::string path, std::string target) {
  return typed(TarType::symlink, std::move(path), std::move(target), 0777);
}
inline Item hard_link(std::string path, std::string target) {
  return typed(TarType::hard_link, std::move(path), std::move(target));
}

inline std::string make_tar(const std::vector<Item>& items) {
  std::string out;
  LayerTarWriter writer([&](ByteView bytes) -> Result<> {
    out += as_text(bytes);
    return {};
  });
  for (const Item& item : items) {
    EXPECT_TRUE(writer.entry(item.entry));
    EXPECT_TRUE(writer.data(as_bytes(item.data)));
    EXPECT_TRUE(writer.end_data());
  }
  EXPECT_TRUE(writer.finish());
  return out;
}

inline std::string padded(std::string text) {
  text.resize((text.size() + 511) / 512 * 512);
  return text;
}
inline std::string end_mark() {
  return std::string(1024, '\0');
}

inline void set_checksum(std::string& header) {
  header.replace(tar::kChecksum.offset, 8, "        ");
  unsigned sum = 0;
  for (unsigned char byte : header) sum += byte;
  char text[8];
  std::snprintf(text, sizeof(text), "%06o", sum);
  header.replace(tar::kChecksum.offset, 7, text, 7);
}
// A header block; fields may be replaced before set_checksum() is called again.
inline std::string raw_header(std::string_view name, char type, uint64_t size, std::string_view link = {}) {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  header.replace(tar::kMode.offset, 8, std::string_view("0000644\0", 8));
  header.replace(tar::kUid.offset, 8, std::string_view("0000000\0", 8));
  header.replace(tar::kGid.offset, 8, std::string_view("0000000\0", 8));
  char text[16];
  std::snprintf(text, sizeof(text), "%011llo", static_cast<unsigned long long>(size));
  header.replace(tar::kSize.offset, 12, text, 12);
  header.replace(tar::kMtime.offset, 12, std::string_view("00000000000\0", 12));
  header[tar::kType] = type;
  header.replace(tar::kLink.offset, link.size(), link);
  header.replace(tar::kMagic.offset, 8, std::string_view("ustar\00000", 8));
  set_checksum(header);
  return header;
}
// A pax header with these records, then nothing.
inline std::string pax(const std::vector<std::pair<std::string, std::string>>& records) {
  std::string text;
  for (const auto& [key, value] : records) {
    size_t length = key.size() + value.size() + 4;
    while (std::to_string(length).size() + key.size() + value.size() + 3 != length) ++length;
    text += cat(length, ' ', key, '=', value, '\n');
  }
  return raw_header("pax", 'x', text.size()) + padded(text);
}

// Converts into its own directory and reads the result.
class Layer {
 public:
  Layer() : dir_(*TempDir::create()) {}

  Result<LayerInfo> convert(std::string_view blob, Compression compression = Compression::by_magic, size_t piece = 0) {
    return convert({path(), compression, {}, {}}, blob, piece);
  }
  Result<LayerInfo> convert(LayerConverterOptions options, std::string_view blob, size_t piece = 0) {
    MSB_TRY(auto converter, LayerConverter::create(std::move(options)));
    for (size_t at = 0; at < blob.size();) {
      const size_t count = piece == 0 ? blob.size() : std::min(piece, blob.size() - at);
      MSB_CHECK(converter->feed(as_bytes(blob.substr(at, count))));
      at += count;
    }
    return converter->finish();
  }
  std::string path() const { return dir_.path() + "/layer.erofs"; }
  const std::string& directory() const { return dir_.path(); }

  void open() {
    auto reader = disk::ErofsReader::open(path());
    ASSERT_TRUE(reader) << reader.error().to_string();
    reader_.emplace(std::move(*reader));
    auto tree = reader_->load_tree();
    ASSERT_TRUE(tree) << tree.error().to_string();
    tree_.emplace(std::move(*tree));
  }
  const disk::ErofsTree& tree() const { return *tree_; }
  bool has(std::string_view path) const { return tree_->lookup(path) != disk::kNoInode; }
  // The inode at the path, or an empty one.
  const disk::Inode& at(std::string_view path) const {
    static const disk::Inode kNone;
    const disk::InodeId id = tree_->lookup(path);
    EXPECT_NE(id, disk::kNoInode) << path;
    return id == disk::kNoInode ? kNone : tree_->inode(id);
  }
  std::string content(std::string_view path) {
    const disk::Inode& inode = at(path);
    Bytes bytes(inode.size);
    auto count = reader_->read(inode, 0, bytes);
    EXPECT_TRUE(count) << path;
    return std::string(as_text(bytes));
  }

 private:
  TempDir dir_;
  std::optional<disk::ErofsReader> reader_;
  std::optional<disk::ErofsTree> tree_;
};

// fsck.erofs as the oracle: what it says, empty when it is content.
inline std::string fsck(const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {"fsck.erofs"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  auto out = run_capture(argv);
  return out ? "" : out.error().to_string();
}

}  // namespace msb::image::testing
