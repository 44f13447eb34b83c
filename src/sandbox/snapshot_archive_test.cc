#include "sandbox/snapshot_archive.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/temp_dir.h"
#include "image/layer_tar_writer.h"
#include "sandbox/content_digest.h"

namespace msb {
namespace {

using image::TarEntry;
using image::TarType;
using nlohmann::json;
using state::SnapshotRecord;

const std::string kManifest(64, 'a');
// The smallest disk and the smallest image that a description may have.
const std::string kDisk(1 << 20, 'd');
const std::string kRoot(4096, 'r');

class SnapshotArchiveTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_dirs(from_.snapshot_dir("one")));
    Fd disk = open_file(from_.snapshot_dir("one") + "/upper.ext4", O_RDWR | O_CREAT).value();
    ASSERT_EQ(::ftruncate(disk.get(), 64 << 20), 0);
    for (uint64_t at = 0; at < 20; ++at)
      ASSERT_TRUE(pwrite_full(disk.get(), as_bytes(cat("data ", at)), at * 3'000'000));
    record_ = {.created_at_ms = 1,
               .reference = "alpine",
               .manifest_digest = "sha256:" + kManifest,
               .source_sandbox = "setup",
               .root_size_mib = 64,
               .files = {{"upper.ext4", 64 << 20}}};
    ASSERT_TRUE(write_file_atomic(from_.snapshot_dir("one") + "/snapshot.json", to_text(record_)));
  }
  Fd archive() { return open_file(directory_.path() + "/archive", O_RDWR | O_CREAT | O_TRUNC).value(); }
  Fd write(ArchiveCompression compression) {
    Fd file = archive();
    auto snapshot = state::find_snapshot(from_, "one").value();
    EXPECT_TRUE(write_snapshot_archive(file.get(), {*snapshot}, {}, compression));
    EXPECT_EQ(::lseek(file.get(), 0, SEEK_SET), 0);
    return file;
  }

  // Archives by hand.
  struct Entry {
    std::string path;
    std::string text;
    TarType type = TarType::file;
  };
  Result<std::vector<std::string>> read(const std::vector<Entry>& entries) {
    Fd file = archive();
    image::LayerTarWriter tar([&](ByteView bytes) { return write_full(file.get(), bytes); });
    for (const auto& [path, text, type] : entries) {
      TarEntry entry;
      entry.type = type;
      entry.path = path;
      entry.mode = 0644;
      entry.size = text.size();
      if (type == TarType::symlink) entry.link_target = "/etc";
      EXPECT_TRUE(tar.entry(entry));
      if (type != TarType::file) continue;
      EXPECT_TRUE(tar.data(as_bytes(text)));
      EXPECT_TRUE(tar.end_data());
    }
    EXPECT_TRUE(tar.finish());
    EXPECT_EQ(::lseek(file.get(), 0, SEEK_SET), 0);
    return read_snapshot_archive(file.get(), to_);
  }
  std::string small_record() {
    record_.root_size_mib = 1;
    record_.files = {{"upper.ext4", kDisk.size()}};
    return to_text(record_);
  }
  std::string directory_record() {
    record_.image = SnapshotRecord::Image::directory;
    record_.reference = "/etc";
    record_.manifest_digest = "";
    record_.root_size_mib = 1;
    record_.files = {{"root.erofs", kRoot.size()}, {"upper.ext4", kDisk.size()}};
    return to_text(record_);
  }
  std::string digest_of(const std::string& text) {
    Fd file = open_file(directory_.path() + "/digest", O_RDWR | O_CREAT | O_TRUNC).value();
    EXPECT_TRUE(write_full(file.get(), as_bytes(text)));
    return content_digest(file.get()).value();
  }
  std::string small_digests() { return json{{"upper.ext4", digest_of(kDisk)}}.dump(); }
  void expect_nothing_entered() {
    EXPECT_TRUE(state::list_snapshots(to_).empty());
    EXPECT_TRUE(names_in(to_.trash_dir()).empty());
    EXPECT_TRUE(names_in(to_.snapshots_dir()).empty());
  }

  TempDir directory_ = TempDir::create().value();
  state::Home from_ = state::Home::at(directory_.path() + "/from").value();
  state::Home to_ = state::Home::at(directory_.path() + "/to").value();
  SnapshotRecord record_;
};

TEST_F(SnapshotArchiveTest, WhatIsWrittenIsRead) {
  for (auto compression : {ArchiveCompression::none, ArchiveCompression::zstd}) {
    Fd file = write(compression);
    EXPECT_LT(::lseek(file.get(), 0, SEEK_END), 1 << 20) << "holes are not in the archive";
    ::lseek(file.get(), 0, SEEK_SET);
    auto names = read_snapshot_archive(file.get(), to_);
    ASSERT_TRUE(names) << names.error().to_string();
    EXPECT_EQ(*names, std::vector<std::string>{"one"});
    auto there = state::find_snapshot(to_, "one").value();
    ASSERT_TRUE(there);
    EXPECT_EQ(there->id, state::find_snapshot(from_, "one").value()->id);
    Fd before = open_file(from_.snapshot_dir("one") + "/upper.ext4").value();
    Fd after = open_file(to_.snapshot_dir("one") + "/upper.ext4").value();
    EXPECT_EQ(content_digest(before.get()).value(), content_digest(after.get()).value());
    // Once more is no mistake.
    ::lseek(file.get(), 0, SEEK_SET);
    auto again = read_snapshot_archive(file.get(), to_);
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_TRUE(again->empty());
    ASSERT_TRUE(remove_tree(to_.snapshot_dir("one")));
  }
}

TEST_F(SnapshotArchiveTest, AnotherOfThatNameStays) {
  ASSERT_TRUE(make_dirs(to_.snapshot_dir("one")));
  record_.created_at_ms = 2;
  ASSERT_TRUE(write_file_atomic(to_.snapshot_dir("one") + "/snapshot.json", to_text(record_)));
  Fd file = write(ArchiveCompression::zstd);
  auto names = read_snapshot_archive(file.get(), to_);
  ASSERT_FALSE(names);
  EXPECT_EQ(names.error().kind(), ErrorKind::snapshot_already_exists);
  EXPECT_EQ(state::find_snapshot(to_, "one").value()->record.created_at_ms, 2);
}

TEST_F(SnapshotArchiveTest, DamageIsFoundWhereverItIs) {
  for (auto compression : {ArchiveCompression::none, ArchiveCompression::zstd}) {
    Fd file = write(compression);
    const auto size = static_cast<uint64_t>(::lseek(file.get(), 0, SEEK_END));
    for (uint64_t at = size / 10; at < size * 9 / 10; at += size / 40 + 1) {
      uint8_t byte[1];
      ASSERT_TRUE(pread_full(file.get(), byte, at));
      const uint8_t good = byte[0];
      byte[0] ^= 0xff;
      ASSERT_TRUE(pwrite_full(file.get(), byte, at));
      ::lseek(file.get(), 0, SEEK_SET);
      auto names = read_snapshot_archive(file.get(), to_);
      // A tar has padding that means nothing.
      if (names) {
        Fd before = open_file(from_.snapshot_dir("one") + "/upper.ext4").value();
        Fd after = open_file(to_.snapshot_dir("one") + "/upper.ext4").value();
        EXPECT_EQ(content_digest(before.get()).value(), content_digest(after.get()).value()) << at;
        ASSERT_TRUE(remove_tree(to_.snapshot_dir("one")));
      }
      expect_nothing_entered();
      byte[0] = good;
      ASSERT_TRUE(pwrite_full(file.get(), byte, at));
    }
    ASSERT_EQ(::ftruncate(file.get(), static_cast<off_t>(size / 2)), 0);
    ::lseek(file.get(), 0, SEEK_SET);
    EXPECT_FALSE(read_snapshot_archive(file.get(), to_));
    expect_nothing_entered();
  }
}

TEST_F(SnapshotArchiveTest, ByHandItCanBeDone) {
  auto names =
      read({{"x/snapshot.json", small_record()}, {"x/digests.json", small_digests()}, {"x/upper.ext4", kDisk}});
  ASSERT_TRUE(names) << names.error().to_string();
  EXPECT_EQ(read_file(to_.snapshot_dir("x") + "/upper.ext4").value(), kDisk);
}

TEST_F(SnapshotArchiveTest, OneOfADirectoryBringsItsImage) {
  const std::vector<Entry> good = {
      {"x/snapshot.json", directory_record()},
      {"x/digests.json", json{{"root.erofs", digest_of(kRoot)}, {"upper.ext4", digest_of(kDisk)}}.dump()},
      {"x/root.erofs", kRoot},
      {"x/upper.ext4", kDisk}};
  EXPECT_FALSE(read({good[0], good[1], good[3]})) << "the image is missing";
  expect_nothing_entered();
  json without = json::parse(good[0].text);
  without["files"].erase(0);
  EXPECT_FALSE(read({{"x/snapshot.json", without.dump()}, {"x/digests.json", small_digests()}, good[3]}))
      << "the description does not name it";
  expect_nothing_entered();
  auto names = read(good);
  ASSERT_TRUE(names) << names.error().to_string();
  EXPECT_EQ(read_file(to_.snapshot_dir("x") + "/root.erofs").value(), kRoot);
}

TEST_F(SnapshotArchiveTest, WhatDoesNotBelongIsRefused) {
  const std::string record = small_record(), digests = small_digests();
  const std::vector<Entry> good = {{"x/snapshot.json", record}, {"x/digests.json", digests}, {"x/upper.ext4", kDisk}};
  auto with = [&](Entry entry) {
    auto entries = good;
    entries.push_back(std::move(entry));
    return entries;
  };
  std::string another = kDisk;
  another.back() = 'c';
  const std::string image = "image-" + kManifest + ".tar";
  std::vector<Entry> too_many;
  for (int i = 0; i < 65; ++i) too_many.push_back({cat("x", i, "/snapshot.json"), record});
  const std::vector<std::vector<Entry>> bad = {
      {},
      {good[0]},
      {good[0], good[2]},
      {good[2]},
      {good[1]},
      {good[0], good[1], {"x/upper.ext4", another}},
      {good[0], good[1], {"x/upper.ext4", kDisk + "and more"}},
      {good[0], good[1], {"x/upper.ext4", "", TarType::symlink}},
      {good[0], {"x/digests.json", "{}"}, good[2]},
      {good[0], {"x/digests.json", "[]"}, good[2]},
      {good[0], {"x/digests.json", R"({"upper.ext4":"","root.erofs":""})"}, good[2]},
      {{"x/snapshot.json", "{}"}},
      {{"x/snapshot.json", record + "\n"}, good[1], good[2]},
      {{"../x/snapshot.json", record}},
      {{"/x/snapshot.json", record}},
      {{".hidden/snapshot.json", record}},
      {{"x/../../snapshot.json", record}},
      too_many,
      with({"x/upper.ext4", kDisk}),
      with({"x/snapshot.json", record}),
      with({"x/digests.json", digests}),
      with({"x/extra", "disk"}),
      with({"x/root.erofs", kRoot}),
      with({"x/scripts.erofs", kRoot}),
      with({"x/../evil", "disk"}),
      with({"evil", "disk"}),
      with({"image-../../x.tar", "image"}),
      with({"image-.tar", "image"}),
      with({"image-abc.tar", "image"}),
      with({"image-" + kManifest + "a.tar", "image"}),
      with({"image-" + std::string(64, 'b') + ".tar", "image"}),  // nobody names it
      with({"image-" + std::string(64, 'A') + ".tar", "image"}),
      with({image, "this is no image"}),
      {good[0], good[1], good[2], {image, "one"}, {image, "two"}},
      {{image, "too early"}, good[0], good[1], good[2]},
      with({"y", "", TarType::directory}),
      with({"x/local-image", "sha256:"}),
      with({"x/link", "", TarType::symlink}),
  };
  for (size_t i = 0; i < bad.size(); ++i) {
    auto names = read(bad[i]);
    EXPECT_FALSE(names) << i;
    expect_nothing_entered();
  }
  EXPECT_FALSE(path_exists(directory_.path() + "/evil"));
}

}  // namespace
}  // namespace msb
