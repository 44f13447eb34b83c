// The shares of a configuration as what the guest sees of them: one file system device.
#pragma once

#include <memory>
#include <vector>

#include "kvm/machine_config.h"
#include "virtio/fs_device.h"

namespace msb::kvm {

// The descriptors of one share, owned.
struct ShareFds {
  Fd directory;
  Fd usage;  // none: it has no record of its own
};

// `fds` are those of `configs`, in their order. Files are reopened by the links in the working directory, which is to
// be /proc/self/fd (fence.h). Failures: internal (the configuration makes no sense), those of the device.
Result<std::unique_ptr<virtio::VirtioFs>> make_share_device(const std::vector<ShareConfig>& configs,
                                                            std::vector<ShareFds> fds,
                                                            std::function<void(std::function<void()>)> lend_thread);

}  // namespace msb::kvm
