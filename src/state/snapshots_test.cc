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
          .files = {{"upper.ext4", 1 << 20, kDigest}, {"patch.erofs", 4096}},
          .labels = {{"a", "b"}}};
}

TEST(SnapshotRecord, ComesBackAsItWas) {
  const std::string text = to_text(sample());
  auto back = snapshot_from_text(text);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(to_text(*back), text);
  EXPECT_EQ(back->parent, kDigest);
  EXPECT_EQ(back->files.size(), 2u);
  EXPECT_EQ(back->files[0].integrity, kDigest);
  EXPECT_EQ(back->files[1].integrity, "");
  EXPECT_TRUE(back->patched);
  EXPECT_EQ(snapshot_id(text).size(), 71u);
}

TEST(SnapshotRecord, ADirectoryHasNoManifest) {
  SnapshotRecord record = sample();
  record.image = SnapshotRecord::Image::directory;
  EXPECT_FALSE(snapshot_from_text(to_text(record)));
  record.manifest_digest = "";
  EXPECT_TRUE(snapshot_from_text(to_text(record)));
}

TEST(SnapshotRecord, NothingOutsideItsDirectoryIsNamed) {
  for (const char* name : {"", ".", "..", "../x", "/etc/passwd", "a/b", ".hidden", "snapshot.json"}) {
    json text = json::parse(to_text(sample()));
    text["files"][0]["file"] = name;
    auto back = snapshot_from_text(text.dump());
    ASSERT_FALSE(back) << name;
    EXPECT_EQ(back.error().kind(), ErrorKind::corrupt);
  }
  json twice = json::parse(to_text(sample()));
  twice["files"][1]["file"] = "upper.ext4";
  EXPECT_FALSE(snapshot_from_text(twice.dump()));
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
