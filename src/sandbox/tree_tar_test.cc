#include "sandbox/tree_tar.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/temp_dir.h"
#include "tree/testing/snapshot.h"
#include "tree/tree_reader.h"
#include "tree/tree_writer.h"

namespace msb {
namespace {

struct TreeTar : ::testing::Test {
  TempDir temp = *TempDir::create();
  std::string from = temp.path() + "/from";
  std::string into = temp.path() + "/into";
  std::string archive = temp.path() + "/archive.tar";

  TreeTar() {
    ::mkdir(from.c_str(), 0755);
    ::mkdir(into.c_str(), 0755);
  }
  Result<> unpack(ByteView bytes) {
    tree::TreeWriter writer(*open_file(into, O_RDONLY | O_DIRECTORY), tree::Trust::own);
    TreeTarSink sink(writer);
    image::TarParser parser(sink);
    for (; !bytes.empty(); bytes = bytes.subspan(std::min<size_t>(bytes.size(), 1000)))
      MSB_CHECK(parser.feed(bytes.first(std::min<size_t>(bytes.size(), 1000))));
    MSB_CHECK(parser.finish());
    return sink.finish();
  }
  Result<> pack(const std::string& name) {
    Fd out = *open_file(archive, O_WRONLY | O_CREAT | O_TRUNC);
    TarTreeSink sink(name, [&](ByteView bytes) { return write_full(out.get(), bytes); });
    MSB_CHECK(tree::read_tree(from, {}, sink));
    return sink.finish();
  }
  void fill() {
    (void)write_file_atomic(from + "/text", "text", 0640);
    (void)write_file_atomic(from + "/tool", std::string(100'000, 't'), 0755);
    ::mkdir((from + "/folder").c_str(), 0711);
    (void)write_file_atomic(from + "/folder/" + std::string(200, 'n') + "\xff", "long");
    (void)::symlink("../text", (from + "/folder/link").c_str());
    ::mkfifo((from + "/fifo").c_str(), 0644);
  }
};

TEST_F(TreeTar, tar_unpacks_what_we_pack) {
  fill();
  ASSERT_TRUE(pack("from"));
  ASSERT_TRUE(run_capture({"tar", "-xpf", archive, "-C", into}));
  EXPECT_EQ(tree::testing::snapshot(into + "/from"), tree::testing::snapshot(from));
}

TEST_F(TreeTar, we_unpack_what_tar_packs) {
  fill();
  ASSERT_EQ(::link((from + "/text").c_str(), (from + "/folder/again").c_str()), 0);
  Fd sparse = *open_file(from + "/sparse", O_RDWR | O_CREAT);
  ASSERT_TRUE(pwrite_full(sparse.get(), as_bytes("x"), 3 << 20));
  ASSERT_EQ(::ftruncate(sparse.get(), 5 << 20), 0);
  for (const char* format : {"--format=gnu", "--format=posix"}) {
    ASSERT_TRUE(run_capture({"tar", "-cSf", archive, format, "-C", temp.path(), "from"}));
    ASSERT_TRUE(unpack(as_bytes(read_file(archive).value()))) << format;
    auto times =
        std::string_view(format) == "--format=gnu" ? tree::testing::Times::ignored : tree::testing::Times::compared;
    EXPECT_EQ(tree::testing::snapshot(into + "/from", times), tree::testing::snapshot(from, times)) << format;
    ASSERT_TRUE(remove_tree(into + "/from"));
  }
}

TEST_F(TreeTar, content_alone_is_called_dot) {
  (void)write_file_atomic(from + "/text", "text");
  ASSERT_TRUE(pack("."));
  EXPECT_EQ(run_capture({"tar", "-tf", archive}).value(), "./\n./text\n");
}

TEST_F(TreeTar, entries_in_any_order_find_their_directories) {
  Bytes bytes;
  image::LayerTarWriter tar([&](ByteView piece) {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
    return Result<>();
  });
  for (const char* path : {"./a/b/one", "/c/two", "a/three"}) {
    image::TarEntry entry;
    entry.path = path;
    entry.mode = 0600;
    ASSERT_TRUE(tar.entry(entry) && tar.end_data());
  }
  ASSERT_TRUE(tar.finish());
  ASSERT_TRUE(unpack(bytes));
  for (const char* path : {"/a/b/one", "/c/two", "/a/three"}) EXPECT_TRUE(path_exists(into + path)) << path;
}

TEST_F(TreeTar, names_that_lead_out_are_refused) {
  for (auto [path, target] : {std::pair{"../x", ""}, {"a/../../x", ""}, {"link", "../../etc/passwd"}}) {
    Bytes bytes;
    image::LayerTarWriter tar([&](ByteView piece) {
      bytes.insert(bytes.end(), piece.begin(), piece.end());
      return Result<>();
    });
    image::TarEntry entry;
    entry.type = *target ? image::TarType::hard_link : image::TarType::symlink;
    entry.path = path;
    entry.link_target = *target ? target : "x";
    ASSERT_TRUE(tar.entry(entry) && tar.end_data() && tar.finish());
    auto refused = unpack(bytes);
    ASSERT_FALSE(refused) << path;
    EXPECT_EQ(refused.error().kind(), ErrorKind::corrupt);
  }
}

TEST_F(TreeTar, a_file_that_is_not_as_long_as_it_said_is_an_error) {
  TarTreeSink sink("f", [&](ByteView) { return Result<>(); });
  wire::TreeEntry entry;
  entry.mode = 0644;
  entry.size = 5;
  ASSERT_TRUE(sink.entry(entry));
  EXPECT_FALSE(sink.data(as_bytes("123456")));
  EXPECT_FALSE(sink.hole(6));
  EXPECT_TRUE(sink.data(as_bytes("123")));
  EXPECT_EQ(sink.end().error().kind(), ErrorKind::filesystem);
}

}  // namespace
}  // namespace msb
