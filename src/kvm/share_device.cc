#include "kvm/share_device.h"

#include <sys/resource.h>

#include <algorithm>

#include "state/machine_spec.h"

namespace msb::kvm {
namespace {

Result<fs::Share> make_share(const ShareConfig& config, ShareFds fds) {
  constexpr auto kLastOwnership = static_cast<uint8_t>(fs::Ownership::host);
  constexpr auto kLastModes = static_cast<uint8_t>(fs::HostModes::mirror);
  if (config.ownership > kLastOwnership || config.host_modes > kLastModes)
    return fail(ErrorKind::internal, cat("the configuration of the share ", config.name, " makes no sense"));
  fs::Share share{config.name, std::move(fds.directory)};
  share.options.only = config.only;
  share.options.protect_hooks = config.protect_hooks;
  share.options.writable = config.read_only ? fs::Writable::no : fs::Writable::yes;
  share.options.ownership = static_cast<fs::Ownership>(config.ownership);
  share.options.host_modes = static_cast<fs::HostModes>(config.host_modes);
  if (config.quota_bytes == 0) return share;
  if (!fds.usage) {
    share.quota = fs::Quota::of_growth(config.quota_bytes);
    return share;
  }
  MSB_TRY(share.quota, fs::Quota::of_volume(config.quota_bytes, std::move(fds.usage)));
  return share;
}

// Every file that the guest knows of and every one it has open is a descriptor: as many as there may be, and as the
// host's memory that goes with them (1.5 KiB each) fits into the machine's control group.
fs::ShareServer::Options server_options() {
  fs::ShareServer::Options options;
  options.descriptors = ".";
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return options;
  constexpr rlim_t kMostNodes = 200'000;
  constexpr rlim_t kOfTheMachine = 1024;  // disks, events, processors: some hundred at most
  const rlim_t left = limit.rlim_cur - std::min(kOfTheMachine, limit.rlim_cur / 2);
  options.max_handles = static_cast<uint32_t>(std::min<rlim_t>(options.max_handles, left / 4));
  options.max_nodes = static_cast<uint32_t>(std::min<rlim_t>(kMostNodes, left - options.max_handles));
  return options;
}

}  // namespace

Result<std::unique_ptr<virtio::VirtioFs>> make_share_device(const std::vector<ShareConfig>& configs,
                                                            std::vector<ShareFds> fds,
                                                            std::function<void(std::function<void()>)> lend_thread) {
  std::vector<fs::Share> shares;
  for (size_t i = 0; i < configs.size(); ++i) {
    MSB_TRY(auto share, make_share(configs[i], std::move(fds[i])));
    shares.push_back(std::move(share));
  }
  MSB_TRY(auto server, fs::ShareServer::create(std::move(shares), server_options()));
  return virtio::VirtioFs::create(std::move(server), {.tag = state::kShareTag, .lend_thread = std::move(lend_thread)});
}

}  // namespace msb::kvm
