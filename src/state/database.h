// Database: $MSB_HOME/msb.db, shared by every process of a user.
//
//   MSB_TRY(auto database, state::Database::open(home));
//   MSB_TRY(auto transaction, database.begin());
//   MSB_TRY(int64_t changed, database.run("DELETE FROM image_ref WHERE reference = ?", {reference}));
//   MSB_CHECK(database.query("SELECT name, pid FROM sandbox WHERE status = ?", {"running"},
//                            [&](const Row& row) { names.push_back(row.text(0)); }));
//   MSB_CHECK(transaction.commit());
//
// WAL, so readers and one writer do not wait for each other; a writer waits for another up to
// 30 s. A commit survives the end of any process; a crash of the host may lose the last ones, never the database.
// Schema migrations run when opening, under a lock. Every error is ErrorKind::database (io when the home cannot be
// written). One object belongs to one thread; opening costs about a millisecond, so threads open their own. SQLite's
// types stay in database.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "state/home.h"

namespace msb::state {

// A bound parameter. Text is copied; nullopt is NULL.
class Value {
 public:
  Value(std::nullptr_t) {}
  Value(const char* text) : value_(std::string(text)) {}
  Value(std::string_view text) : value_(std::string(text)) {}
  Value(std::string text) : value_(std::move(text)) {}
  template <std::integral T>
  Value(T number) : value_(static_cast<int64_t>(number)) {}
  template <class T>
  Value(const std::optional<T>& value) {
    if (value) *this = Value(*value);
  }

  const std::variant<std::monostate, int64_t, std::string>& get() const { return value_; }

 private:
  std::variant<std::monostate, int64_t, std::string> value_;
};

// The current row of a query; valid inside the callback only.
class Row {
 public:
  virtual ~Row() = default;
  virtual bool is_null(int column) const = 0;
  virtual int64_t integer(int column) const = 0;   // 0 for NULL
  virtual std::string text(int column) const = 0;  // empty for NULL
  std::optional<int64_t> optional_integer(int column) const {
    return is_null(column) ? std::nullopt : std::optional(integer(column));
  }
  std::optional<std::string> optional_text(int column) const {
    return is_null(column) ? std::nullopt : std::optional(text(column));
  }
};

class Database;

// A write transaction from its first moment (BEGIN IMMEDIATE): what it read stays true until it
// commits. Rolled back when destroyed without commit(). Does not outlive its database.
class [[nodiscard]] Transaction {
 public:
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<> commit();

 private:
  friend class Database;
  explicit Transaction(Database* database) : database_(database) {}
  Database* database_;
};

class Database {
 public:
  // Makes the home directory and the file when missing.
  static Result<Database> open(const Home& home);

  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  // Runs one statement that returns no rows; gives the number of rows it changed.
  // A broken UNIQUE or PRIMARY KEY constraint has constraint_violated(error).
  Result<int64_t> run(std::string_view sql, std::initializer_list<Value> values = {});
  // Runs one query; the callback sees every row.
  Result<> query(std::string_view sql, std::initializer_list<Value> values, const std::function<void(const Row&)>& row);
  // Moves what the write-ahead log holds into the database, if that has become much. Waits for the host's disk: for
  // processes that have the time. Never needed for correctness.
  void checkpoint();
  // The database must not move while the transaction lives.
  Result<Transaction> begin();

 private:
  friend class Transaction;
  struct State;
  explicit Database(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

bool constraint_violated(const Error& error);

}  // namespace msb::state
