// Sandboxes in the database, and the locks that tell a living one from a dead row.
//
// The rule that makes kill -9 harmless: whoever runs a sandbox holds an flock on
// Home::lifecycle_lock(name). A row that claims to be alive while that lock is free is the trace of
// a crash, and reconcile() repairs it on sight.
//
// Locks are tried only inside a write transaction, so that a lock found taken belongs to a living
// sandbox and not to somebody else's look. A start therefore goes:
//
//   MSB_TRY(auto transaction, database.begin());
//   MSB_TRY(auto lock, state::try_lock_sandbox(home, name));     // nullopt: it is running
//   MSB_CHECK(state::insert_sandbox(database, row));             // or mark_starting()
//   MSB_CHECK(transaction.commit());
//   ... make the directory, spawn the VMM process with lock->fd() as kLifecycleLockFd ...
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <microsandbox/sandbox.h>

#include "base/file_lock.h"
#include "state/database.h"

namespace msb::state {

std::string_view status_name(SandboxStatus status);  // "running"
std::optional<SandboxStatus> parse_status(std::string_view name);
// starting, running, draining or paused: a VMM process should exist.
bool claims_to_be_alive(SandboxStatus status);

struct SandboxRow {
  std::string name;
  std::string id;
  std::string config_json;
  std::string image;
  std::optional<std::string> image_manifest;
  SandboxStatus status = SandboxStatus::created;
  bool ephemeral = false;
  uint32_t cpus = 1;
  uint32_t memory_mib = 512;
  std::vector<std::string> command;
  std::map<std::string, std::string> labels;
  int64_t created_at_ms = 0;  // set by insert_sandbox
  int64_t updated_at_ms = 0;  // set by every change
  std::optional<int64_t> started_at_ms;
  std::optional<int> pid;
  std::string machine;
  std::string isolation;
  std::vector<Wall> walls;
  std::vector<std::string> ports;  // published, of the run: "127.0.0.1:8080:80/tcp"
  std::string termination_reason;
  std::optional<int> exit_code;
};

// ErrorKind::sandbox_already_exists when the name is taken.
Result<> insert_sandbox(Database& database, const SandboxRow& row);
// ErrorKind::sandbox_not_found.
Result<SandboxRow> get_sandbox(Database& database, const std::string& name);
Result<std::optional<SandboxRow>> find_sandbox(Database& database, const std::string& name);
// Newest first; only those that carry all the given labels.
Result<std::vector<SandboxRow>> list_sandboxes(Database& database,
                                               const std::map<std::string, std::string>& labels = {});

// The configuration that the next start uses.
Result<> set_config(Database& database, const std::string& name, const std::string& config_json);
// A new run begins: what is known of the last one is forgotten.
Result<> mark_starting(Database& database, const std::string& name);
// The process of the run that has begun, recorded before the guest is up.
Result<> record_pid(Database& database, const std::string& name, int pid);
struct RunFacts {
  int pid = 0;
  std::string machine;
  std::string isolation;
  std::vector<Wall> walls;
  std::vector<std::string> ports = {};  // as in SandboxRow
};
Result<> mark_running(Database& database, const std::string& name, const RunFacts& facts);
// False when it is not running (any more).
Result<bool> mark_draining(Database& database, const std::string& name);
struct EndFacts {
  SandboxStatus status = SandboxStatus::stopped;  // or crashed
  std::string termination_reason;
  std::optional<int> exit_code;
};
Result<> mark_ended(Database& database, const std::string& name, const EndFacts& facts);

// nullopt when the sandbox is alive. Inside a write transaction, see above.
Result<std::optional<FileLock>> try_lock_sandbox(const Home& home, const std::string& name);

enum class Keep { nothing, logs };
// Removes the sandbox whole: row, directory (but for its logs, if they are kept), socket, lock file. The caller holds
// its lock and no transaction. A kill in between leaves something that doing it again, or a sweep, removes.
Result<> remove_sandbox(const Home& home, Database& database, const std::string& name, Keep keep = Keep::nothing);

struct Reconciled {
  int crashed = 0;
  int removed = 0;  // ephemeral ones
};
// Repairs rows whose process is gone. Cheap: with nothing alive it is one indexed query.
Result<Reconciled> reconcile(const Home& home, Database& database);
// Removes half-removed directories, half-made runtimes, and the sockets and locks of sandboxes that are not there.
// With none of them it is two directory listings and a query: `create` and `doctor` run it. Safe beside any
// other call. A directory in sandboxes/ that has no row is never touched: it is somebody's disk whose database was
// lost.
Result<> sweep_leftovers(const Home& home, Database& database);

int64_t now_ms();  // Unix time

}  // namespace msb::state
