#include "state/database.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::state {
namespace {

struct DatabaseTest : testing::Test {
  TempDir temp = *TempDir::create();
  Home home = *Home::at(temp.path() + "/home");

  int64_t count(Database& database) {
    int64_t result = -1;
    EXPECT_TRUE(database.query("SELECT count(*) FROM layer", {}, [&](const Row& row) { result = row.integer(0); }));
    return result;
  }
  Result<int64_t> add(Database& database, std::string_view diff_id) {
    return database.run("INSERT INTO layer VALUES (?, ?, ?)", {diff_id, 1, 2});
  }
};

TEST_F(DatabaseTest, OpenMakesHomeAndSchema) {
  auto database = Database::open(home);
  ASSERT_TRUE(database) << database.error().to_string();
  EXPECT_EQ(count(*database), 0);
}

TEST_F(DatabaseTest, RowsSurviveReopening) {
  {
    auto database = *Database::open(home);
    ASSERT_TRUE(add(database, "sha256:1"));
  }
  auto database = *Database::open(home);
  EXPECT_EQ(count(database), 1);
}

TEST_F(DatabaseTest, TheLogStaysWhenItIsClosedUntilACheckpointFindsItLarge) {
  const std::string log = home.database() + "-wal";
  (void)*Database::open(home);
  auto write = [&](const char* id, size_t bytes) {
    auto database = *Database::open(home);
    ASSERT_TRUE(add(database, id + std::string(bytes, 'x')));
    database.checkpoint();
  };
  write("small", 10);
  EXPECT_GT(std::filesystem::file_size(log), 0U);
  write("large", 2 << 20);
  EXPECT_EQ(std::filesystem::file_size(log), 0U);
  write("last", 10);
  EXPECT_GT(std::filesystem::file_size(log), 0U);
  auto database = *Database::open(home);
  EXPECT_EQ(count(database), 3);
}

TEST_F(DatabaseTest, TransactionRollsBackUnlessCommitted) {
  auto database = *Database::open(home);
  {
    auto transaction = *database.begin();
    ASSERT_TRUE(add(database, "a"));
  }
  EXPECT_EQ(count(database), 0);
  {
    auto transaction = *database.begin();
    ASSERT_TRUE(add(database, "a"));
    ASSERT_TRUE(transaction.commit());
  }
  EXPECT_EQ(count(database), 1);
}

TEST_F(DatabaseTest, BrokenUniquenessIsRecognisable) {
  auto database = *Database::open(home);
  ASSERT_TRUE(add(database, "a"));
  auto again = add(database, "a");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::database);
  EXPECT_TRUE(constraint_violated(again.error()));
  auto nonsense = database.run("NONSENSE");
  ASSERT_FALSE(nonsense);
  EXPECT_FALSE(constraint_violated(nonsense.error()));
}

TEST_F(DatabaseTest, ForeignKeysAreEnforced) {
  auto database = *Database::open(home);
  EXPECT_FALSE(database.run("INSERT INTO image_ref VALUES ('r', 'no such manifest', 1, 2)"));
}

TEST_F(DatabaseTest, TextWithZeroBytesAndNullsRoundTrip) {
  auto database = *Database::open(home);
  std::string text("a\0b", 3);
  std::optional<int64_t> nothing = 5;
  ASSERT_TRUE(database.query("SELECT ?, ?", {text, std::optional<std::string>()}, [&](const Row& row) {
    EXPECT_EQ(row.text(0), text);
    nothing = row.optional_integer(1);
  }));
  EXPECT_FALSE(nothing);
}

TEST_F(DatabaseTest, NewerVersionIsRefusedAndUntouched) {
  {
    auto database = *Database::open(home);
    ASSERT_TRUE(add(database, "a"));
    ASSERT_TRUE(database.run("PRAGMA user_version = 1000"));
  }
  auto refused = Database::open(home);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::database);
  EXPECT_NE(refused.error().message().find("1000"), std::string::npos);
  EXPECT_FALSE(refused.error().hints().empty());
}

TEST_F(DatabaseTest, DamagedFileIsRefusedAndKeptAsItIs) {
  ASSERT_TRUE(home.make_dir(home.path()));
  std::string garbage(10'000, 'g');
  ASSERT_TRUE(write_file_atomic(home.database(), garbage));
  auto refused = Database::open(home);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::database);
  EXPECT_NE(refused.error().message().find("damaged"), std::string::npos);
  EXPECT_EQ(*read_file(home.database()), garbage);
}

TEST_F(DatabaseTest, ManyThreadsMayCreateTheSameHomeAtOnce) {
  constexpr int kThreads = 8;
  std::vector<std::thread> threads;
  std::array<std::string, kThreads> errors;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      auto database = Database::open(home);
      if (!database) {
        errors[i] = database.error().to_string();
        return;
      }
      auto added = add(*database, cat("layer ", i));
      if (!added) errors[i] = added.error().to_string();
    });
  for (auto& thread : threads) thread.join();
  for (auto& error : errors) EXPECT_EQ(error, "");
  auto database = *Database::open(home);
  EXPECT_EQ(count(database), kThreads);
}

}  // namespace
}  // namespace msb::state
