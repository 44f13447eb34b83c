// A tree sent by somebody who wants to reach files outside the destination.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/temp_dir.h"
#include "tree/testing/snapshot.h"
#include "tree/tree_stream.h"
#include "tree/tree_writer.h"

namespace msb::tree {
namespace {

using wire::FileKind;

wire::TreeEntry thing(FileKind kind, std::string_view name, std::string_view target = {}) {
  wire::TreeEntry entry;
  entry.kind = kind;
  entry.name = as_bytes(name);
  entry.mode = 0644;
  entry.target = as_bytes(target);
  if (kind == FileKind::directory) entry.mode = 0755;
  return entry;
}

struct HostileTree : ::testing::Test {
  TempDir temp = *TempDir::create();
  std::string outside = temp.path() + "/outside";
  std::string into = temp.path() + "/into";
  TreeWriter writer;

  HostileTree() : writer(make_destination(), "tree", Trust::foreign) {}
  Fd make_destination() {
    ::mkdir(outside.c_str(), 0755);
    ::mkdir(into.c_str(), 0755);
    (void)write_file_atomic(outside + "/precious", "precious");
    return *open_file(into, O_RDONLY | O_DIRECTORY);
  }
  void expect_outside_untouched() {
    EXPECT_EQ(testing::snapshot(outside, testing::Times::ignored).size(), 1u);
    EXPECT_EQ(read_file(outside + "/precious").value(), "precious");
  }
  Result<> decode(const Bytes& stream) {
    TreeDecoder decoder(writer);
    MSB_CHECK(decoder.feed(stream));
    return decoder.finish();
  }
};

template <wire::Message... Ts>
Bytes frames(const Ts&... messages) {
  Bytes stream;
  (
      [&] {
        Bytes frame = wire::make_frame(0, 0, messages);
        stream.insert(stream.end(), frame.begin(), frame.end());
      }(),
      ...);
  return stream;
}

TEST_F(HostileTree, names_that_lead_elsewhere_are_refused_by_decoder_and_writer) {
  std::string too_long(256, 'x');
  for (std::string_view name : {std::string_view(""), std::string_view("."), std::string_view(".."),
                                std::string_view("../outside/x"), std::string_view("/etc/passwd"),
                                std::string_view("a/b"), std::string_view("a\0b", 3), std::string_view(too_long)}) {
    TreeWriter fresh(*open_file(into, O_RDONLY | O_DIRECTORY), "tree", Trust::foreign);
    TreeDecoder decoder(fresh);
    auto refused = decoder.feed(frames(thing(FileKind::directory, "tree"), thing(FileKind::file, name)));
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().kind(), ErrorKind::protocol) << name;
    EXPECT_FALSE(fresh.entry(thing(FileKind::file, name))) << name;
    EXPECT_FALSE(fresh.entry(thing(FileKind::directory, name))) << name;
    EXPECT_FALSE(fresh.entry(thing(FileKind::symlink, name, "x"))) << name;
  }
  expect_outside_untouched();
}

TEST_F(HostileTree, the_root_s_name_is_the_receiver_s) {
  ASSERT_TRUE(
      decode(frames(thing(FileKind::file, "../outside/precious"), wire::TreeData{as_bytes("bad")}, wire::TreeEnd{})));
  EXPECT_EQ(read_file(into + "/tree").value(), "bad");
  expect_outside_untouched();
}

TEST_F(HostileTree, a_link_that_came_with_the_tree_is_not_entered) {
  auto refused = decode(frames(thing(FileKind::directory, "tree"), thing(FileKind::symlink, "way", outside),
                               thing(FileKind::directory, "way"), thing(FileKind::file, "precious")));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().errnum(), ENOTDIR);
  expect_outside_untouched();
}

TEST_F(HostileTree, a_link_that_was_there_before_is_not_entered) {
  ASSERT_EQ(::mkdir((into + "/tree").c_str(), 0755), 0);
  ASSERT_EQ(::symlink(outside.c_str(), (into + "/tree/way").c_str()), 0);
  EXPECT_FALSE(decode(frames(thing(FileKind::directory, "tree"), thing(FileKind::directory, "way"))));
  expect_outside_untouched();
}

TEST_F(HostileTree, a_link_in_the_root_s_place_is_not_entered) {
  ASSERT_EQ(::symlink(outside.c_str(), (into + "/tree").c_str()), 0);
  EXPECT_FALSE(decode(frames(thing(FileKind::directory, "tree"), thing(FileKind::file, "precious"))));
  expect_outside_untouched();
}

TEST_F(HostileTree, a_file_replaces_a_link_and_does_not_write_through_it) {
  std::string precious = outside + "/precious";
  ASSERT_TRUE(
      decode(frames(thing(FileKind::directory, "tree"), thing(FileKind::symlink, "f", precious),
                    thing(FileKind::file, "f"), wire::TreeData{as_bytes("bad")}, wire::TreeEnd{}, wire::TreeLeave{})));
  EXPECT_EQ(read_file(into + "/tree/f").value(), "bad");
  expect_outside_untouched();
}

TEST_F(HostileTree, a_file_does_not_write_through_a_hard_link) {
  ASSERT_EQ(::mkdir((into + "/tree").c_str(), 0755), 0);
  ASSERT_EQ(::link((outside + "/precious").c_str(), (into + "/tree/f").c_str()), 0);
  ASSERT_TRUE(decode(frames(thing(FileKind::directory, "tree"), thing(FileKind::file, "f"),
                            wire::TreeData{as_bytes("bad")}, wire::TreeEnd{}, wire::TreeLeave{})));
  expect_outside_untouched();
}

TEST_F(HostileTree, a_hard_link_does_not_leave_the_tree) {
  for (std::string_view target : {"../outside/precious", "/etc/passwd", "a/../../x", "", "a//b", "."}) {
    TreeWriter fresh(*open_file(into, O_RDONLY | O_DIRECTORY), "tree", Trust::foreign);
    TreeDecoder decoder(fresh);
    auto refused = decoder.feed(frames(thing(FileKind::directory, "tree"), thing(FileKind::hard_link, "h", target)));
    ASSERT_FALSE(refused) << target;
    EXPECT_FALSE(fresh.entry(thing(FileKind::hard_link, "h", target))) << target;
  }
  auto through_link = decode(frames(thing(FileKind::directory, "tree"), thing(FileKind::symlink, "way", outside),
                                    thing(FileKind::hard_link, "h", "way/precious")));
  EXPECT_FALSE(through_link);
  struct stat status;
  ASSERT_EQ(::stat((outside + "/precious").c_str(), &status), 0);
  EXPECT_EQ(status.st_nlink, 1u);
}

TEST_F(HostileTree, set_id_bits_are_dropped_and_devices_left_out) {
  auto program = thing(FileKind::file, "program");
  program.mode = 06755;
  auto folder = thing(FileKind::directory, "tree");
  folder.mode = 07777;
  ASSERT_TRUE(decode(frames(folder, program, wire::TreeEnd{}, thing(FileKind::char_device, "null"),
                            thing(FileKind::block_device, "disk"), wire::TreeLeave{})));
  struct stat status;
  ASSERT_EQ(::stat((into + "/tree/program").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0755u);
  ASSERT_EQ(::stat((into + "/tree").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0777u);
  EXPECT_THAT(writer.skipped(), ::testing::ElementsAre("tree/null", "tree/disk"));
  EXPECT_FALSE(path_exists(into + "/tree/null"));
}

TEST_F(HostileTree, what_belongs_to_others_stays_the_caller_s) {
  auto file = thing(FileKind::file, "f");
  file.uid = 4242;
  ASSERT_TRUE(decode(frames(file, wire::TreeEnd{})));
  struct stat status;
  ASSERT_EQ(::stat((into + "/tree").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, ::geteuid());
}

TEST_F(HostileTree, streams_out_of_order_are_refused) {
  auto folder = thing(FileKind::directory, "d");
  auto file = thing(FileKind::file, "f");
  int number = 0;
  for (const Bytes& stream :
       {frames(wire::TreeLeave{}), frames(wire::TreeEnd{}), frames(wire::TreeData{as_bytes("x")}),
        frames(wire::TreeHole{1}), frames(file, file), frames(file, folder), frames(folder, wire::TreeEnd{}),
        frames(folder, wire::TreeData{}), frames(file, wire::TreeLeave{}), frames(file, wire::TreeEnd{}, file),
        frames(folder, wire::TreeLeave{}, folder), frames(wire::Ping{}), frames(file, wire::TreeHole{UINT64_MAX}),
        frames(file, wire::TreeHole{kMaxFileSize}, wire::TreeHole{1}), frames(thing(FileKind::symlink, "s", "")),
        frames(thing(FileKind::hard_link, "h", "x"))}) {
    TreeWriter fresh(*open_file(into, O_RDONLY | O_DIRECTORY), cat("tree", ++number), Trust::foreign);
    TreeDecoder decoder(fresh);
    auto refused = decoder.feed(stream);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::protocol);
  }
  EXPECT_FALSE(decode({}));
  EXPECT_FALSE(decode(frames(folder)));
  EXPECT_FALSE(decode(Bytes(100, 0xff)));
}

TEST_F(HostileTree, endless_depth_is_refused) {
  TreeDecoder decoder(writer);
  Result<> outcome;
  size_t depth = 0;
  while (outcome) {
    outcome = decoder.feed(frames(thing(FileKind::directory, "d")));
    ASSERT_LE(++depth, kMaxDepth + 1);
  }
  EXPECT_EQ(outcome.error().kind(), ErrorKind::protocol);
}

}  // namespace
}  // namespace msb::tree
