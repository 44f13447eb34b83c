// What the guest's changes come to, for the share's quota. The rules are in quota.h.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fs/share_server.h"

namespace msb::fs {
namespace {

int64_t difference(uint64_t after, uint64_t before) {
  return static_cast<int64_t>(after) - static_cast<int64_t>(before);
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

bool ShareServer::is_counted(uint32_t opcode) {
  // OPEN may truncate. COPY_FILE_RANGE changes another file than the one it names first.
  return opcode == FUSE_OPEN || (changes_something(opcode) && opcode != FUSE_COPY_FILE_RANGE);
}

int ShareServer::begin_change(const Quota::Turn& turn, const Node& node, const Reach& reach,
                              struct stat& before) const {
  if (!turn) return 0;
  if (int error = host_status(node, before)) return error;
  const auto size = static_cast<uint64_t>(before.st_size);
  uint64_t end = reach.end;
  if (reach.appends && __builtin_add_overflow(size, reach.length, &end)) return EFBIG;
  const uint64_t growth = end > size ? end - size : 0;
  if (growth == 0) return 0;
  // Another sandbox took its last name away: it is no longer counted, and goes when that one lets go.
  if (before.st_nlink == 0 && !node.nameless) return ENOSPC;
  return turn.fits(growth) ? 0 : ENOSPC;
}

// Also after a failure: part of it may be done.
void ShareServer::end_change(Quota::Turn& turn, const Node& node, const struct stat& before) const {
  struct stat after{};
  if (!turn || host_status(node, after)) return;
  const int64_t change = difference(weight_of(after), weight_of(before));
  turn.add(change);
  if (node.nameless) turn.add_nameless(change);
}

void ShareServer::count_new(Call& call, Node& node) const {
  struct stat status{};
  if (!call.turn || host_status(node, status)) return;
  const int64_t weight = difference(weight_of(status), 0);
  call.turn.add(weight);
  if (status.st_nlink > 0) return;
  node.nameless = true;
  call.turn.add_nameless(weight);
}

// What had no name may have one now.
void ShareServer::count_link(Call& call, Node& node) const {
  struct stat status{};
  if (!node.nameless || host_status(node, status) || status.st_nlink == 0) return;
  node.nameless = false;
  call.turn.add_nameless(-difference(weight_of(status), 0));
}

ShareServer::Victim ShareServer::find_victim(const Call& call, const Node& directory, const std::string& name) {
  Victim victim;
  if (!call.turn) return victim;
  victim.fd.reset(::openat(directory.fd.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (victim.fd && ::fstat(victim.fd.get(), &victim.status) < 0) victim.fd.reset();
  return victim;
}

void ShareServer::count_removal(Call& call, const Node& directory, const std::string& name, const Victim& victim) {
  struct stat now{};
  if (!victim.fd || ::fstat(victim.fd.get(), &now) < 0) return;
  if (S_ISDIR(now.st_mode)) {
    // Some file systems do not count a directory's links.
    struct stat there{};
    const bool still = ::fstatat(directory.fd.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
    if (!still || !same_file(there, now)) call.turn.add(-difference(weight_of(now), 0));
    return;
  }
  if (now.st_nlink > 0) return;
  Node* node = nodes_.find(*directory.share, now);
  if (node && S_ISREG(now.st_mode)) {
    if (node->nameless) return;
    node->nameless = true;
    call.turn.add_nameless(difference(weight_of(now), 0));
    return;
  }
  call.turn.add(-difference(weight_of(now), 0));
  empty(*directory.share, victim.fd.get(), now);
}

// Nobody here can reach the file any more. Somebody in another sandbox may have it open, and must not keep blocks that
// are not counted: a removed file is empty for them (as on a network file system, where it is gone).
void ShareServer::empty(const Share& share, int fd, const struct stat& status) const {
  if (share.quota->is_shared() && S_ISREG(status.st_mode) && status.st_size > 0)
    (void)::truncate(path_of(fd).c_str(), 0);
}

void ShareServer::let_go(uint64_t id, uint64_t count) {
  Node* node = nodes_.find(id);
  if (node && node->nameless && node->lookups <= count) settle(id, *node);
  nodes_.forget(id, count);
}

void ShareServer::settle(uint64_t id, Node& node) {
  Quota::Turn turn(node.share->quota.get());
  // A guest that keeps a file open and forgets it does not keep its blocks uncounted.
  handles_.close_all_of(id);
  struct stat status{};
  if (host_status(node, status)) return;
  const int64_t weight = difference(weight_of(status), 0);
  turn.add_nameless(-weight);
  // Somebody on the host may have given it a name again.
  if (status.st_nlink > 0) return;
  turn.add(-weight);
  empty(*node.share, node.fd.get(), status);
}

void ShareServer::end_session() {
  nodes_.for_each([this](uint64_t id, Node& node) {
    if (node.nameless) settle(id, node);
  });
  handles_ = HandleTable(options_.max_handles);
  nodes_ = NodeTable(options_.max_nodes);
}

// All attributes of a file together stay within what kInodeWeight is for.
bool ShareServer::attribute_fits(const Call& call, const std::string& path, const std::string& name, size_t size) {
  if (!call.turn) return true;
  std::string names(kInodeWeight, '\0');
  const ssize_t length = ::listxattr(path.c_str(), names.data(), names.size());
  if (length < 0) return errno != ERANGE;
  names.resize(static_cast<size_t>(length));
  size_t total = name.size() + size;
  for (size_t at = 0; at < names.size();) {
    const std::string_view other(names.c_str() + at);
    at += other.size() + 1;
    if (other == name) continue;
    const ssize_t value = ::getxattr(path.c_str(), other.data(), nullptr, 0);
    total += other.size() + static_cast<size_t>(std::max<ssize_t>(value, 0));
  }
  return total <= kInodeWeight;
}

}  // namespace msb::fs
