// Operations on files, driven with frames as the host drives them.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/file_session.h"
#include "agent/testing/agent_process.h"
#include "tree/testing/snapshot.h"
#include "tree/tree_reader.h"
#include "tree/tree_stream.h"

namespace msb::agent {
namespace {

using testing::AgentProcess;
using ::testing::HasSubstr;
using testing::Received;
using wire::FileKind;
using wire::FileOperation;

// A result with its own copies of what the frame held.
struct Done {
  int errnum = 0;
  std::string message, target, data;
  std::optional<wire::FileStat> stat;
};

struct FilesTest : ::testing::Test {
  AgentProcess agent;
  std::string dir = agent.directory() + "/files";
  uint32_t next_id = 5000;

  FilesTest() {
    agent.boot();
    ::mkdir(dir.c_str(), 0755);
  }

  wire::FileRequest request(FileOperation operation, const std::string& path, const std::string& target = {}) {
    wire::FileRequest message;
    message.operation = operation;
    message.path = to_bytes(path);
    message.target = to_bytes(target);
    message.window = wire::kStreamWindow;
    return message;
  }
  uint32_t start(const wire::FileRequest& message) {
    uint32_t id = next_id++;
    agent.send(id, message, wire::kFlagSessionStart);
    return id;
  }
  // Reads to the result, granting what it takes.
  Done finish(uint32_t id) {
    Done done;
    while (true) {
      Received frame = agent.next_of(id);
      if (frame.type == wire::FileData::kType) {
        auto data = frame.as<wire::FileData>().data;
        done.data += as_text(data);
        agent.send(id, wire::FileCredit{data.size()});
      } else if (frame.type == wire::FileResult::kType) {
        EXPECT_EQ(frame.flags, wire::kFlagTerminal);
        auto result = frame.as<wire::FileResult>();
        done.errnum = result.errnum;
        done.message = result.message;
        done.target = as_text(result.target);
        done.stat = result.stat;
        return done;
      } else if (frame.type != wire::FileStarted::kType && frame.type != wire::FileCredit::kType) {
        ADD_FAILURE() << "unexpected " << frame.type;
        return done;
      }
    }
  }
  Done run(const wire::FileRequest& message) { return finish(start(message)); }
  Done run(FileOperation operation, const std::string& path, const std::string& target = {}) {
    return run(request(operation, path, target));
  }
  Done write(const std::string& path, std::string_view text, std::optional<uint32_t> mode = std::nullopt) {
    auto message = request(FileOperation::write, path);
    message.mode = mode;
    uint32_t id = start(message);
    if (!text.empty()) agent.send(id, wire::FileData{as_bytes(text)});
    agent.send(id, wire::FileData{});
    return finish(id);
  }
  void file(const std::string& name, std::string_view text) { ASSERT_TRUE(write_file_atomic(dir + "/" + name, text)); }
  std::string content(const std::string& name) { return read_file(dir + "/" + name).value_or("(none)"); }
};

TEST_F(FilesTest, what_is_written_is_read) {
  EXPECT_EQ(write(dir + "/f", "some bytes\xff", 0640).errnum, 0);
  EXPECT_EQ(run(FileOperation::read, dir + "/f").data, "some bytes\xff");
  struct stat status;
  ASSERT_EQ(::stat((dir + "/f").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
  EXPECT_EQ(write(dir + "/f", "").errnum, 0);
  EXPECT_EQ(run(FileOperation::read, dir + "/f").data, "");
}

TEST_F(FilesTest, names_are_any_bytes) {
  std::string name = dir + "/ a\nb \xff\xfe";
  EXPECT_EQ(write(name, "x").errnum, 0);
  EXPECT_EQ(run(FileOperation::read, name).data, "x");
  auto listed = run(FileOperation::list, dir);
  EXPECT_THAT(listed.data, HasSubstr(" a\nb \xff\xfe"));
}

TEST_F(FilesTest, stat_tells_all_and_follows_when_asked) {
  file("f", "12345");
  ASSERT_EQ(::symlink("f", (dir + "/link").c_str()), 0);
  auto stat = run(FileOperation::stat, dir + "/link").stat;
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->kind, FileKind::file);
  EXPECT_EQ(stat->size, 5u);
  EXPECT_EQ(stat->uid, ::geteuid());
  EXPECT_GT(stat->mtime_ns, 0);
  auto link = request(FileOperation::stat, dir + "/link");
  link.follow = false;
  EXPECT_EQ(run(link).stat->kind, FileKind::symlink);
  EXPECT_EQ(run(FileOperation::stat, "/dev/null").stat->kind, FileKind::char_device);
}

TEST_F(FilesTest, list_has_every_entry) {
  for (int i = 0; i < 3000; ++i) file(cat("entry-", i), "");
  auto listed = run(FileOperation::list, dir);
  wire::FrameReader reader;
  reader.feed(as_bytes(listed.data));
  std::set<std::string> names;
  for (auto frame = reader.next(); frame && *frame; frame = reader.next()) {
    auto envelope = wire::open_envelope((*frame)->body);
    ASSERT_TRUE(envelope);
    names.emplace(as_text(wire::decode<wire::FileEntry>(envelope->payload)->name));
  }
  EXPECT_EQ(names.size(), 3000u);
  EXPECT_TRUE(names.contains("entry-2999"));
}

TEST_F(FilesTest, directories_are_made_with_parents_and_removed_with_content) {
  EXPECT_EQ(run(FileOperation::make_directory, dir + "/a/b//c/").errnum, 0);
  EXPECT_EQ(run(FileOperation::make_directory, dir + "/a/b/c").errnum, 0);
  file("a/b/c/file", "x");
  file("outside", "kept");
  ASSERT_EQ(::mkdir((dir + "/kept").c_str(), 0755), 0);
  file("kept/file", "kept");
  ASSERT_EQ(::symlink("../kept", (dir + "/a/link").c_str()), 0);
  EXPECT_EQ(run(FileOperation::remove, dir + "/a").errnum, EISDIR);
  EXPECT_EQ(run(FileOperation::remove_tree, dir + "/a/link").errnum, ENOTDIR);
  EXPECT_EQ(run(FileOperation::remove_tree, dir + "/a").errnum, 0);
  EXPECT_FALSE(path_exists(dir + "/a"));
  EXPECT_EQ(content("kept/file"), "kept");
  EXPECT_EQ(run(FileOperation::make_directory, dir + "/outside").errnum, EEXIST);
  EXPECT_EQ(run(FileOperation::make_directory, dir + "/outside/x").errnum, ENOTDIR);
  EXPECT_EQ(run(FileOperation::remove_tree, "/").errnum, EBUSY);
}

TEST_F(FilesTest, remove_rename_and_links) {
  file("f", "x");
  EXPECT_EQ(run(FileOperation::rename, dir + "/f", dir + "/g").errnum, 0);
  EXPECT_EQ(content("g"), "x");
  EXPECT_EQ(run(FileOperation::symlink, dir + "/link", "g").errnum, 0);
  EXPECT_EQ(run(FileOperation::read_link, dir + "/link").target, "g");
  EXPECT_EQ(run(FileOperation::real_path, dir + "/link").target, dir + "/g");
  EXPECT_EQ(run(FileOperation::remove, dir + "/link").errnum, 0);
  EXPECT_EQ(content("g"), "x");
  EXPECT_EQ(run(FileOperation::symlink, dir + "/g", "x").errnum, EEXIST);
}

TEST_F(FilesTest, copy_takes_files_and_trees) {
  ASSERT_EQ(::mkdir((dir + "/from").c_str(), 0711), 0);
  file("from/a", "a");
  ASSERT_EQ(::symlink("a", (dir + "/from/link").c_str()), 0);
  EXPECT_EQ(run(FileOperation::copy, dir + "/from", dir + "/to").errnum, 0);
  EXPECT_EQ(tree::testing::snapshot(dir + "/to"), tree::testing::snapshot(dir + "/from"));
  EXPECT_EQ(run(FileOperation::copy, dir + "/from/link", dir + "/file").errnum, 0);
  EXPECT_EQ(content("file"), "a");
  EXPECT_EQ(run(FileOperation::copy, dir + "/from", dir + "/from/inside").errnum, EINVAL);
  EXPECT_EQ(run(FileOperation::copy, dir + "/from", dir + "/from").errnum, EINVAL);
  EXPECT_EQ(run(FileOperation::copy, dir + "/from/a", dir + "/to").errnum, EISDIR);
}

TEST_F(FilesTest, set_stat_changes_what_it_names) {
  file("f", "x");
  auto message = request(FileOperation::set_stat, dir + "/f");
  message.mode = 04711;
  message.mtime_ns = 1'500'000'000'123'456'789;
  EXPECT_EQ(run(message).errnum, 0);
  auto stat = run(FileOperation::stat, dir + "/f").stat;
  EXPECT_EQ(stat->mode, 04711u);
  EXPECT_EQ(stat->mtime_ns, 1'500'000'000'123'456'789);
  EXPECT_EQ(stat->uid, ::geteuid());
}

TEST_F(FilesTest, failures_carry_errno_words_and_path) {
  file("f", "x");
  auto missing = run(FileOperation::read, dir + "/missing");
  EXPECT_EQ(missing.errnum, ENOENT);
  EXPECT_EQ(missing.message, cat("open ", dir, "/missing: No such file or directory"));
  EXPECT_EQ(run(FileOperation::read, dir).errnum, EISDIR);
  EXPECT_EQ(write(dir, "x").errnum, EISDIR);
  EXPECT_EQ(run(FileOperation::read, "/dev/zero").errnum, EINVAL);
  EXPECT_EQ(run(FileOperation::list, dir + "/f").errnum, ENOTDIR);
  EXPECT_EQ(run(FileOperation::read_link, dir + "/f").errnum, EINVAL);
  EXPECT_EQ(run(FileOperation::read, dir + "/f/x").errnum, ENOTDIR);
  EXPECT_EQ(run(FileOperation::stat, "relative").errnum, EINVAL);
  EXPECT_EQ(run(FileOperation::rename, dir + "/f", "relative").errnum, EINVAL);
  auto nul = run(FileOperation::stat, std::string("/a\0b", 4));
  EXPECT_EQ(nul.errnum, EINVAL);
  EXPECT_THAT(nul.message, HasSubstr("NUL"));
  EXPECT_EQ(run(FileOperation::stat, "/" + std::string(5000, 'x')).errnum, ENAMETOOLONG);
}

TEST_F(FilesTest, a_fifo_does_not_block_and_says_what_it_is) {
  ASSERT_EQ(::mkfifo((dir + "/fifo").c_str(), 0600), 0);
  auto read = run(FileOperation::read, dir + "/fifo");
  EXPECT_EQ(read.errnum, EINVAL);
  EXPECT_THAT(read.message, HasSubstr("not a regular file"));
  EXPECT_EQ(write(dir + "/fifo", "x").errnum, EINVAL);
}

// 32 MiB through a window of 100 000 bytes: never more than granted, and nothing lost.
TEST_F(FilesTest, reading_keeps_to_its_window) {
  constexpr uint64_t kTotal = uint64_t{32} << 20;
  constexpr uint64_t kWindow = 100'000;
  auto big = open_file(dir + "/big", O_RDWR | O_CREAT);
  ASSERT_EQ(::ftruncate(big->get(), kTotal), 0);
  auto message = request(FileOperation::read, dir + "/big");
  message.window = kWindow;
  uint32_t id = start(message);
  uint64_t granted = kWindow, received = 0;
  while (true) {
    Received frame = agent.next_of(id);
    if (frame.type == wire::FileResult::kType) break;
    received += frame.as<wire::FileData>().data.size();
    ASSERT_LE(received, granted);
    if (granted - received >= kWindow / 3) continue;
    uint64_t more = kWindow - (granted - received);
    granted += more;
    agent.send(id, wire::FileCredit{more});
  }
  EXPECT_EQ(received, kTotal);
}

TEST_F(FilesTest, a_stalled_client_stalls_only_its_own_stream) {
  auto big = open_file(dir + "/big", O_RDWR | O_CREAT);
  ASSERT_EQ(::ftruncate(big->get(), 4 << 20), 0);
  auto message = request(FileOperation::read, dir + "/big");
  message.window = 1000;
  uint32_t stalled = start(message);
  EXPECT_EQ(run(FileOperation::read, dir + "/big").data.size(), size_t{4} << 20);
  EXPECT_EQ(agent.run(testing::script("echo alive")).out, "alive\n");
  agent.send(stalled, wire::FileCredit{8 << 20});
  EXPECT_EQ(finish(stalled).data.size(), size_t{4} << 20);
}

TEST_F(FilesTest, writing_is_credited_and_more_than_granted_ends_the_session) {
  uint32_t id = start(request(FileOperation::write, dir + "/big"));
  uint64_t granted = agent.expect<wire::FileStarted>(id).window;
  EXPECT_EQ(granted, wire::kStreamWindow);
  Bytes chunk(wire::kMaxChunk, 'x');
  constexpr uint64_t kTotal = 8 << 20;
  for (uint64_t sent = 0; sent < kTotal; sent += chunk.size()) {
    while (granted < sent + chunk.size()) granted += agent.expect<wire::FileCredit>(id).bytes;
    agent.send(id, wire::FileData{chunk});
  }
  agent.send(id, wire::FileData{});
  EXPECT_EQ(finish(id).errnum, 0);
  EXPECT_EQ(content("big").size(), kTotal);
}

TEST_F(FilesTest, a_client_that_goes_away_takes_its_worker_along) {
  uint32_t id = start(request(FileOperation::write, dir + "/half"));
  agent.expect<wire::FileStarted>(id);
  agent.send(0, wire::ClientDisconnected{id, id + 1});
  // The id is free again, and its worker's place too: far more of them than there may be at once.
  for (size_t i = 0; i < FileSession::kMaxWorkers + 10; ++i) {
    uint32_t other = start(request(FileOperation::write, dir + "/half"));
    agent.expect<wire::FileStarted>(other);
    agent.send(0, wire::ClientDisconnected{other, other + 1});
    EXPECT_EQ(agent.run(testing::script("true")).exited.code, 0);
  }
}

TEST_F(FilesTest, the_number_of_workers_is_bounded) {
  std::vector<uint32_t> ids;
  for (size_t i = 0; i < FileSession::kMaxWorkers; ++i) {
    ids.push_back(start(request(FileOperation::write, cat(dir, "/", i))));
    agent.expect<wire::FileStarted>(ids.back());
  }
  EXPECT_EQ(run(FileOperation::stat, dir).errnum, EAGAIN);
  EXPECT_EQ(agent.run(testing::script("echo alive")).out, "alive\n");
  agent.send(ids[7], wire::FileData{});
  EXPECT_EQ(finish(ids[7]).errnum, 0);
  EXPECT_EQ(run(FileOperation::stat, dir).errnum, 0);
}

TEST_F(FilesTest, messages_of_another_kind_end_the_session) {
  uint32_t id = start(request(FileOperation::write, dir + "/f"));
  agent.expect<wire::FileStarted>(id);
  agent.send(id, wire::ExecStdin{as_bytes("x")});
  EXPECT_EQ(agent.expect<wire::ProtocolError>(id).kind, "invalid_session");
  EXPECT_EQ(write(dir + "/f", "fine").errnum, 0);
  EXPECT_EQ(content("f"), "fine");
}

TEST_F(FilesTest, a_tree_comes_out_and_goes_in) {
  ASSERT_EQ(::mkdir((dir + "/from").c_str(), 0711), 0);
  file("from/tool", std::string(200'000, 'x'));
  ASSERT_EQ(::chmod((dir + "/from/tool").c_str(), 04755), 0);
  ASSERT_EQ(::symlink("/nowhere", (dir + "/from/link").c_str()), 0);
  auto exported = run(FileOperation::export_tree, dir + "/from");
  ASSERT_EQ(exported.errnum, 0);
  uint32_t id = start(request(FileOperation::import_tree, dir + "/into"));
  agent.expect<wire::FileStarted>(id);
  for (std::string_view rest = exported.data; !rest.empty(); rest.remove_prefix(std::min<size_t>(rest.size(), 60'000)))
    agent.send(id, wire::FileData{as_bytes(rest.substr(0, 60'000))});
  agent.send(id, wire::FileData{});
  EXPECT_EQ(finish(id).errnum, 0);
  EXPECT_EQ(tree::testing::snapshot(dir + "/into"), tree::testing::snapshot(dir + "/from"));
}

TEST_F(FilesTest, a_stream_that_is_no_tree_is_refused) {
  uint32_t id = start(request(FileOperation::import_tree, dir + "/into"));
  agent.send(id, wire::FileData{as_bytes(std::string(100, '\xff'))});
  agent.send(id, wire::FileData{});
  auto refused = finish(id);
  EXPECT_NE(refused.errnum, 0);
  EXPECT_FALSE(path_exists(dir + "/into"));
}

TEST_F(FilesTest, no_descriptor_of_the_agent_is_in_a_worker) {
  uint32_t id = start(request(FileOperation::write, dir + "/f"));
  agent.expect<wire::FileStarted>(id);
  agent.send(id, wire::FileData{as_bytes("x")});
  // When the worker has the file open, it has nothing but that and its three pipes.
  auto count = agent.run(testing::script(cat("while :; do for p in /proc/[0-9]*; do case $(readlink $p/fd/3) in ", dir,
                                             "/f) ls $p/fd | wc -l; exit;; esac; done; done 2>/dev/null")));
  agent.send(id, wire::FileData{});
  EXPECT_EQ(finish(id).errnum, 0);
  EXPECT_EQ(count.out, "4\n");
}

}  // namespace
}  // namespace msb::agent
