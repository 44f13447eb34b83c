// spawn: starts a process in a session and process group of its own.
//
// The child shares our memory until it executes the program (vfork): copying the address space costs
// milliseconds in an emulated guest, and a failure on the way is simply left where we find it.
#pragma once

#include <string>
#include <vector>

#include "agent/accounts.h"
#include "agent/limits.h"

namespace msb::agent {

enum class Terminal { no, yes };

struct SpawnRequest {
  std::vector<std::string> argv;  // argv[0] is looked up in env's PATH when it has no '/'
  std::vector<std::string> env;
  std::string cwd = "/";
  Identity user;
  std::vector<Limit> limits;
  int stdio[3] = {-1, -1, -1};       // must all be above 2
  Terminal terminal = Terminal::no;  // stdio[0] becomes the controlling terminal
};

// Fields of core.exec.failed; the kinds are listed there.
struct SpawnFailure {
  std::string_view kind;
  std::string_view stage;
  int errnum = 0;
  std::string message;
};

// The process's id, which is also its group's. The caller reaps it.
tl::expected<pid_t, SpawnFailure> spawn(const SpawnRequest& request);

}  // namespace msb::agent
