#include "sandbox/file_stream.h"

#include <gmock/gmock.h>

#include <thread>

#include "sandbox/testing/fake_relay.h"

namespace msb {
namespace {

using testing::FakeRelay;
using ::testing::HasSubstr;

struct FileStreamTest : ::testing::Test {
  FakeRelay relay{Fd()};
  std::optional<FileStream> stream;

  FileStreamTest() { open(wire::FileOperation::read); }
  void open(wire::FileOperation operation) {
    auto [fake, client] = FakeRelay::create();
    relay = std::move(fake);
    auto connection = AgentConnection::greet(std::move(client), std::nullopt);
    ASSERT_TRUE(connection);
    wire::FileRequest request;
    request.operation = operation;
    request.path = to_bytes("/f");
    auto started = FileStream::start("box", std::move(*connection), request);
    ASSERT_TRUE(started);
    stream.emplace(std::move(*started));
    auto sent = relay.expect<wire::FileRequest>();
    EXPECT_EQ(as_text(sent.path), "/f");
    EXPECT_EQ(sent.window, wire::kStreamWindow);
  }
  void result(int errnum = 0, std::string message = "") {
    wire::FileResult outcome;
    outcome.errnum = errnum;
    outcome.message = std::move(message);
    relay.send(outcome, wire::kFlagTerminal);
  }
  Error next_error() {
    auto data = stream->read();
    EXPECT_FALSE(data);
    return data ? Error(ErrorKind::internal, "none") : data.error();
  }
};

TEST_F(FileStreamTest, data_comes_in_order_and_ends_with_the_result) {
  relay.send(wire::FileData{as_bytes("one")});
  relay.send(wire::FileData{as_bytes("two")});
  result();
  EXPECT_EQ(as_text(**stream->read()), "one");
  EXPECT_EQ(as_text(**stream->read()), "two");
  EXPECT_FALSE(*stream->read());
}

TEST_F(FileStreamTest, half_a_window_taken_is_granted_again) {
  Bytes chunk(wire::kMaxChunk);
  // One at a time: a socket does not hold them all.
  for (uint64_t sent = 0; sent < wire::kStreamWindow / 2; sent += chunk.size()) {
    relay.send(wire::FileData{chunk});
    ASSERT_TRUE(*stream->read());
  }
  EXPECT_FALSE(relay.has_message());
  result();
  ASSERT_TRUE(stream->read());
  EXPECT_EQ(relay.expect<wire::FileCredit>().bytes, wire::kStreamWindow / 2);
}

TEST_F(FileStreamTest, a_guest_that_ignores_its_window_is_refused) {
  // More than a socket holds: the guest writes while we read.
  std::thread guest([&] { relay.send(wire::FileData{Bytes(wire::kStreamWindow + 1)}); });
  EXPECT_EQ(next_error().kind(), ErrorKind::protocol);
  guest.join();
}

TEST_F(FileStreamTest, errors_have_the_kind_that_their_errno_means) {
  for (auto [errnum, kind] : {std::pair{ENOENT, ErrorKind::path_not_found},
                              {EEXIST, ErrorKind::path_already_exists},
                              {EISDIR, ErrorKind::is_a_directory},
                              {ENOTDIR, ErrorKind::not_a_directory},
                              {EACCES, ErrorKind::permission_denied},
                              {EROFS, ErrorKind::permission_denied},
                              {ENOSPC, ErrorKind::filesystem},
                              {-5, ErrorKind::filesystem}}) {
    open(wire::FileOperation::read);
    result(errnum, "open /f: \x1b[31mno\n");
    Error error = next_error();
    EXPECT_EQ(error.kind(), kind) << errnum;
    EXPECT_EQ(error.errnum(), errnum);
    EXPECT_EQ(error.to_string(), "sandbox 'box': open /f: \\x1b[31mno\\n");
  }
}

TEST_F(FileStreamTest, a_sandbox_that_goes_away_or_talks_nonsense_is_an_error) {
  relay.close();
  EXPECT_EQ(next_error().kind(), ErrorKind::runtime);
  open(wire::FileOperation::read);
  relay.send_raw(wire::make_raw_frame(testing::kFirstId, 0, Bytes(10, 0xff)));
  EXPECT_EQ(next_error().kind(), ErrorKind::protocol);
  open(wire::FileOperation::read);
  relay.send(wire::ProtocolError{"unsupported_message_type", "what?", "core.fs.request"});
  EXPECT_THAT(next_error().to_string(), HasSubstr("what?"));
  open(wire::FileOperation::write);
  relay.send(wire::FileStarted{1});
  relay.send(wire::FileStarted{1});
  EXPECT_EQ(next_error().kind(), ErrorKind::protocol);
}

TEST_F(FileStreamTest, writing_keeps_to_what_was_granted) {
  open(wire::FileOperation::write);
  relay.send(wire::FileStarted{3});
  relay.send(wire::FileCredit{UINT64_MAX});
  ASSERT_TRUE(stream->write(as_bytes("abcdef")));
  EXPECT_EQ(as_text(relay.expect<wire::FileData>().data), "abc");
  EXPECT_EQ(as_text(relay.expect<wire::FileData>().data), "def");
  result();
  ASSERT_TRUE(stream->finish());
  EXPECT_TRUE(relay.expect<wire::FileData>().data.empty());
}

TEST_F(FileStreamTest, a_write_that_fails_in_the_guest_says_so_before_its_end) {
  open(wire::FileOperation::write);
  relay.send(wire::FileStarted{3});
  result(ENOSPC, "write /f: No space left on device");
  auto written = stream->write(Bytes(1000));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().errnum(), ENOSPC);
}

TEST_F(FileStreamTest, a_result_without_error_before_the_end_of_data_is_refused) {
  open(wire::FileOperation::write);
  relay.send(wire::FileStarted{3});
  result();
  EXPECT_EQ(stream->write(Bytes(1000)).error().kind(), ErrorKind::protocol);
}

}  // namespace
}  // namespace msb
