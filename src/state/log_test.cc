#include <gtest/gtest.h>

#include <thread>

#include "base/temp_dir.h"
#include "state/log_reader.h"
#include "state/log_writer.h"

namespace msb::state {
namespace {

LogEntry out(std::string data, int64_t at = 1000, uint64_t session = 7) {
  return {.timestamp_ms = at, .source = LogSource::stdout_stream, .session_id = session, .data = std::move(data)};
}

TEST(LogFormat, TextIsReadableJson) {
  EXPECT_EQ(format_log_entry(out("a\"b\\\n\x1b[0m")),
            "{\"t\":1000,\"s\":\"stdout\",\"d\":\"a\\\"b\\\\\\n\\u001b[0m\",\"id\":7}\n");
}

TEST(LogFormat, EveryByteStringRoundTripsOnOneLine) {
  for (size_t length : {0, 1, 2, 3, 4, 255, 300}) {
    std::string data;
    for (size_t i = 0; i < length; ++i) data.push_back(static_cast<char>(i * 7 + length));
    std::string line = format_log_entry(out(data));
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    line.pop_back();
    auto back = parse_log_entry(line);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->data, data);
    EXPECT_EQ(back->session_id, 7U);
  }
}

TEST(LogFormat, ForeignLinesAreNotEntries) {
  for (const char* line :
       {"", "x", "[]", "{}", "{\"t\":1,\"s\":\"other\",\"d\":\"\"}", "{\"t\":\"1\",\"s\":\"stdout\",\"d\":\"\"}",
        "{\"t\":1,\"s\":\"stdout\",\"d\":\"?\",\"e\":\"b64\"}"})
    EXPECT_FALSE(parse_log_entry(line)) << line;
}

TEST(Utf8, ValidAndInvalid) {
  EXPECT_TRUE(is_utf8("h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
  for (const char* bad : {"\x80", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3", "\xff"})
    EXPECT_FALSE(is_utf8(bad));
  EXPECT_EQ(unfinished_utf8("a\xf0\x9f\x98"), 3U);
  EXPECT_EQ(unfinished_utf8("a\xc3"), 1U);
  EXPECT_EQ(unfinished_utf8("a\xc3\xa9"), 0U);
  EXPECT_EQ(unfinished_utf8("\x80\x80\x80\x80"), 0U);
}

struct LogTest : testing::Test {
  TempDir temp = *TempDir::create();
  std::string path = temp.path() + "/exec.log";

  std::vector<std::string> read(const LogQuery& query) {
    std::vector<std::string> found;
    auto done = read_log(path, query, [&](const LogEntry& entry) {
      found.push_back(entry.data);
      return true;
    });
    EXPECT_TRUE(done) << done.error().to_string();
    return found;
  }
  using Strings = std::vector<std::string>;
};

TEST_F(LogTest, MissingLogIsEmpty) {
  EXPECT_TRUE(read({}).empty());
}

TEST_F(LogTest, FiltersBySourceTimeAndTail) {
  auto writer = *LogWriter::open(path);
  writer.write(out("one", 1));
  writer.write({.timestamp_ms = 2, .source = LogSource::stderr_stream, .session_id = 7, .data = "two"});
  writer.write(out("three", 3));
  writer.system("four");
  EXPECT_EQ(read({}), (Strings{"one", "two", "three"}));
  LogQuery query;
  query.stderr_stream = false;
  EXPECT_EQ(read(query), (Strings{"one", "three"}));
  query = {};
  query.system = true;
  query.tail = 2;
  EXPECT_EQ(read(query), (Strings{"three", "four"}));
  query = {};
  query.since_ms = 2;
  query.until_ms = 2;
  EXPECT_EQ(read(query), (Strings{"two"}));
  query = {};
  query.tail = 0;
  EXPECT_TRUE(read(query).empty());
}

TEST_F(LogTest, ReceiverMayStopEarly) {
  auto writer = *LogWriter::open(path);
  writer.write(out("one"));
  writer.write(out("two"));
  int count = 0;
  ASSERT_TRUE(read_log(path, {}, [&](const LogEntry&) { return ++count < 1; }));
  EXPECT_EQ(count, 1);
}

TEST_F(LogTest, RotationBoundsTheSizeAndKeepsTheOrder) {
  auto writer = *LogWriter::open(path, {.file_bytes = 200, .old_files = 3});
  for (int i = 0; i < 100; ++i) writer.write(out(cat("entry ", i)));
  EXPECT_TRUE(path_exists(path + ".3"));
  EXPECT_FALSE(path_exists(path + ".4"));
  auto found = read({});
  ASSERT_GE(found.size(), 4U);
  EXPECT_LT(found.size(), 20U);
  for (size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], cat("entry ", 100 - found.size() + i));
}

TEST_F(LogTest, AFileThatOthersHaveFilledIsRotatedWhenItIsOpened) {
  LogLimits limits{.file_bytes = 200, .old_files = 1};
  for (int run = 0; run < 5; ++run) {
    ASSERT_TRUE(LogWriter::open(path, limits));
    // As a process's standard error does.
    Fd appended = *open_file(path, O_WRONLY | O_APPEND);
    ASSERT_TRUE(write_full(appended.get(), as_bytes(std::string(300, 'x'))));
  }
  EXPECT_EQ(read_file(path)->size(), 300u);
  EXPECT_EQ(read_file(path + ".1")->size(), 301u) << "its unfinished line is ended";
  EXPECT_FALSE(path_exists(path + ".2"));
}

TEST_F(LogTest, LineCutByACrashSpoilsNoOther) {
  ASSERT_TRUE(write_file_atomic(path, "{\"t\":1,\"s\":\"std"));
  auto writer = *LogWriter::open(path);
  writer.write(out("next"));
  EXPECT_EQ(read({}), (Strings{"next"}));
}

TEST_F(LogTest, FollowSeesLaterEntriesAcrossRotationUntilTheEnd) {
  constexpr int kCount = 200;
  auto ended = *make_pipe();
  LogQuery query;
  query.follow = true;
  std::vector<std::string> found;
  Result<> outcome;
  auto first = *make_pipe();
  auto writer = *LogWriter::open(path, {.file_bytes = 2000, .old_files = 3});
  writer.write(out("entry 0"));
  std::thread reader([&, done = std::move(ended.read)] {
    outcome = read_log(
        path, query,
        [&](const LogEntry& entry) {
          found.push_back(entry.data);
          (void)write_full(first.write.get(), as_bytes("x"));
          return true;
        },
        done.get());
  });
  // In step with the reader, so that no entry is rotated out of existence unread.
  uint8_t byte[1];
  for (int i = 1; i < kCount; ++i) {
    EXPECT_TRUE(read_full(first.read.get(), byte));
    writer.write(out(cat("entry ", i)));
  }
  ended.write.reset();
  reader.join();
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  ASSERT_EQ(found.size(), static_cast<size_t>(kCount));
  EXPECT_EQ(found.back(), cat("entry ", kCount - 1));
}

TEST_F(LogTest, SeveralLogsAreOneStoryInOrderOfTime) {
  std::string other = temp.path() + "/kernel.log", missing = temp.path() + "/missing.log";
  auto first = *LogWriter::open(path), second = *LogWriter::open(other);
  for (int64_t at : {1, 3, 5}) first.write(out(cat(at), at));
  for (int64_t at : {2, 3, 6}) second.write(out(cat("k", at), at));
  auto read_all = [&](const LogQuery& query) {
    Strings found;
    EXPECT_TRUE(read_logs({path, missing, other}, query, [&](const LogEntry& entry) {
      found.push_back(entry.data);
      return found.size() < 5;
    }));
    return found;
  };
  EXPECT_EQ(read_all({}), (Strings{"1", "k2", "3", "k3", "5"}));
  LogQuery query;
  query.tail = 3;
  EXPECT_EQ(read_all(query), (Strings{"k3", "5", "k6"}));
}

TEST_F(LogTest, FollowSeesEveryLog) {
  auto ended = *make_pipe();
  LogQuery query;
  query.follow = true;
  std::string other = temp.path() + "/kernel.log";
  Strings found;
  Result<> outcome;
  auto seen = *make_pipe();
  std::thread reader([&, done = std::move(ended.read)] {
    outcome = read_logs(
        {path, other}, query,
        [&](const LogEntry& entry) {
          found.push_back(entry.data);
          (void)write_full(seen.write.get(), as_bytes("x"));
          return true;
        },
        done.get());
  });
  // Neither file is there when the reader comes, or both, or one: all the same. In step, so that the order is known.
  uint8_t byte[1];
  auto first = *LogWriter::open(path);
  first.write(out("first 1"));
  EXPECT_TRUE(read_full(seen.read.get(), byte));
  auto second = *LogWriter::open(other);
  second.write(out("second 1"));
  EXPECT_TRUE(read_full(seen.read.get(), byte));
  first.write(out("first 2"));
  EXPECT_TRUE(read_full(seen.read.get(), byte));
  second.write(out("second 2"));
  ended.write.reset();
  reader.join();
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(found, (Strings{"first 1", "second 1", "first 2", "second 2"}));
}

}  // namespace
}  // namespace msb::state
