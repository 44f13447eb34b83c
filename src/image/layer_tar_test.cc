// Dialects of tar, one test each.
#include "image/layer_tar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "image/testing/layer_helpers.h"

namespace msb::image {
namespace {

using testing::end_mark;
using testing::padded;
using testing::pax;
using testing::raw_header;

struct Seen {
  TarEntry entry;
  std::string data;
  bool operator==(const Seen& other) const {
    return entry.path == other.entry.path && entry.size == other.entry.size && data == other.data;
  }
};

class Recorder final : public TarSink {
 public:
  Result<> begin_entry(TarEntry& entry) override {
    seen.push_back({entry, {}});
    return {};
  }
  Result<> data(ByteView bytes) override {
    seen.back().data += as_text(bytes);
    return {};
  }
  Result<> end_entry() override {
    ++ended;
    return {};
  }
  std::vector<Seen> seen;
  size_t ended = 0;
};

Result<std::vector<Seen>> parse(std::string_view archive, size_t piece = 4096) {
  Recorder recorder;
  TarParser parser(recorder);
  for (size_t at = 0; at < archive.size(); at += piece) MSB_CHECK(parser.feed(as_bytes(archive.substr(at, piece))));
  MSB_CHECK(parser.finish());
  EXPECT_EQ(recorder.ended, recorder.seen.size());
  return recorder.seen;
}
Seen parse_one(std::string_view archive) {
  auto seen = parse(archive);
  EXPECT_TRUE(seen) << seen.error().to_string();
  if (!seen || seen->size() != 1) {
    ADD_FAILURE() << "not one entry";
    return {};
  }
  return seen->front();
}
std::string error_of(std::string_view archive) {
  auto seen = parse(archive);
  return seen ? "no error" : seen.error().to_string();
}

TEST(TarParser, ReadsPlainFile) {
  Seen seen = parse_one(raw_header("a/b", '0', 5) + padded("hello") + end_mark());
  EXPECT_EQ(seen.entry.path, "a/b");
  EXPECT_EQ(seen.entry.mode, 0644u);
  EXPECT_EQ(seen.data, "hello");
}

TEST(TarParser, AnySplitOfTheStreamGivesTheSame) {
  const std::string archive = pax({{"path", "long/name"}, {"SCHILY.xattr.user.a", "1"}}) + raw_header("x", '0', 700) +
                              padded(std::string(700, 'q')) + raw_header("d", '5', 0) + end_mark();
  auto whole = parse(archive, archive.size());
  ASSERT_TRUE(whole);
  for (size_t piece : {1, 7, 511, 512, 513}) EXPECT_EQ(*parse(archive, piece), *whole) << piece;
}

TEST(TarParser, JoinsUstarPrefix) {
  std::string header = raw_header("name", '0', 0);
  header.replace(tar::kPrefix.offset, 3, "dir");
  testing::set_checksum(header);
  EXPECT_EQ(parse_one(header).entry.path, "dir/name");
}

TEST(TarParser, ReadsGnuLongNames) {
  const std::string name(300, 'n'), link(300, 'l');
  std::string archive = raw_header("././@LongLink", 'L', 301) + padded(name + '\0') +
                        raw_header("././@LongLink", 'K', 301) + padded(link + '\0') + raw_header("n", '2', 0, "l");
  Seen seen = parse_one(archive);
  EXPECT_EQ(seen.entry.path, name);
  EXPECT_EQ(seen.entry.link_target, link);
}

TEST(TarParser, ReadsBase256Numbers) {
  std::string header = raw_header("big", '0', 0);
  header.replace(tar::kUid.offset, 8, std::string("\x80\0\0\0\x7f\xff\xff\xff", 8));
  header.replace(tar::kMtime.offset, 12, std::string(11, '\xff') + "\xfe");
  testing::set_checksum(header);
  Seen seen = parse_one(header);
  EXPECT_EQ(seen.entry.uid, 0x7fffffffu);
  EXPECT_EQ(seen.entry.mtime, -2);
}

TEST(TarParser, PaxRecordsOverrideTheHeader) {
  Seen seen = parse_one(pax({{"path", "p"},
                             {"linkpath", "t"},
                             {"uid", "70000"},
                             {"gid", "80000"},
                             {"mtime", "-1.25"},
                             {"SCHILY.xattr.user.k", std::string("a\0=\n", 4)},
                             {"LIBARCHIVE.xattr.user.%6b2", "aGk="}}) +
                        raw_header("h", '2', 0, "x"));
  EXPECT_EQ(seen.entry.path, "p");
  EXPECT_EQ(seen.entry.link_target, "t");
  EXPECT_EQ(seen.entry.uid, 70000u);
  EXPECT_EQ(seen.entry.gid, 80000u);
  EXPECT_EQ(seen.entry.mtime, -2);
  EXPECT_EQ(seen.entry.mtime_nsec, 750'000'000u);
  ASSERT_EQ(seen.entry.xattrs.size(), 2u);
  EXPECT_EQ(seen.entry.xattrs[0].value, std::string("a\0=\n", 4));
  EXPECT_EQ(seen.entry.xattrs[1].name, "user.k2");
  EXPECT_EQ(seen.entry.xattrs[1].value, "hi");
}

TEST(TarParser, PaxSizeRules) {
  Seen seen = parse_one(pax({{"size", "3"}}) + raw_header("f", '0', 0) + padded("abc"));
  EXPECT_EQ(seen.data, "abc");
}

TEST(TarParser, PaxRecordsEndWithTheirEntry) {
  auto seen = parse(pax({{"path", "p"}, {"uid", "9"}}) + raw_header("a", '0', 0) + raw_header("b", '0', 0));
  ASSERT_TRUE(seen);
  ASSERT_EQ(seen->size(), 2u);
  EXPECT_EQ((*seen)[1].entry.path, "b");
  EXPECT_EQ((*seen)[1].entry.uid, 0u);
}

TEST(TarParser, GlobalPaxHeaderChangesNothing) {
  std::string records = "30 comment=0123456789abcdefgh\n";
  EXPECT_EQ(parse_one(raw_header("g", 'g', records.size()) + padded(records) + raw_header("f", '0', 0)).entry.path,
            "f");
}

TEST(TarParser, OldDirectoriesEndWithSlash) {
  EXPECT_EQ(parse_one(raw_header("d/", '\0', 0)).entry.type, TarType::directory);
}

void expect_sparse(const Seen& seen) {
  EXPECT_TRUE(seen.entry.sparse);
  EXPECT_EQ(seen.entry.path, "f");
  EXPECT_EQ(seen.entry.size, 100000u);
  ASSERT_EQ(seen.entry.segments.size(), 2u);
  EXPECT_EQ(seen.entry.segments[0].offset, 10u);
  EXPECT_EQ(seen.entry.segments[1].offset, 50000u);
  EXPECT_EQ(seen.entry.segments[1].length, 3u);
  EXPECT_EQ(seen.data, "abxyz");
}

TEST(TarParser, ReadsPaxSparse00) {
  expect_sparse(parse_one(pax({{"GNU.sparse.size", "100000"},
                               {"GNU.sparse.numblocks", "2"},
                               {"GNU.sparse.offset", "10"},
                               {"GNU.sparse.numbytes", "2"},
                               {"GNU.sparse.offset", "50000"},
                               {"GNU.sparse.numbytes", "3"}}) +
                          raw_header("f", '0', 5) + padded("abxyz")));
}

TEST(TarParser, ReadsPaxSparse01) {
  expect_sparse(parse_one(
      pax({{"GNU.sparse.size", "100000"}, {"GNU.sparse.name", "f"}, {"GNU.sparse.map", "10,2,50000,3,100000,0"}}) +
      raw_header("GNUSparseFile.1/f", '0', 5) + padded("abxyz")));
}

TEST(TarParser, ReadsPaxSparse10) {
  expect_sparse(parse_one(pax({{"GNU.sparse.major", "1"},
                               {"GNU.sparse.minor", "0"},
                               {"GNU.sparse.realsize", "100000"},
                               {"GNU.sparse.name", "f"}}) +
                          raw_header("x", '0', 517) + padded("2\n10\n2\n50000\n3\n") + padded("abxyz")));
}

TEST(TarParser, ReadsOldGnuSparseWithExtension) {
  std::string header = raw_header("f", 'S', 5);
  header.replace(tar::kMagic.offset, 8, std::string_view("ustar  \0", 8));
  header.replace(tar::kPrefix.offset, 155, std::string(155, '\0'));
  header.replace(tar::kGnuSegments, 24, std::string_view("00000000012\00000000000002\0", 24));
  header[tar::kGnuIsExtended] = 1;
  header.replace(tar::kGnuRealSize, 12, std::string_view("00000303240\0", 12));
  testing::set_checksum(header);
  std::string extension(512, '\0');
  extension.replace(0, 24, std::string_view("00000141520\00000000000003\0", 24));
  expect_sparse(parse_one(header + extension + padded("abxyz")));
}

TEST(TarParser, RefusesSparseMapsThatLie) {
  auto sparse = [](std::string map) {
    return pax({{"GNU.sparse.size", "100"}, {"GNU.sparse.map", map}}) + raw_header("f", '0', 5) + padded("abxyz");
  };
  EXPECT_THAT(error_of(sparse("10,2,11,3")), ::testing::HasSubstr("overlap"));
  EXPECT_THAT(error_of(sparse("10,2,98,3")), ::testing::HasSubstr("overlap"));
  EXPECT_THAT(error_of(sparse("10,2,50,4")), ::testing::HasSubstr("does not fit"));
  EXPECT_THAT(error_of(sparse("10,2,50")), ::testing::HasSubstr("bad sparse map"));
  EXPECT_THAT(error_of(sparse("10,18446744073709551615")), ::testing::HasSubstr("bad sparse map"));
}

TEST(TarParser, EmptyStreamAndMissingEndMarkAreFine) {
  EXPECT_TRUE(parse(""));
  EXPECT_TRUE(parse(raw_header("f", '0', 0)));
}

TEST(TarParser, IgnoresWhatFollowsTheEndMark) {
  EXPECT_EQ(parse_one(raw_header("f", '0', 0) + end_mark() + std::string(700, 'x')).entry.path, "f");
}

TEST(TarParser, ReportsTruncation) {
  const std::string archive = pax({{"path", "f"}}) + raw_header("x", '0', 600) + padded(std::string(600, 'd'));
  for (size_t size : {1u, 511u, 513u, 600u, 1024u, 1100u, 1536u, 2000u, 2500u}) {
    EXPECT_THAT(error_of(archive.substr(0, size)), ::testing::HasSubstr("cut off")) << size;
  }
}

TEST(TarParser, ReportsDamage) {
  std::string broken = raw_header("f", '0', 0);
  broken[0] ^= 1;
  EXPECT_THAT(error_of(broken), ::testing::HasSubstr("checksum"));
  EXPECT_THAT(error_of(raw_header("f", '?', 0)), ::testing::HasSubstr("unknown type 63"));
  EXPECT_THAT(error_of(raw_header("x", 'x', 2'000'000)), ::testing::HasSubstr("1 MiB"));
  EXPECT_THAT(error_of(raw_header("x", 'x', 4) + padded("9 a\n")), ::testing::HasSubstr("bad pax record"));
  EXPECT_THAT(error_of(pax({{"path", "p"}}) + end_mark()), ::testing::HasSubstr("without an entry"));
  EXPECT_THAT(error_of(pax({{"uid", "4294967296"}}) + raw_header("f", '0', 0)), ::testing::HasSubstr("id"));
  EXPECT_THAT(error_of(pax({{"SCHILY.xattr.user.a", std::string(70000, 'v')}}) + raw_header("f", '0', 0)),
              ::testing::HasSubstr("64 KiB"));
  EXPECT_THAT(error_of(std::string(512, '\0') + raw_header("f", '0', 0)), ::testing::HasSubstr("behind the end mark"));
  std::string negative = raw_header("f", '0', 0);
  negative.replace(tar::kSize.offset, 12, std::string(12, '\xff'));
  testing::set_checksum(negative);
  EXPECT_THAT(error_of(negative), ::testing::HasSubstr("bad size"));
}

}  // namespace
}  // namespace msb::image
