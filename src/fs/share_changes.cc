// Changes of names: MKDIR, MKNOD, SYMLINK, LINK, UNLINK, RMDIR, RENAME, RENAME2; and who owns what is new.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "fs/device_number.h"
#include "fs/share_server.h"

namespace msb::fs {
namespace {

constexpr uint32_t kPermissions = 07777;

}  // namespace

// The permission bits for the host's file.
uint32_t ShareServer::host_mode(const ShareOptions& options, uint32_t mode) {
  if (options.ownership == Ownership::host) return mode & kPermissions;
  // The server must get at what it has made, whatever the guest says of it.
  const uint32_t own = S_ISDIR(mode) ? 0700 : 0600;
  const bool executable = S_ISREG(mode) && (mode & 0111) != 0;
  if (options.host_modes == HostModes::private_) return own | (executable ? 0100 : 0);
  return own | (mode & 0777);
}

OwnerRecord ShareServer::owner_of_new(const FuseRequest& request, Node& directory, uint32_t mode) {
  OwnerRecord owner{request.header().uid, request.header().gid, mode, 0};
  fuse_attr parent{};
  if (attributes(directory, parent) == 0 && parent.mode & S_ISGID) {
    owner.gid = parent.gid;
    if (S_ISDIR(mode)) owner.mode |= S_ISGID;
  }
  return owner;
}

// And says what its attributes are then. `opened`: the file itself, where it is open.
int ShareServer::record_new(Node& node, const OwnerRecord& owner, Entry& entry, int opened) {
  const ShareOptions& options = node.share->options;
  if (options.ownership == Ownership::host) {
    // As far as the server may: an unprivileged one owns everything it makes.
    const int done = ::fchownat(node.fd.get(), "", owner.uid, owner.gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
    return done < 0 && errno != EPERM ? errno : attributes(node, entry.attributes);
  }
  struct stat& status = entry.status;
  // The server's own umask, or an ACL of the directory, may have taken bits away.
  const uint32_t mode = host_mode(options, owner.mode);
  if (!S_ISLNK(node.mode) && (status.st_mode & kPermissions & ~uint32_t{S_ISGID}) != mode) {
    if (::chmod(path_of(node.fd.get()).c_str(), mode) < 0) return errno;
    if (int error = host_status(node, status)) return error;
  }
  const OwnerRecord plain{status.st_uid, status.st_gid, status.st_mode, status.st_rdev};
  if (!S_ISLNK(node.mode) && owner != plain)
    if (int error = store_record(node, owner, status, opened)) return error;
  attributes_from(node, status, entry.attributes);
  return 0;
}

// Holds what was just made and notes its owner; takes it away again when that fails.
int ShareServer::finish_new(Call& call, const std::string& name, const OwnerRecord& owner, Entry& entry, int opened) {
  int error = hold_entry(*call.node, name, entry, Age::just_made);
  if (!error) {
    Node& node = *nodes_.find(entry.id);
    error = record_new(node, owner, entry, opened);
    if (error) nodes_.forget(entry.id, 1);
    if (!error) count_new(call, node);
  }
  if (error) ::unlinkat(call.node->fd.get(), name.c_str(), S_ISDIR(owner.mode) ? AT_REMOVEDIR : 0);
  return error;
}

int ShareServer::mkdir(Call& call) {
  auto in = call.request.take<fuse_mkdir_in>();
  auto name = call.request.take_name();
  if (!in || !name) return EINVAL;
  if (!visible(*call.node, *name) || keeps(*call.node, *name)) return EPERM;
  if (!call.turn.fits(kInodeWeight)) return ENOSPC;
  const OwnerRecord owner = owner_of_new(call.request, *call.node, S_IFDIR | (in->mode & kPermissions));
  if (::mkdirat(call.node->fd.get(), name->c_str(), host_mode(call.node->share->options, owner.mode)) < 0) return errno;
  Entry entry;
  if (int error = finish_new(call, *name, owner, entry)) return error;
  return add_entry(call.reply, entry, call.node->share->options.trust_ms);
}

int ShareServer::mknod(Call& call) {
  auto in = call.request.take<fuse_mknod_in>();
  auto name = call.request.take_name();
  if (!in || !name) return EINVAL;
  if (!visible(*call.node, *name) || keeps(*call.node, *name)) return EPERM;
  OwnerRecord owner = owner_of_new(call.request, *call.node, in->mode & (S_IFMT | kPermissions));
  if (!(owner.mode & S_IFMT)) owner.mode |= S_IFREG;
  const bool special = !S_ISREG(owner.mode);
  if (S_ISDIR(owner.mode) || S_ISLNK(owner.mode)) return EINVAL;
  if (S_ISCHR(owner.mode) || S_ISBLK(owner.mode)) owner.rdev = decode_device(in->rdev);
  // The host never gets a device, a FIFO or a socket: an empty file stands for it, and a note says what it is.
  const ShareOptions& options = call.node->share->options;
  if (special && options.ownership == Ownership::host) return EPERM;
  if (!call.turn.fits(kInodeWeight)) return ENOSPC;
  Fd fd(::openat(call.node->fd.get(), name->c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                 host_mode(options, S_IFREG | (owner.mode & kPermissions))));
  if (!fd) return errno;
  Entry entry;
  if (int error = finish_new(call, *name, owner, entry, fd.get())) return error;
  return add_entry(call.reply, entry, call.node->share->options.trust_ms);
}

int ShareServer::symlink(Call& call) {
  auto name = call.request.take_name();
  auto target = call.request.take_string();
  if (!name || !target) return EINVAL;
  if (!visible(*call.node, *name) || keeps(*call.node, *name)) return EPERM;
  if (!call.turn.fits(kInodeWeight + target->size())) return ENOSPC;
  const OwnerRecord owner = owner_of_new(call.request, *call.node, S_IFLNK | 0777);
  if (::symlinkat(target->c_str(), call.node->fd.get(), name->c_str()) < 0) return errno;
  Entry entry;
  if (int error = finish_new(call, *name, owner, entry)) return error;
  return add_entry(call.reply, entry, call.node->share->options.trust_ms);
}

int ShareServer::link(Call& call) {
  auto in = call.request.take<fuse_link_in>();
  auto name = call.request.take_name();
  if (!in || !name) return EINVAL;
  if (!call.node->share->options.only.empty()) return EPERM;
  Node* source = nodes_.find(in->oldnodeid);
  if (!source) return ESTALE;
  if (source->share != call.node->share) return EXDEV;
  if (keeps(*call.node, *name) || keeps(*source)) return EPERM;
  // Through the magic link, which is the node itself: AT_EMPTY_PATH would want a capability.
  if (::linkat(AT_FDCWD, path_of(source->fd.get()).c_str(), call.node->fd.get(), name->c_str(), AT_SYMLINK_FOLLOW) < 0)
    return errno;
  count_link(call, *source);
  return reply_entry(call, *name);
}

int ShareServer::remove(Call& call, const std::string& name, int flags) {
  const Victim victim = find_victim(call, *call.node, name);
  if (::unlinkat(call.node->fd.get(), name.c_str(), flags) < 0) return errno;
  count_removal(call, *call.node, name, victim);
  return 0;
}

int ShareServer::unlink(Call& call) {
  auto name = call.request.take_name();
  if (!name) return EINVAL;
  if (!call.node->share->options.only.empty() || keeps(*call.node, *name)) return EPERM;
  return remove(call, *name, 0);
}

int ShareServer::rmdir(Call& call) {
  auto name = call.request.take_name();
  if (!name) return EINVAL;
  if (!call.node->share->options.only.empty() || keeps(*call.node, *name)) return EPERM;
  return remove(call, *name, AT_REMOVEDIR);
}

int ShareServer::rename(Call& call) {
  auto in = call.request.take<fuse_rename_in>();
  return in ? move(call, in->newdir, 0) : EINVAL;
}

int ShareServer::rename2(Call& call) {
  auto in = call.request.take<fuse_rename2_in>();
  // Not RENAME_WHITEOUT: it makes a device node.
  if (!in || in->flags & ~uint32_t{RENAME_NOREPLACE | RENAME_EXCHANGE}) return EINVAL;
  return move(call, in->newdir, in->flags);
}

int ShareServer::move(Call& call, uint64_t new_directory, uint32_t flags) {
  auto from = call.request.take_name();
  auto to = call.request.take_name();
  if (!from || !to) return EINVAL;
  if (!call.node->share->options.only.empty()) return EPERM;
  Node* target = nodes_.find(new_directory);
  if (!target) return ESTALE;
  if (target->share != call.node->share) return EXDEV;
  if (keeps(*call.node, *from) || keeps(*target, *to)) return EPERM;
  const Victim victim = find_victim(call, *target, *to);
  if (::renameat2(call.node->fd.get(), from->c_str(), target->fd.get(), to->c_str(), flags) < 0) return errno;
  // Exchanged, it has the other name now.
  if (!(flags & RENAME_EXCHANGE)) count_removal(call, *target, *to, victim);
  return 0;
}

}  // namespace msb::fs
