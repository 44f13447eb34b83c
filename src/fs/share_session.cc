// The session as a whole: INIT, DESTROY, FORGET, STATFS, SYNCFS.
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fs/share_server.h"

namespace msb::fs {
namespace {

constexpr uint32_t kPage = 4096;
// Taken when the guest offers them.
constexpr uint32_t kFeatures = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_AUTO_INVAL_DATA |
                               FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES;

}  // namespace

int ShareServer::init(Call& call) {
  // Older guests send less.
  constexpr size_t kOldSize = offsetof(fuse_init_in, flags2);
  auto bytes = call.request.take_bytes(kOldSize);
  if (!bytes) return EINVAL;
  fuse_init_in in{};
  std::memcpy(&in, bytes->data(), kOldSize);
  fuse_init_out out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = FUSE_KERNEL_MINOR_VERSION;
  // Another major version: the guest begins again with ours.
  if (in.major != FUSE_KERNEL_VERSION) return call.reply.add(out) ? 0 : EINVAL;

  // A new session: what an earlier one held is gone.
  end_session();
  ready_ = true;

  out.minor = std::min<uint32_t>(in.minor, FUSE_KERNEL_MINOR_VERSION);
  out.max_readahead = in.max_readahead;
  out.flags = in.flags & kFeatures;
  out.max_background = 64;
  out.congestion_threshold = 48;
  out.max_write = kMaxData;
  out.time_gran = 1;
  out.max_pages = kMaxData / kPage;
  return call.reply.add(out) ? 0 : EINVAL;
}

int ShareServer::destroy(Call&) {
  ready_ = false;
  end_session();
  return 0;
}

void ShareServer::forget(FuseRequest& request) {
  if (request.header().opcode == FUSE_FORGET) {
    if (auto in = request.take<fuse_forget_in>()) let_go(request.header().nodeid, in->nlookup);
    return;
  }
  auto batch = request.take<fuse_batch_forget_in>();
  if (!batch) return;
  for (uint32_t i = 0; i < batch->count; ++i) {
    auto one = request.take<fuse_forget_one>();
    if (!one) return;
    let_go(one->nodeid, one->nlookup);
  }
}

int ShareServer::statfs(Call& call) {
  struct statvfs status{};
  status.f_bsize = status.f_frsize = kPage;
  status.f_namemax = 255;
  if (call.node->share && ::fstatvfs(call.node->fd.get(), &status) < 0) return errno;
  if (call.node->share && call.node->share->quota) {
    const Quota& quota = *call.node->share->quota;
    status.f_blocks = quota.limit() / status.f_frsize;
    status.f_bfree = status.f_bavail = std::min<uint64_t>(quota.left() / status.f_frsize, status.f_bavail);
  }
  fuse_statfs_out out{};
  out.st.blocks = status.f_blocks;
  out.st.bfree = status.f_bfree;
  out.st.bavail = status.f_bavail;
  out.st.files = status.f_files;
  out.st.ffree = status.f_ffree;
  out.st.bsize = static_cast<uint32_t>(status.f_bsize);
  out.st.frsize = static_cast<uint32_t>(status.f_frsize);
  out.st.namelen = static_cast<uint32_t>(status.f_namemax);
  return call.reply.add(out) ? 0 : EINVAL;
}

// Asked about the whole file system, which is all shares.
int ShareServer::syncfs(Call&) {
  for (const auto& share : shares_) {
    if (share.options.writable == Writable::no) continue;
    // syncfs(2) wants a descriptor that is open. Of a single file's directory nothing but the file may be opened.
    const std::string& only = share.options.only;
    Fd opened(::openat(share.root.get(), only.empty() ? "." : only.c_str(),
                       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!opened && !only.empty()) continue;  // it was removed on the host
    if (!opened || ::syncfs(opened.get()) < 0) return errno;
  }
  return 0;
}

}  // namespace msb::fs
