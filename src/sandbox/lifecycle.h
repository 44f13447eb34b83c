// Making, starting, stopping and removing sandboxes, by name. Sandbox (the public class) is a handle over this.
#pragma once

#include <microsandbox/sandbox.h>

#include "base/fd.h"
#include "sandbox/agent_connection.h"
#include "sandbox/config_json.h"
#include "sandbox/launch.h"
#include "sandbox/store.h"

namespace msb {

// A sandbox that runs, as the handle remembers it.
struct LiveSandbox {
  std::string name;
  std::string id;
  StoredConfig stored;
  RunningProcess process;  // pidfd always; parent_watch when the handle owns the sandbox's life
};

Result<LiveSandbox> create_sandbox(SandboxConfig config, const PullProgress& progress);
Result<LiveSandbox> start_sandbox(const std::string& name, bool detached);
// ErrorKind::sandbox_not_running when it is not.
Result<LiveSandbox> connect_sandbox(const std::string& name);

// With an id, only the sandbox that has it: a namesake made later is left alone.
Result<> stop_sandbox(const std::string& name, std::chrono::milliseconds timeout, const std::string& id = {});
Result<> kill_sandbox(const std::string& name, const std::string& id = {});
Result<> remove_sandbox(const std::string& name);
// Blocks until its process has ended.
Result<SandboxInfo> wait_for_end(const std::string& name, const std::string& id);

// To the agent of a running sandbox.
Result<AgentConnection> open_agent(const std::string& name);

// The process behind a row that claims to be alive; no descriptor when it has ended meanwhile.
Result<Fd> open_process(Store& store, const state::SandboxRow& row);

}  // namespace msb
