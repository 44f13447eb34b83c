#include "state/sandboxes.h"

#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/cleanup.h"
#include "base/temp_dir.h"
#include "state/cgroup_trace.h"
#include "state/trash.h"

namespace msb::state {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 7> kStatusNames{"created", "starting", "running", "draining",
                                                       "paused",  "stopped",  "crashed"};

constexpr std::string_view kColumns =
    "SELECT name, id, config_json, image, image_manifest, status, ephemeral, cpus, memory_mib, command_json, "
    "created_at, updated_at, started_at, pid, machine, isolation, walls_json, termination_reason, exit_code, "
    "ports_json "
    "FROM sandbox";

// Text of ours that came back from the database; anything unexpected reads as empty rather than hide the row.
std::vector<std::string> parse_strings(const std::string& text) {
  std::vector<std::string> values;
  json array = json::parse(text, nullptr, false);
  if (!array.is_array()) return values;
  for (const auto& item : array)
    if (item.is_string()) values.push_back(item.get<std::string>());
  return values;
}

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string walls_to_json(const std::vector<Wall>& walls) {
  json array = json::array();
  for (const auto& wall : walls) array.push_back({{"name", wall.name}, {"up", wall.up}, {"detail", wall.detail}});
  return dump(array);
}

std::vector<Wall> parse_walls(const std::string& text) {
  std::vector<Wall> walls;
  json array = json::parse(text, nullptr, false);
  if (!array.is_array()) return walls;
  for (const auto& item : array) {
    if (!item.is_object()) continue;
    Wall wall;
    if (auto at = item.find("name"); at != item.end() && at->is_string()) wall.name = at->get<std::string>();
    if (auto at = item.find("up"); at != item.end() && at->is_boolean()) wall.up = at->get<bool>();
    if (auto at = item.find("detail"); at != item.end() && at->is_string()) wall.detail = at->get<std::string>();
    walls.push_back(std::move(wall));
  }
  return walls;
}

SandboxRow read_row(const Row& row) {
  SandboxRow out;
  out.name = row.text(0);
  out.id = row.text(1);
  out.config_json = row.text(2);
  out.image = row.text(3);
  out.image_manifest = row.optional_text(4);
  // The table's CHECK allows only known names.
  out.status = parse_status(row.text(5)).value_or(SandboxStatus::crashed);
  out.ephemeral = row.integer(6) != 0;
  out.cpus = static_cast<uint32_t>(row.integer(7));
  out.memory_mib = static_cast<uint32_t>(row.integer(8));
  out.command = parse_strings(row.text(9));
  out.created_at_ms = row.integer(10);
  out.updated_at_ms = row.integer(11);
  out.started_at_ms = row.optional_integer(12);
  if (auto pid = row.optional_integer(13)) out.pid = static_cast<int>(*pid);
  out.machine = row.text(14);
  out.isolation = row.text(15);
  out.walls = parse_walls(row.text(16));
  out.termination_reason = row.text(17);
  if (auto code = row.optional_integer(18)) out.exit_code = static_cast<int>(*code);
  out.ports = parse_strings(row.text(19));
  return out;
}

Result<> expect_found(Result<int64_t> changed, const std::string& name) {
  MSB_CHECK(changed);
  if (*changed == 0) return fail(ErrorKind::sandbox_not_found, cat("there is no sandbox named '", name, "'"));
  return {};
}

Result<std::vector<std::string>> names_that_claim_life(Database& database) {
  std::vector<std::string> names;
  MSB_CHECK(database.query(
      "SELECT name FROM sandbox WHERE status IN ('starting', 'running', 'draining', 'paused') ORDER BY seq", {},
      [&](const Row& row) { names.push_back(row.text(0)); }));
  return names;
}

void unlink_quietly(const std::string& path) {
  ::unlink(path.c_str());
}

}  // namespace

std::string_view status_name(SandboxStatus status) {
  return kStatusNames[static_cast<size_t>(status)];
}

std::optional<SandboxStatus> parse_status(std::string_view name) {
  for (size_t i = 0; i < kStatusNames.size(); ++i)
    if (kStatusNames[i] == name) return static_cast<SandboxStatus>(i);
  return std::nullopt;
}

bool claims_to_be_alive(SandboxStatus status) {
  return status == SandboxStatus::starting || status == SandboxStatus::running || status == SandboxStatus::draining ||
         status == SandboxStatus::paused;
}

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Result<> insert_sandbox(Database& database, const SandboxRow& row) {
  int64_t now = now_ms();
  auto inserted = database.run(
      "INSERT INTO sandbox (name, id, config_json, image, image_manifest, status, ephemeral, cpus, memory_mib, "
      "command_json, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {row.name, row.id, row.config_json, row.image, row.image_manifest, status_name(row.status), row.ephemeral,
       row.cpus, row.memory_mib, dump(json(row.command)), now, now});
  if (!inserted && constraint_violated(inserted.error()))
    return fail(Error(ErrorKind::sandbox_already_exists, cat("a sandbox named '", row.name, "' already exists"))
                    .hint("choose another name, remove it with `msb rm`, or replace it with --replace"));
  MSB_CHECK(inserted);
  for (const auto& [key, value] : row.labels)
    MSB_CHECK(database.run("INSERT INTO sandbox_label VALUES (?, ?, ?)", {row.name, key, value}));
  return {};
}

Result<std::optional<SandboxRow>> find_sandbox(Database& database, const std::string& name) {
  std::optional<SandboxRow> found;
  MSB_CHECK(database.query(cat(kColumns, " WHERE name = ?"), {name}, [&](const Row& row) { found = read_row(row); }));
  if (!found) return found;
  MSB_CHECK(database.query("SELECT key, value FROM sandbox_label WHERE sandbox = ?", {name},
                           [&](const Row& row) { found->labels[row.text(0)] = row.text(1); }));
  return found;
}

Result<SandboxRow> get_sandbox(Database& database, const std::string& name) {
  MSB_TRY(auto found, find_sandbox(database, name));
  if (!found)
    return fail(Error(ErrorKind::sandbox_not_found, cat("there is no sandbox named '", name, "'"))
                    .hint("`msb ls` shows those there are"));
  return std::move(*found);
}

Result<std::vector<SandboxRow>> list_sandboxes(Database& database, const std::map<std::string, std::string>& labels) {
  std::map<std::string, std::map<std::string, std::string>> labels_of;
  MSB_CHECK(database.query("SELECT sandbox, key, value FROM sandbox_label", {},
                           [&](const Row& row) { labels_of[row.text(0)][row.text(1)] = row.text(2); }));
  std::vector<SandboxRow> rows;
  MSB_CHECK(database.query(cat(kColumns, " ORDER BY created_at DESC, seq DESC"), {}, [&](const Row& row) {
    SandboxRow out = read_row(row);
    if (auto found = labels_of.find(out.name); found != labels_of.end()) out.labels = std::move(found->second);
    for (const auto& [key, value] : labels) {
      auto has = out.labels.find(key);
      if (has == out.labels.end() || has->second != value) return;
    }
    rows.push_back(std::move(out));
  }));
  return rows;
}

Result<> set_config(Database& database, const std::string& name, const std::string& config_json) {
  return expect_found(
      database.run("UPDATE sandbox SET config_json = ?, updated_at = ? WHERE name = ?", {config_json, now_ms(), name}),
      name);
}

Result<> mark_starting(Database& database, const std::string& name) {
  return expect_found(database.run("UPDATE sandbox SET status = 'starting', updated_at = ?, started_at = NULL, "
                                   "pid = NULL, termination_reason = '', exit_code = NULL, ports_json = '[]' "
                                   "WHERE name = ?",
                                   {now_ms(), name}),
                      name);
}

Result<> record_pid(Database& database, const std::string& name, int pid) {
  return expect_found(database.run("UPDATE sandbox SET pid = ? WHERE name = ?", {pid, name}), name);
}

Result<> mark_running(Database& database, const std::string& name, const RunFacts& facts) {
  int64_t now = now_ms();
  return expect_found(database.run("UPDATE sandbox SET status = 'running', updated_at = ?, started_at = ?, pid = ?, "
                                   "machine = ?, isolation = ?, walls_json = ?, ports_json = ? WHERE name = ?",
                                   {now, now, facts.pid, facts.machine, facts.isolation, walls_to_json(facts.walls),
                                    dump(json(facts.ports)), name}),
                      name);
}

Result<bool> mark_draining(Database& database, const std::string& name) {
  MSB_TRY(int64_t changed, database.run("UPDATE sandbox SET status = 'draining', updated_at = ? "
                                        "WHERE name = ? AND status IN ('running', 'paused')",
                                        {now_ms(), name}));
  return changed > 0;
}

Result<> mark_ended(Database& database, const std::string& name, const EndFacts& facts) {
  return expect_found(
      database.run("UPDATE sandbox SET status = ?, updated_at = ?, pid = NULL, termination_reason = ?, "
                   "exit_code = ? WHERE name = ?",
                   {status_name(facts.status), now_ms(), facts.termination_reason, facts.exit_code, name}),
      name);
}

Result<std::optional<FileLock>> try_lock_sandbox(const Home& home, const std::string& name) {
  MSB_CHECK(home.make_dir(home.run_dir()));
  return FileLock::try_acquire(home.lifecycle_lock(name), LockMode::exclusive);
}

Result<> remove_sandbox(const Home& home, Database& database, const std::string& name, Keep keep) {
  // Out of sight first: a directory without a row would look like a disk whose database was lost.
  MSB_TRY(auto trash, Trash::take(home, home.sandbox_dir(name)));
  if (keep == Keep::logs && !trash.path().empty()) {
    std::string saved = trash.path() + "/logs";
    MSB_CHECK(home.make_dir(home.sandbox_dir(name)));
    if (::rename(saved.c_str(), home.sandbox_logs_dir(name).c_str()) < 0 && errno != ENOENT)
      return fail_errno(cat("keep the logs of '", name, "'"));
  }
  MSB_CHECK(database.run("DELETE FROM sandbox WHERE name = ?", {name}));
  unlink_quietly(home.relay_socket(name));
  remove_cgroup(home.cgroup_trace(name));
  unlink_quietly(home.lifecycle_lock(name));
  return trash.empty();
}

Result<Reconciled> reconcile(const Home& home, Database& database) {
  Reconciled done;
  MSB_TRY(auto names, names_that_claim_life(database));
  if (names.empty()) return done;

  std::vector<std::pair<std::string, FileLock>> dead_ephemeral;
  MSB_TRY(auto transaction, database.begin());
  for (const std::string& name : names) {
    MSB_TRY(auto lock, try_lock_sandbox(home, name));
    if (!lock) continue;
    // Read again: it may have ended in good order, or have been removed, since the first look.
    MSB_TRY(auto row, find_sandbox(database, name));
    if (!row || !claims_to_be_alive(row->status)) {
      if (!row) unlink_quietly(home.lifecycle_lock(name));
      continue;
    }
    unlink_quietly(home.relay_socket(name));
    remove_cgroup(home.cgroup_trace(name));
    if (row->ephemeral) {
      dead_ephemeral.emplace_back(name, std::move(*lock));
      continue;
    }
    MSB_CHECK(mark_ended(database, name,
                         {.status = SandboxStatus::crashed, .termination_reason = "internal_error", .exit_code = {}}));
    ++done.crashed;
  }
  MSB_CHECK(transaction.commit());
  for (const auto& [name, lock] : dead_ephemeral) {
    MSB_CHECK(remove_sandbox(home, database, name));
    ++done.removed;
  }
  return done;
}

}  // namespace msb::state
