// FileSession: an operation on files (core.fs.request), done by a worker.
//
// A worker is a fork of the agent that does one operation and ends: a file system that blocks (a network share, FUSE)
// blocks its worker, never the agent's loop; a client that goes away has it killed. It holds nothing of the agent's but
// three pipes: what the client sends, what the client gets, and the result, which comes last.
#pragma once

#include "agent/session.h"
#include "wire/file_messages.h"

namespace msb::agent {

class FileSession final : public Session {
 public:
  // Workers at once: each is a process with a stack and a few hundred KiB of its own.
  static constexpr size_t kMaxWorkers = 256;

  // An operation that cannot begin gives its result.
  static tl::expected<std::unique_ptr<Session>, wire::FileResult> start(Reactor& reactor, Channel& channel, uint32_t id,
                                                                        const wire::FileRequest& request,
                                                                        std::function<void(Session&)> on_finished);

 private:
  FileSession(Channel& channel, uint32_t id, Fd result, std::function<void(Session&)> on_finished)
      : Session(Kind::files, channel, id, std::move(on_finished)), result_(std::move(result)) {}
  void on_exit(int wait_status, bool oom_killed) override;
  void send_outcome() override;

  Fd result_;
  Bytes outcome_;  // an encoded core.fs.result
};

}  // namespace msb::agent
