#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "sandbox/agent_connection.h"
#include "sandbox/lifecycle.h"

namespace msb {
namespace {

constexpr std::chrono::seconds kKillTime{5};
constexpr std::chrono::milliseconds kShutdownConnect{2000};
// What the guest's processes get between TERM and KILL, unless the caller's timeout is shorter.
constexpr uint32_t kGuestGraceMs = 2000;

Result<> send_signal(int pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) < 0 && errno != ESRCH)
    return fail_errno("signal the sandbox process");
  return {};
}

Result<> ask_guest(const std::string& socket, uint32_t grace_ms) {
  auto deadline = deadline_after(kShutdownConnect);
  MSB_TRY(auto connection, AgentConnection::connect(socket, deadline));
  auto frame =
      wire::make_frame(connection.first_id(), wire::kFlagSessionStart | wire::kFlagTerminal | wire::kFlagShutdown,
                       wire::Shutdown{grace_ms});
  return connection.write(frame, deadline);
}

// After its process has ended by force: what it would have done on its way down.
Result<> record_kill(Store& store, const state::SandboxRow& row) {
  std::optional<FileLock> lock;
  {
    MSB_TRY(auto transaction, store.database.begin());
    MSB_TRY(lock, state::try_lock_sandbox(store.home, row.name));
    if (!lock) return {};  // somebody has started it again, or is removing it
    MSB_TRY(auto now, state::find_sandbox(store.database, row.name));
    if (!now || now->id != row.id || !state::claims_to_be_alive(now->status)) return {};
    ::unlink(store.home.relay_socket(row.name).c_str());
    MSB_CHECK(state::mark_ended(store.database, row.name,
                                {.status = SandboxStatus::stopped, .termination_reason = "killed", .exit_code = {}}));
    MSB_CHECK(transaction.commit());
  }
  if (!row.ephemeral) return {};
  return state::remove_sandbox(store.home, store.database, row.name);
}

Result<> kill_row(Store& store, const state::SandboxRow& row, int pidfd) {
  MSB_CHECK(kill_process(pidfd, deadline_after(kKillTime)));
  return record_kill(store, row);
}

// The row when the sandbox is alive and the one that is meant.
Result<std::optional<state::SandboxRow>> find_alive(Store& store, const std::string& name, const std::string& id) {
  if (!id.empty()) {
    // A handle's sandbox may have been removed meanwhile, which is as stopped as can be.
    MSB_TRY(auto row, state::find_sandbox(store.database, name));
    if (!row || row->id != id || !state::claims_to_be_alive(row->status)) return std::nullopt;
    return row;
  }
  MSB_TRY(auto row, state::get_sandbox(store.database, name));
  if (!state::claims_to_be_alive(row.status)) return std::nullopt;
  return std::optional(std::move(row));
}

}  // namespace

Result<Fd> open_process(Store& store, const state::SandboxRow& row) {
  if (!row.pid)
    return fail(Error(ErrorKind::sandbox_not_running, cat("sandbox '", row.name, "' is being started just now"))
                    .hint("try again in a moment"));
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, *row.pid, 0)));
  if (!pidfd && errno != ESRCH) return fail_errno(cat("open process ", *row.pid));
  if (!pidfd) return Fd();
  // The number may have gone to another process; while the lock is held it has not.
  MSB_TRY(auto transaction, store.database.begin());
  MSB_TRY(auto lock, state::try_lock_sandbox(store.home, row.name));
  MSB_TRY(auto now, state::find_sandbox(store.database, row.name));
  if (lock || !now || now->pid != row.pid) return Fd();
  return pidfd;
}

Result<> stop_sandbox(const std::string& name, std::chrono::milliseconds timeout, const std::string& id) {
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto row, find_alive(store, name, id));
  if (!row) return {};
  auto deadline = deadline_after(timeout);
  MSB_TRY(Fd process, open_process(store, *row));
  if (process) {
    MSB_CHECK(state::mark_draining(store.database, name));
    auto grace = std::clamp<int64_t>(timeout.count(), 0, kGuestGraceMs);
    if (!ask_guest(store.home.relay_socket(name), static_cast<uint32_t>(grace)))
      MSB_CHECK(send_signal(process.get(), SIGTERM));
    MSB_TRY(bool ended, wait_for(process.get(), POLLIN, deadline));
    if (!ended) return kill_row(store, *row, process.get());
  }
  // It has put its own affairs in order, or else this does.
  MSB_CHECK(state::reconcile(store.home, store.database));
  return {};
}

Result<> kill_sandbox(const std::string& name, const std::string& id) {
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto row, find_alive(store, name, id));
  if (!row) return {};
  MSB_TRY(Fd process, open_process(store, *row));
  if (process) return kill_row(store, *row, process.get());
  MSB_CHECK(state::reconcile(store.home, store.database));
  return {};
}

Result<> remove_sandbox(const std::string& name) {
  MSB_TRY(Store store, Store::open());
  std::optional<FileLock> lock;
  {
    MSB_TRY(auto transaction, store.database.begin());
    MSB_TRY(auto row, state::get_sandbox(store.database, name));
    MSB_TRY(lock, state::try_lock_sandbox(store.home, name));
    if (!lock)
      return fail(Error(ErrorKind::sandbox_still_running, cat("sandbox '", name, "' is running"))
                      .hint("stop it first with `msb stop`, or use `msb rm --force`"));
    MSB_CHECK(transaction.commit());
  }
  return state::remove_sandbox(store.home, store.database, name);
}

Result<SandboxInfo> wait_for_end(const std::string& name, const std::string& id) {
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto row, state::get_sandbox(store.database, name));
  if (!id.empty() && row.id != id)
    return fail(ErrorKind::sandbox_not_found, cat("sandbox '", name, "' has been removed"));
  if (state::claims_to_be_alive(row.status)) {
    MSB_TRY(Fd process, open_process(store, row));
    if (process) MSB_CHECK(wait_for(process.get(), POLLIN, std::nullopt));
    MSB_CHECK(state::reconcile(store.home, store.database));
  }
  MSB_TRY(auto after, state::find_sandbox(store.database, name));
  if (after && after->id == row.id) return to_info(*after);
  // An ephemeral sandbox is gone whole: this is the last that was known of it.
  SandboxInfo info = to_info(row);
  info.status = SandboxStatus::stopped;
  info.pid.reset();
  return info;
}

}  // namespace msb
