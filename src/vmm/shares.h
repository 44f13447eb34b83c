// Shares: the device that shows the host's directories to the portable machine's guest, as the back end of a vhost-user
// device of QEMU's. Requests are answered by a thread of its own, behind walls of its own: it can open nothing but what
// is shared, the rest of this process nothing of that.
//
//   MSB_TRY(auto shares, open_shares(config.machine.shares));          // while everything can still be opened
//   ... start QEMU with one end of a socket pair ...
//   MSB_TRY(auto served, Shares::serve(reactor, std::move(shares), std::move(socket), on_broken));
//
// A thread's walls are the second line: code that took over one thread of a process could use another's.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "fence/seccomp_filter.h"
#include "fence/walls.h"
#include "fs/open_share.h"
#include "virtio/fs_device.h"
#include "virtio/vhost_user_backend.h"

namespace msb::vmm {

Result<std::vector<fs::Share>> open_shares(const std::vector<state::ShareSpec>& specs);

class Shares {
 public:
  // `on_broken`: QEMU breaks the protocol, and is served no more; on the reactor's thread. That QEMU is gone is no
  // such thing.
  static Result<std::unique_ptr<Shares>> serve(Reactor& reactor, std::vector<fs::Share> shares, Fd socket,
                                               std::function<void(const Error&)> on_broken);

  // Those round the thread.
  const fence::WallReports& walls() const { return walls_; }

 private:
  Shares() = default;

  fence::WallReports walls_;
  std::unique_ptr<virtio::VirtioFs> device_;
  std::unique_ptr<virtio::VhostUserBackend> backend_;  // before the device it shows
};

// What the thread may call (for tests and documentation).
fence::SeccompPolicy share_system_calls();
// Raises the walls round the calling thread, for good.
Result<fence::WallReports> restrain_share_thread(const std::vector<fs::Share>& shares);

}  // namespace msb::vmm
