// ExecSession: a process that a client asked for (core.exec.request).
#pragma once

#include "agent/session.h"
#include "agent/spawn.h"

namespace msb::agent {

// What every process gets unless its request says otherwise; from core.bootstrap.
struct Defaults {
  std::vector<std::string> env;
  std::string workdir = "/";
  std::string user;
  std::vector<Limit> limits;
  std::string etc = "/etc";  // where the accounts are
};

class ExecSession final : public Session {
 public:
  // Starts the process and reports it (core.exec.started).
  static tl::expected<std::unique_ptr<Session>, SpawnFailure> start(Reactor& reactor, Channel& channel, uint32_t id,
                                                                    const wire::ExecRequest& request,
                                                                    const Defaults& defaults,
                                                                    std::function<void(Session&)> on_finished);
  void resize(uint32_t rows, uint32_t cols) override;

 private:
  using Session::Session;
  struct Ends;
  void on_exit(int wait_status, bool oom_killed) override;
  void send_outcome() override;

  wire::ExecExited outcome_;
  Fd terminal_;  // for resizing
};

}  // namespace msb::agent
