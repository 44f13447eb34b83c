#include <sys/random.h>

#include <array>
#include <cstdlib>

#include "base/sha256.h"
#include "base/temp_dir.h"
#include "image/layer_cache.h"
#include "sandbox/lifecycle.h"
#include "sandbox/machine_plan.h"
#include "sandbox/mounts.h"
#include "sandbox/network_plan.h"
#include "sandbox/prepare.h"
#include "sandbox/upstream_proxy.h"
#include "sandbox/volumes.h"
#include "state/machine_check.h"
#include "state/network_slots.h"

namespace msb {
namespace {

std::string generate_id() {
  std::array<uint8_t, 16> random{};
  while (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
  }
  return to_hex(random);
}

Error already_exists(const std::string& name) {
  return Error(ErrorKind::sandbox_already_exists, cat("a sandbox named '", name, "' already exists"))
      .hint("choose another name, remove it with `msb rm`, or replace it with --replace");
}

// A folder that has disks but no row is what is left when the database was lost: somebody's data.
bool has_orphaned_disks(const state::Home& home, const std::string& name) {
  return path_exists(home.upper(name)) || path_exists(directory_image(home, name));
}

Result<> check_free_name(Store& store, const std::string& name) {
  MSB_TRY(auto row, state::find_sandbox(store.database, name));
  if (row) return fail(already_exists(name));
  if (has_orphaned_disks(store.home, name))
    return fail(already_exists(name).hint(
        cat("its disks are in ", store.home.sandbox_dir(name), ", but the database does not know it")));
  return {};
}

// A folder whose row was lost, with its disks. Under the sandbox's lock: whoever is making or sweeping up one of this
// name has it too.
Result<> clear_folder(Store& store, const std::string& name) {
  std::optional<FileLock> lock;
  {
    MSB_TRY(auto transaction, store.database.begin());
    MSB_TRY(auto row, state::find_sandbox(store.database, name));
    MSB_TRY(lock, state::try_lock_sandbox(store.home, name));
    if (row || !lock) return fail(already_exists(name));
    MSB_CHECK(transaction.commit());
  }
  return state::remove_sandbox(store.home, store.database, name);
}

Result<> clear_name(Store& store, const std::string& name, std::chrono::milliseconds grace) {
  MSB_TRY(auto row, state::find_sandbox(store.database, name));
  if (row && state::claims_to_be_alive(row->status))
    MSB_CHECK_CTX(grace.count() > 0 ? stop_sandbox(name, grace) : kill_sandbox(name), "replace the sandbox");
  MSB_TRY(auto still, state::find_sandbox(store.database, name));
  if (still) {
    MSB_CHECK_CTX(remove_sandbox(name), "replace the sandbox");
  } else if (path_exists(store.home.sandbox_dir(name))) {
    MSB_CHECK_CTX(clear_folder(store, name), "replace the sandbox");
  }
  return {};
}

Result<state::SandboxRow> make_row(const std::string& id, const StoredConfig& stored) {
  const SandboxConfig& config = stored.config;
  state::SandboxRow row;
  row.name = config.name;
  row.id = id;
  MSB_TRY(row.config_json, to_json(stored));
  row.image = config.image.reference;
  if (!stored.manifest_digest.empty()) row.image_manifest = stored.manifest_digest;
  row.status = SandboxStatus::starting;
  row.ephemeral = config.ephemeral;
  row.cpus = config.cpus;
  row.memory_mib = config.memory_mib;
  EffectiveConfig effective = merge(stored.image, config);
  MSB_TRY(auto startup, plan_startup(stored));
  if (startup) {
    row.command = startup->argv;
  } else if (auto command = resolve_command(effective, std::nullopt)) {
    row.command = *command;
  }
  row.labels = effective.labels;
  return row;
}

Result<std::optional<state::NetworkSpec>> prepare_network(Store& store, const SandboxConfig& config) {
  MSB_TRY(const uint16_t slot, state::network_slot(store.database, config.name));
  auto network = plan_network(config.network, slot, host_families());
  if (!network) return network;
  MSB_TRY(const auto settings, state::NetworkSettings::load(state::settings_file(store.home)));
  MSB_TRY(network->proxy, find_proxy(std::exchange(network->config.proxy, {}), settings, ::getenv));
  return network;
}

// The name becomes ours: its lock, and a row that says starting.
Result<FileLock> claim_new(Store& store, const state::SandboxRow& row, const SandboxConfig& config) {
  MSB_TRY(auto transaction, store.database.begin());
  MSB_CHECK(check_free_name(store, row.name));
  MSB_CHECK(check_volumes(store.home, config.mounts));
  MSB_TRY(auto lock, state::try_lock_sandbox(store.home, row.name));
  if (!lock) return fail(already_exists(row.name));
  MSB_CHECK(state::insert_sandbox(store.database, row));
  MSB_CHECK(transaction.commit());
  return std::move(*lock);
}

Result<RunningProcess> boot(Store& store, const std::string& id, StoredConfig stored, const FileLock& lock, Run run) {
  const std::string& name = stored.config.name;
  // What is mounted may have gone since the sandbox was made.
  MSB_CHECK(resolve_mounts(stored.config.mounts, store.home, Resolution::again));
  MSB_CHECK(prepare_disks(store.home, stored, run));
  MSB_TRY(auto network, prepare_network(store, stored.config));
  MSB_TRY(auto config, plan_launch(store.home, id, stored, std::move(network)));
  // So that somebody else can stop it while it starts.
  auto note_pid = [&](pid_t pid) {
    (void)store.database.run("UPDATE sandbox SET pid = ? WHERE name = ? AND status = 'starting'", {pid, name});
  };
  return launch(config, lock, store.home.runtime_log(name), note_pid);
}

// Nothing stays of a sandbox that never ran, except the logs of one that has a name to find them by.
void forget(Store& store, const StoredConfig& stored) {
  (void)state::remove_sandbox(store.home, store.database, stored.config.name,
                              stored.config.ephemeral ? state::Keep::nothing : state::Keep::logs);
}

}  // namespace

Result<LiveSandbox> create_sandbox(SandboxConfig config, const PullProgress& progress) {
  if (config.name.empty()) config.name = generate_sandbox_name();
  MSB_CHECK(validate(config));
  MSB_CHECK(state::check_host_memory(config.memory_mib));
  MSB_TRY(Store store, Store::open());
  MSB_CHECK(check_kvm(store.home, config));
  // What killed processes have left is in nobody's way: that it cannot be tidied up is no reason not to go on.
  (void)state::sweep_leftovers(store.home, store.database);
  if (!config.replace_grace) MSB_CHECK(check_free_name(store, config.name));
  // Held until a row names the image, so that nobody's prune takes it away between.
  MSB_TRY(FileLock cache, image::hold_cache(store.home));
  auto replace_grace = config.replace_grace;
  MSB_TRY(StoredConfig stored, resolve_image(store.home, std::move(config), progress));
  if (replace_grace) MSB_CHECK(clear_name(store, stored.config.name, *replace_grace));
  std::string id = generate_id();
  MSB_TRY(auto row, make_row(id, stored));
  MSB_TRY(FileLock lock, claim_new(store, row, stored.config));
  {
    FileLock released = std::move(cache);
  }
  auto process = boot(store, id, stored, lock, Run::first);
  if (!process) {
    forget(store, stored);
    return fail(std::move(process).error());
  }
  return LiveSandbox{stored.config.name, std::move(id), std::move(stored), std::move(*process)};
}

Result<LiveSandbox> start_sandbox(const std::string& name, bool detached) {
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto claimed, hold_stopped(store, name, "`msb exec` runs a command in it"));
  MSB_TRY(StoredConfig stored, stored_config_from_json(claimed.row.config_json));
  stored.config.detached = detached;
  MSB_CHECK(check_kvm(store.home, stored.config));
  MSB_CHECK(state::mark_starting(store.database, name));
  auto process = boot(store, claimed.row.id, stored, claimed.lock, Run::later);
  if (!process) {
    (void)state::mark_ended(store.database, name,
                            {.status = SandboxStatus::crashed, .termination_reason = "failed", .exit_code = {}});
    return fail(std::move(process).error());
  }
  return LiveSandbox{name, claimed.row.id, std::move(stored), std::move(*process)};
}

}  // namespace msb
