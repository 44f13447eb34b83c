#include "state/snapshots.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::state {
namespace {

using nlohmann::json;

const std::string kDigest = "sha256:" + std::string(64, 'a');

SnapshotRecord sample() {
  return {.created_at_ms = 7,
          .parent = kDigest,
          .reference = "alpine",
          .manifest_digest = kDigest,
          .source_sandbox = "setup",
          .root_size_mib = 4096,
          .patched = true,
          .files = {{"patch.erofs", 4096}, {"upper.ext4", uint64_t{4} << 30, kDigest}},
          .labels = {{"a", "b"}}};
}

TEST(SnapshotRecord, ComesBackAsItWas) {
  const std::string text = to_text(sample());
  auto back = snapshot_from_text(text);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(to_text(*back), text);
  EXPECT_EQ(back->parent, kDigest);
  EXPECT_EQ(back->files.size(), 2u);
  EXPECT_EQ(back->files[0].integrity, "");
  EXPECT_EQ(back->files[1].integrity, kDigest);
  EXPECT_TRUE(back->patched);
  EXPECT_EQ(snapshot_id(text).size(), 71u);
}

SnapshotRecord of_directory() {
  SnapshotRecord record = sample();
  record.image = SnapshotRecord::Image::directory;
  record.manifest_digest = "";
  record.files.insert(record.files.begin() + 1, {"root.erofs", 8192});
  return record;
}

void expect_corrupt(const SnapshotRecord& record) {
  auto back = snapshot_from_text(to_text(record));
  ASSERT_FALSE(back) << to_text(record);
  EXPECT_EQ(back.error().kind(), ErrorKind::corrupt);
}

TEST(SnapshotRecord, ADirectoryHasNoManifest) {
  SnapshotRecord record = of_directory();
  EXPECT_TRUE(snapshot_from_text(to_text(record)));
  record.manifest_digest = kDigest;
  expect_corrupt(record);
}

// Otherwise the first start would make one, of what this host has at the path that the description names.
TEST(SnapshotRecord, ADirectoryWithoutItsImageIsNone) {
  SnapshotRecord record = of_directory();
  record.reference = "/etc";
  record.files.erase(record.files.begin() + 1);
  expect_corrupt(record);
}

TEST(SnapshotRecord, ItsFilesAreThoseOfItsKindAndNoOthers) {
  for (const char* name : {"", ".", "..", "../x", "/etc/passwd", "a/b", ".hidden", "snapshot.json", "scripts.erofs",
                           "local-image", "logs", "root.erofs", "patch.erofs"}) {
    SnapshotRecord record = sample();
    record.files[1].file = name;
    expect_corrupt(record);
    record = sample();
    record.files.push_back({name, 4096});
    expect_corrupt(record);
  }
  SnapshotRecord record = sample();
  record.patched = false;
  expect_corrupt(record);
  record.files.erase(record.files.begin());
  EXPECT_TRUE(snapshot_from_text(to_text(record)));
  record.patched = true;
  expect_corrupt(record);
  record.files.clear();
  expect_corrupt(record);
}

TEST(SnapshotRecord, ItsSizesAreThoseOfDisks) {
  for (uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{4097}, uint64_t{1} << 62}) {
    SnapshotRecord record = sample();
    record.files[0].size = size;
    expect_corrupt(record);
  }
  for (uint32_t size_mib : {0u, 1u, 4095u, 4097u, UINT32_MAX}) {
    SnapshotRecord record = sample();
    record.root_size_mib = size_mib;
    expect_corrupt(record);
  }
  SnapshotRecord record = sample();
  record.root_size_mib = 0;
  record.files[1].size = 0;
  expect_corrupt(record);
  record.root_size_mib = UINT32_MAX;
  record.files[1].size = uint64_t{UINT32_MAX} << 20;
  expect_corrupt(record);
  record = sample();
  record.created_at_ms = -1;
  expect_corrupt(record);
  record.created_at_ms = INT64_MAX;
  expect_corrupt(record);
}

// One description has one text, and so one id.
TEST(SnapshotRecord, AnotherSpellingIsDamage) {
  const std::string text = to_text(sample());
  EXPECT_TRUE(snapshot_from_text(text));
  EXPECT_FALSE(snapshot_from_text(text + "\n"));
  EXPECT_FALSE(snapshot_from_text(json::parse(text).dump(2)));
  std::string twice = text;
  twice.insert(1, R"("schema":1,)");
  EXPECT_FALSE(snapshot_from_text(twice));
  std::string escaped = text;
  escaped.replace(escaped.find("alpine"), 1, "\\u0061");
  EXPECT_FALSE(snapshot_from_text(escaped));
}

TEST(SnapshotRecord, DamageIsFound) {
  const json good = json::parse(to_text(sample()));
  for (const auto& [key, value] : good.items()) {
    json bad = good;
    bad.erase(key);
    EXPECT_FALSE(snapshot_from_text(bad.dump())) << key;
    bad = good;
    bad[key] = json::array({1});
    EXPECT_FALSE(snapshot_from_text(bad.dump())) << key;
  }
  json bad = good;
  bad["extra"] = 1;
  EXPECT_FALSE(snapshot_from_text(bad.dump()));
  bad = good;
  bad["image"]["manifest_digest"] = "sha256:../../etc";
  EXPECT_FALSE(snapshot_from_text(bad.dump()));
  EXPECT_FALSE(snapshot_from_text(""));
}

TEST(Snapshots, AreFoundByName) {
  auto directory = TempDir::create().value();
  auto home = Home::at(directory.path()).value();
  EXPECT_FALSE(find_snapshot(home, "s").value());
  EXPECT_TRUE(list_snapshots(home).empty());
  ASSERT_TRUE(make_dirs(home.snapshot_dir("s")));
  const std::string text = to_text(sample());
  ASSERT_TRUE(write_file_atomic(home.snapshot_dir("s") + "/snapshot.json", text));
  auto found = find_snapshot(home, "s").value();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, snapshot_id(text));
  found = find_snapshot(home, home.snapshot_dir("s") + "/").value();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "s");
  ASSERT_TRUE(make_dirs(home.snapshot_dir("damaged")));
  ASSERT_TRUE(write_file_atomic(home.snapshot_dir("damaged") + "/snapshot.json", "{}"));
  EXPECT_EQ(find_snapshot(home, "damaged").error().kind(), ErrorKind::corrupt);
  EXPECT_EQ(list_snapshots(home).size(), 1u);
}

}  // namespace
}  // namespace msb::state
