// A hostile agent at the other end of copy_to_host: whatever it sends, nothing outside the destination changes.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <microsandbox/filesystem.h>

#include "base/temp_dir.h"
#include "sandbox/filesystem_copy.h"
#include "sandbox/testing/fake_relay.h"
#include "tree/testing/snapshot.h"

namespace msb {
namespace {

using testing::FakeRelay;
using wire::FileKind;

wire::TreeEntry thing(FileKind kind, std::string_view name, std::string_view target = {}) {
  wire::TreeEntry entry;
  entry.kind = kind;
  entry.name = as_bytes(name);
  entry.mode = 06777;
  entry.target = as_bytes(target);
  return entry;
}

struct HostileAgent : ::testing::Test {
  TempDir temp = *TempDir::create();
  std::string outside = temp.path() + "/outside";
  std::string into = temp.path() + "/into";

  HostileAgent() {
    ::mkdir(outside.c_str(), 0755);
    ::mkdir(into.c_str(), 0755);
    (void)write_file_atomic(outside + "/precious", "precious");
  }
  ~HostileAgent() override {
    EXPECT_EQ(tree::testing::snapshot(outside, tree::testing::Times::ignored).size(), 1u);
    EXPECT_EQ(read_file(outside + "/precious").value(), "precious");
  }

  // The agent says all that, then that it is done.
  template <wire::Message... Ts>
  Result<CopyReport> receive(const CopyTarget& target, const Ts&... messages) {
    auto [relay, client] = FakeRelay::create();
    auto connection = AgentConnection::greet(std::move(client), std::nullopt);
    wire::FileRequest request;
    request.operation = wire::FileOperation::export_tree;
    auto stream = FileStream::start("box", std::move(*connection), request);
    (relay.send(wire::FileData{wire::make_frame(0, 0, messages)}), ...);
    relay.send(wire::FileResult{}, wire::kFlagTerminal);
    return receive_files(*stream, target);
  }
  ErrorKind kind(const Result<CopyReport>& outcome) { return outcome ? ErrorKind::internal : outcome.error().kind(); }
};

TEST_F(HostileAgent, names_with_separators_and_dots_break_the_protocol) {
  for (std::string_view name : {"../outside/precious", "..", "/etc/x", "a/b", ""}) {
    auto outcome = receive({into + "/tree", false}, thing(FileKind::directory, "tree"), thing(FileKind::file, name),
                           wire::TreeData{as_bytes("bad")}, wire::TreeEnd{}, wire::TreeLeave{});
    EXPECT_EQ(kind(outcome), ErrorKind::protocol) << name;
  }
}

TEST_F(HostileAgent, the_root_is_called_what_the_caller_says) {
  ASSERT_TRUE(receive({into + "/mine", false}, thing(FileKind::file, "../outside/precious"), wire::TreeEnd{}));
  EXPECT_TRUE(path_exists(into + "/mine"));
}

TEST_F(HostileAgent, links_are_made_but_never_followed) {
  EXPECT_EQ(kind(receive({into, true}, thing(FileKind::directory, "x"), thing(FileKind::symlink, "way", outside),
                         thing(FileKind::directory, "way"), thing(FileKind::file, "precious"), wire::TreeEnd{},
                         wire::TreeLeave{}, wire::TreeLeave{})),
            ErrorKind::not_a_directory);
  // The same again over what the first copy left behind.
  EXPECT_EQ(kind(receive({into, true}, thing(FileKind::directory, "x"), thing(FileKind::directory, "way"))),
            ErrorKind::not_a_directory);
  ASSERT_TRUE(receive({into, true}, thing(FileKind::directory, "x"),
                      thing(FileKind::symlink, "f", outside + "/precious"), thing(FileKind::file, "f"),
                      wire::TreeData{as_bytes("bad")}, wire::TreeEnd{}, wire::TreeLeave{}));
  EXPECT_EQ(read_file(into + "/f").value(), "bad");
}

TEST_F(HostileAgent, a_link_as_the_destination_s_own_name_is_replaced) {
  ASSERT_EQ(::symlink((outside + "/precious").c_str(), (into + "/f").c_str()), 0);
  ASSERT_TRUE(
      receive({into + "/f", false}, thing(FileKind::file, "f"), wire::TreeData{as_bytes("mine")}, wire::TreeEnd{}));
  EXPECT_EQ(read_file(into + "/f").value(), "mine");
}

TEST_F(HostileAgent, a_file_for_a_directory_s_content_is_refused) {
  EXPECT_EQ(kind(receive({into, true}, thing(FileKind::file, "x"), wire::TreeEnd{})), ErrorKind::is_a_directory);
}

TEST_F(HostileAgent, set_id_bits_and_devices_do_not_arrive) {
  auto report = receive({into + "/tree", false}, thing(FileKind::directory, "tree"), thing(FileKind::file, "program"),
                        wire::TreeEnd{}, thing(FileKind::char_device, "mem"), wire::TreeLeave{});
  ASSERT_TRUE(report);
  EXPECT_THAT(report->skipped, ::testing::ElementsAre("tree/mem"));
  struct stat status;
  ASSERT_EQ(::stat((into + "/tree/program").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0777u);
}

TEST_F(HostileAgent, a_tree_that_is_cut_off_is_no_success) {
  EXPECT_EQ(kind(receive({into + "/tree", false}, thing(FileKind::directory, "tree"))), ErrorKind::protocol);
  EXPECT_EQ(kind(receive({into + "/half", false}, thing(FileKind::file, "half"), wire::TreeData{as_bytes("x")})),
            ErrorKind::protocol);
  EXPECT_FALSE(path_exists(into + "/half"));
}

TEST(Filesystem, paths_that_cannot_be_are_refused_by_name_before_anything_else) {
  Filesystem fs("nobody");
  std::string nul("/tmp/a\0b", 8);
  for (const auto& outcome : {fs.write(nul, "x"), fs.remove(nul), fs.copy("/x", nul), fs.symlink(nul, "/x"),
                              fs.copy_from_host(nul, "/x").map([](const auto&) {})}) {
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::invalid_config);
    EXPECT_THAT(outcome.error().message(), ::testing::HasSubstr("/tmp/a\\x00b"));
  }
  EXPECT_EQ(fs.read("relative").error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ(fs.stat("/" + std::string(5000, 'x')).error().kind(), ErrorKind::invalid_config);
}

}  // namespace
}  // namespace msb
