#include "state/database.h"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>

#include "base/fd.h"
#include "base/file_lock.h"
#include "migrations.inc"

namespace msb::state {
namespace {

constexpr int kBusyTimeoutMs = 30'000;
// SQLite checkpoints when the last connection closes: three syncs of the host's disk in nearly every command. Here a
// process that has the time does it (checkpoint()); this many pages, 1 MiB, take the next opener less than a
// millisecond to read. Nobody has the time in a home without sandboxes: SQLite's own limit of 1000 pages holds there.
constexpr int kCheckpointPages = 256;
constexpr int kPageSize = 4096;
// Bytes of the log that are allocated ahead, past its end: on a full disk sandboxes can still be ended and removed, by
// which it gets less full.
constexpr off_t kLogReserve = off_t{kCheckpointPages} * kPageSize + (256 << 10);
constexpr int kSchemaVersion = static_cast<int>(std::size(kMigrations));

struct ConstraintDetail : ErrorDetail {};

Error describe(const SQLite::Exception& exception, const std::string& path, std::string_view attempt) {
  int code = exception.getErrorCode();
  if (code == SQLITE_CONSTRAINT)
    return Error(ErrorKind::database, cat(attempt, ": ", exception.what()))
        .detail(std::make_shared<ConstraintDetail>());
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
    return Error(ErrorKind::database, cat("the state database ", path, " is damaged (", exception.what(), ")"))
        .hint(cat("it was left as it is; move it away (mv ", path, " ", path,
                  ".damaged) to go on with an empty one; the disks in sandboxes/ stay"));
  if (code == SQLITE_READONLY || code == SQLITE_CANTOPEN || code == SQLITE_PERM)
    return Error(ErrorKind::database, cat("the state database ", path, " cannot be written (", exception.what(), ")"))
        .hint("set MSB_HOME to a directory that you can write to");
  if (code == SQLITE_FULL)
    return Error(ErrorKind::database, cat("no space left for the state database ", path))
        .hint("free some disk space, or set MSB_HOME to another file system");
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
    return Error(ErrorKind::database, cat(attempt, ": the state database ", path, " is locked by another process"))
        .hint("another msb command has been writing for 30 s; see which with: fuser " + path);
  return Error(ErrorKind::database, cat(attempt, ": ", exception.what(), " (", path, ")"));
}

// Where that is not possible, or not now, the log does without.
void reserve_log(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) < 0 || info.st_blocks * 512 >= kLogReserve) return;
  if (auto log = open_file(path, O_WRONLY)) (void)::fallocate(log->get(), FALLOC_FL_KEEP_SIZE, 0, kLogReserve);
}

void bind(SQLite::Statement& statement, std::initializer_list<Value> values) {
  int index = 0;
  for (const Value& value : values) {
    ++index;
    if (auto* number = std::get_if<int64_t>(&value.get())) {
      statement.bind(index, *number);
    } else if (auto* text = std::get_if<std::string>(&value.get())) {
      statement.bind(index, *text);
    } else {
      statement.bind(index);
    }
  }
}

class StatementRow final : public Row {
 public:
  explicit StatementRow(SQLite::Statement& statement) : statement_(statement) {}
  bool is_null(int column) const override { return statement_.getColumn(column).isNull(); }
  int64_t integer(int column) const override { return statement_.getColumn(column).getInt64(); }
  std::string text(int column) const override { return statement_.getColumn(column).getString(); }

 private:
  SQLite::Statement& statement_;
};

}  // namespace

struct Database::State {
  std::string path;
  SQLite::Database sqlite;

  explicit State(const std::string& file)
      : path(file), sqlite(file, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, kBusyTimeoutMs) {
    // The files beside the database stay when the last process closes it: a sandbox's process may use them but not
    // make new ones (vmm/restraint.h).
    int keep = 1;
    sqlite3_file_control(sqlite.getHandle(), nullptr, SQLITE_FCNTL_PERSIST_WAL, &keep);
  }

  int version() { return sqlite.execAndGet("PRAGMA user_version").getInt(); }

  void migrate_to_latest() {
    // Switching the journal mode is outside of transactions and does not wait for others: the
    // caller's file lock keeps them away.
    sqlite.exec("PRAGMA journal_mode = WAL");
    // When this connection closes, what is in the log is in the database, and the log is empty.
    sqlite.exec("PRAGMA journal_size_limit = 0");
    for (int from = version(); from < kSchemaVersion; ++from) {
      // user_version changes with the tables or not at all.
      sqlite.exec("BEGIN IMMEDIATE");
      try {
        sqlite.exec(kMigrations[from]);
        sqlite.exec(cat("PRAGMA user_version = ", from + 1));
        sqlite.exec("COMMIT");
      } catch (const SQLite::Exception&) {
        sqlite.tryExec("ROLLBACK");
        throw;
      }
    }
  }
};

Database::Database(std::unique_ptr<State> state) : state_(std::move(state)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Result<Database> Database::open(const Home& home) {
  const std::string path = home.database();
  if (::access(path.c_str(), F_OK) != 0) MSB_CHECK(home.make_dir(home.path()));
  try {
    auto state = std::make_unique<State>(path);
    state->sqlite.exec("PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL");
    int version = state->version();
    if (version < kSchemaVersion) {
      MSB_TRY(auto lock, FileLock::acquire(path + ".lock", LockMode::exclusive));
      state->migrate_to_latest();
      version = state->version();
    } else {
      ::sqlite3_db_config(state->sqlite.getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    }
    if (version > kSchemaVersion)
      return fail(Error(ErrorKind::database, cat("the state database ", path, " is of version ", version,
                                                 "; this msb knows versions up to ", kSchemaVersion))
                      .hint("a newer msb has used this home: run that one, or set MSB_HOME to another directory"));
    reserve_log(path + "-wal");
    return Database(std::move(state));
  } catch (const SQLite::Exception& exception) {
    return fail(describe(exception, path, "open the state database"));
  }
}

Result<int64_t> Database::run(std::string_view sql, std::initializer_list<Value> values) {
  try {
    SQLite::Statement statement(state_->sqlite, std::string(sql));
    bind(statement, values);
    return statement.exec();
  } catch (const SQLite::Exception& exception) {
    return fail(describe(exception, state_->path, "write the state database"));
  }
}

Result<> Database::query(std::string_view sql, std::initializer_list<Value> values,
                         const std::function<void(const Row&)>& row) {
  try {
    SQLite::Statement statement(state_->sqlite, std::string(sql));
    bind(statement, values);
    StatementRow view(statement);
    while (statement.executeStep()) row(view);
    return {};
  } catch (const SQLite::Exception& exception) {
    return fail(describe(exception, state_->path, "read the state database"));
  }
}

void Database::checkpoint() {
  std::error_code error;
  auto size = std::filesystem::file_size(state_->path + "-wal", error);
  if (error || size < uintmax_t{kCheckpointPages} * kPageSize) return;
  // Whoever reads or writes just now is not waited for: then the log stays for the next time. It is truncated, since
  // the next opener, with nobody else there, would take a log that was only copied for one that was not.
  state_->sqlite.tryExec("PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE)");
  state_->sqlite.setBusyTimeout(kBusyTimeoutMs);
}

Result<Transaction> Database::begin() {
  MSB_TRY([[maybe_unused]] int64_t changed, run("BEGIN IMMEDIATE"));
  return Transaction(this);
}

Transaction::~Transaction() {
  // SQLite has rolled back by itself after some errors; then this one fails and says so to nobody.
  if (database_) database_->state_->sqlite.tryExec("ROLLBACK");
}

Result<> Transaction::commit() {
  MSB_TRY([[maybe_unused]] int64_t changed, database_->run("COMMIT"));
  database_ = nullptr;
  return {};
}

bool constraint_violated(const Error& error) {
  return error.detail_as<ConstraintDetail>() != nullptr;
}

}  // namespace msb::state
