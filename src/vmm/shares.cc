#include "vmm/shares.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>

#include "state/machine_spec.h"

namespace msb::vmm {
namespace {

// Descriptors that the rest of the process may need: 1024 clients and their files.
constexpr rlim_t kOtherDescriptors = 4096;

// Every file the guest holds is a descriptor here: as many as this user may have.
fs::ShareServer::Options server_options() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    ::getrlimit(RLIMIT_NOFILE, &files);
  }
  fs::ShareServer::Options options;
  const rlim_t others = std::min(kOtherDescriptors, files.rlim_cur / 4);
  const auto left = static_cast<uint32_t>(std::min<rlim_t>(files.rlim_cur - others, UINT32_MAX));
  options.max_nodes = std::min(options.max_nodes, left / 4 * 3);
  options.max_handles = std::min(options.max_handles, left / 4);
  return options;
}

// Where a second copy of the descriptors is for the thread's walls: the server owns the first.
Result<std::vector<fs::Share>> copy_of(const std::vector<fs::Share>& shares) {
  std::vector<fs::Share> copies;
  for (const auto& share : shares) {
    MSB_TRY(Fd root, share.root.duplicate());
    copies.push_back({share.name, std::move(root), share.options});
  }
  return copies;
}

}  // namespace

Result<std::vector<fs::Share>> open_shares(const std::vector<state::ShareSpec>& specs) {
  std::vector<fs::Share> shares;
  for (const auto& spec : specs) {
    MSB_TRY(auto share, fs::open_share(spec));
    shares.push_back(std::move(share));
  }
  return shares;
}

Result<std::unique_ptr<Shares>> Shares::serve(Reactor& reactor, std::vector<fs::Share> shares, Fd socket,
                                              std::function<void(const Error&)> on_broken) {
  std::unique_ptr<Shares> served(new Shares);
  MSB_TRY(auto granted, copy_of(shares));
  MSB_TRY(auto server, fs::ShareServer::create(std::move(shares), server_options()));
  virtio::VirtioFs::Options options;
  options.tag = state::kShareTag;
  MSB_TRY(served->device_, virtio::VirtioFs::create(std::move(server), std::move(options)));
  MSB_CHECK(served->device_->prepare([&]() -> Result<> {
    MSB_TRY(served->walls_, restrain_share_thread(granted));
    return {};
  }));
  virtio::VhostUserBackend::Hooks hooks;
  // Standard error is the sandbox's runtime log.
  hooks.warn = [](const Error& what) { std::fprintf(stderr, "shares: %s\n", what.to_string().c_str()); };
  hooks.ended = [on_broken = std::move(on_broken)](const Error& error) {
    if (error.kind() == ErrorKind::protocol) on_broken(error);
  };
  MSB_TRY(served->backend_,
          virtio::VhostUserBackend::create(reactor, std::move(socket), *served->device_, std::move(hooks)));
  return served;
}

}  // namespace msb::vmm
