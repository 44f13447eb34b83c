// Names and attributes: LOOKUP, GETATTR, SETATTR, READLINK.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/device_number.h"
#include "fs/host_status.h"
#include "fs/share_server.h"

namespace msb::fs {
namespace {

constexpr uint32_t kPermissions = 07777;

void set_valid(uint32_t trust_ms, uint64_t& seconds, uint32_t& nanoseconds) {
  seconds = trust_ms / 1000;
  nanoseconds = trust_ms % 1000 * 1'000'000;
}

bool same(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

// The root never changes; an hour of trust is as good as any.
uint32_t trust_of(const Node& node) {
  constexpr uint32_t kRootMs = 3'600'000;
  return node.share ? node.share->options.trust_ms : kRootMs;
}

// Where an attribute can be kept.
bool can_be_noted(uint32_t mode) {
  return S_ISREG(mode) || S_ISDIR(mode);
}

}  // namespace

int ShareServer::host_status(const Node& node, struct stat& status) const {
  return status_of(node.fd.get(), status);
}

void ShareServer::load_record(Node& node, const struct stat& status) const {
  if (node.share->options.ownership == Ownership::host || !can_be_noted(node.mode) ||
      same(node.record_time, status.st_ctim))
    return;
  std::array<char, kMaxOwnerRecord> text;
  ssize_t length = ::getxattr(path_of(node.fd.get()).c_str(), kOwnerRecordName, text.data(), text.size());
  node.record.reset();
  if (length > 0) node.record = parse_owner_record({text.data(), static_cast<size_t>(length)}, node.mode);
  node.record_time = status.st_ctim;
}

void ShareServer::apply_record(const Node& node, struct stat& status) const {
  if (!node.record) return;
  status.st_uid = node.record->uid;
  status.st_gid = node.record->gid;
  status.st_mode = node.record->mode;
  status.st_rdev = node.record->rdev;
}

int ShareServer::attributes(Node& node, fuse_attr& out) {
  if (!node.share) {
    out.ino = FUSE_ROOT_ID;
    out.mode = node.mode;
    out.nlink = 2;
    out.blksize = 4096;
    return 0;
  }
  struct stat status{};
  if (int error = host_status(node, status)) return error;
  attributes_from(node, status, out);
  return 0;
}

void ShareServer::attributes_from(Node& node, struct stat status, fuse_attr& out) const {
  load_record(node, status);
  apply_record(node, status);
  // For the guest all shares are one device, so that files of different devices must not have the same number: those
  // of the first share's are as they are, each other device gets a range of its own.
  out.ino = status.st_dev == shares_.front().device ? status.st_ino : status.st_ino ^ (uint64_t{status.st_dev} << 44);
  out.size = static_cast<uint64_t>(status.st_size);
  out.blocks = static_cast<uint64_t>(status.st_blocks);
  out.atime = static_cast<uint64_t>(status.st_atim.tv_sec);
  out.mtime = static_cast<uint64_t>(status.st_mtim.tv_sec);
  out.ctime = static_cast<uint64_t>(status.st_ctim.tv_sec);
  out.atimensec = static_cast<uint32_t>(status.st_atim.tv_nsec);
  out.mtimensec = static_cast<uint32_t>(status.st_mtim.tv_nsec);
  out.ctimensec = static_cast<uint32_t>(status.st_ctim.tv_nsec);
  out.mode = status.st_mode;
  out.nlink = static_cast<uint32_t>(status.st_nlink);
  out.uid = status.st_uid;
  out.gid = status.st_gid;
  out.rdev = encode_device(status.st_rdev);
  out.blksize = static_cast<uint32_t>(status.st_blksize);
}

int ShareServer::hold_file(Fd fd, const Share& share, Entry& entry, Age age) {
  struct stat& status = entry.status;
  if (int error = status_of(fd.get(), status)) return error;
  auto id = nodes_.hold(std::move(fd), share, status);
  if (!id) return ENFILE;
  entry.id = *id;
  Node& node = *nodes_.find(*id);
  if (age == Age::just_made && node.lookups == 1)
    node.record_time = status.st_ctim;
  else
    attributes_from(node, status, entry.attributes);
  return 0;
}

int ShareServer::hold_entry(const Node& directory, const std::string& name, Entry& entry, Age age) {
  const Share* share = directory.share;
  Fd fd;
  if (share) {
    fd.reset(::openat(directory.fd.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return errno;
  } else {
    auto found = std::ranges::find(shares_, name, &Share::name);
    if (found == shares_.end()) return ENOENT;
    share = &*found;
    auto copy = share->root.duplicate();
    if (!copy) return copy.error().errnum();
    fd = std::move(*copy);
  }
  return hold_file(std::move(fd), *share, entry, age);
}

int ShareServer::add_entry(FuseReply& reply, const Entry& entry, uint32_t trust_ms) {
  fuse_entry_out out{};
  out.nodeid = entry.id;
  out.attr = entry.attributes;
  // A name that is not to be trusted at all is dropped after use, and what it named is forgotten.
  set_valid(is_crowded() ? 0 : trust_ms, out.entry_valid, out.entry_valid_nsec);
  set_valid(trust_ms, out.attr_valid, out.attr_valid_nsec);
  if (reply.add(out)) return 0;
  if (entry.id != 0) nodes_.forget(entry.id, 1);
  return EINVAL;
}

int ShareServer::reply_entry(Call& call, const std::string& name) {
  Entry entry;
  if (int error = hold_entry(*call.node, name, entry)) return error;
  return add_entry(call.reply, entry, trust_of(*call.node));
}

int ShareServer::lookup(Call& call) {
  auto name = call.request.take_name();
  if (!name) return EINVAL;
  int error = !call.node->share || visible(*call.node, *name) ? reply_entry(call, *name) : ENOENT;
  // "Not there" is an answer the guest may keep, too.
  const uint32_t trust_ms = trust_of(*call.node);
  return error == ENOENT && trust_ms > 0 ? add_entry(call.reply, Entry{}, trust_ms) : error;
}

int ShareServer::getattr(Call& call) {
  fuse_attr_out out{};
  if (int error = attributes(*call.node, out.attr)) return error;
  set_valid(trust_of(*call.node), out.attr_valid, out.attr_valid_nsec);
  return call.reply.add(out) ? 0 : EINVAL;
}

// `status` is of the file as it is then. `opened`: the file itself, where it is open: that spares the way to it by
// name.
int ShareServer::store_record(Node& node, const OwnerRecord& record, struct stat& status, int opened) {
  if (can_be_noted(node.mode)) {
    std::string text = format(record);
    const int done = opened >= 0
                         ? ::fsetxattr(opened, kOwnerRecordName, text.data(), text.size(), 0)
                         : ::setxattr(path_of(node.fd.get()).c_str(), kOwnerRecordName, text.data(), text.size(), 0);
    // What the host's file system cannot keep lasts as long as the guest holds the node, if that will do.
    if (done < 0 && (errno != ENOTSUP || node.share->options.ownership == Ownership::strict)) return errno;
  }
  if (int error = host_status(node, status)) return error;
  node.record = record;
  node.record_time = status.st_ctim;
  return 0;
}

int ShareServer::set_owner_and_mode(Node& node, const fuse_setattr_in& in) {
  struct stat status{};
  if (int error = host_status(node, status)) return error;
  const struct stat host = status;
  load_record(node, status);
  apply_record(node, status);
  const ShareOptions& options = node.share->options;
  if (options.ownership == Ownership::host) {
    uid_t uid = in.valid & FATTR_UID ? in.uid : static_cast<uid_t>(-1);
    gid_t gid = in.valid & FATTR_GID ? in.gid : static_cast<gid_t>(-1);
    if (in.valid & (FATTR_UID | FATTR_GID) &&
        ::fchownat(node.fd.get(), "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
      return errno;
    if (in.valid & FATTR_MODE && ::chmod(path_of(node.fd.get()).c_str(), in.mode & kPermissions) < 0) return errno;
    return 0;
  }
  // A symlink's mode means nothing, and its owner next to nothing; it has no place for a note.
  if (!can_be_noted(node.mode)) return 0;
  OwnerRecord record{status.st_uid, status.st_gid, status.st_mode, status.st_rdev};
  if (in.valid & FATTR_UID) record.uid = in.uid;
  if (in.valid & FATTR_GID) record.gid = in.gid;
  if (in.valid & FATTR_MODE) {
    record.mode = (record.mode & S_IFMT) | (in.mode & kPermissions);
    uint32_t mode = host_mode(options, record.mode);
    if (mode != (host.st_mode & kPermissions) && ::chmod(path_of(node.fd.get()).c_str(), mode) < 0) return errno;
  }
  struct stat now{};
  if (int error = host_status(node, now)) return error;
  // What the host's file says by itself needs no note.
  const OwnerRecord plain{now.st_uid, now.st_gid, now.st_mode, now.st_rdev};
  if (record == plain && !node.record) return 0;
  return store_record(node, record, now);
}

int ShareServer::setattr(Call& call) {
  auto in = call.request.take<fuse_setattr_in>();
  if (!in) return EINVAL;
  Node& node = *call.node;
  if (keeps(node)) return EPERM;
  if (in->valid & FATTR_SIZE) {
    if (!S_ISREG(node.mode)) return EINVAL;
    if (in->size > INT64_MAX) return EFBIG;
    Handle* handle = in->valid & FATTR_FH ? handles_.find(in->fh, Handle::Kind::file, call.id()) : nullptr;
    if (in->valid & FATTR_FH && !handle) return EBADF;
    Fd opened;
    if (!handle)
      if (int error = reopen(node, O_WRONLY, opened)) return error;
    const int file = handle ? handle->fd.get() : opened.get();
    const int error = counted(call.turn, node, {.end = in->size},
                              [&] { return ::ftruncate(file, static_cast<off_t>(in->size)) < 0 ? errno : 0; });
    if (error) return error;
  }
  if (in->valid & (FATTR_MODE | FATTR_UID | FATTR_GID))
    if (int error = set_owner_and_mode(node, *in)) return error;
  if (in->valid & (FATTR_ATIME | FATTR_MTIME)) {
    auto time = [&](uint32_t set, uint32_t now, uint64_t seconds, uint32_t nanoseconds) {
      if (!(in->valid & set)) return timespec{0, UTIME_OMIT};
      if (in->valid & now) return timespec{0, UTIME_NOW};
      return timespec{static_cast<time_t>(seconds), static_cast<long>(nanoseconds)};
    };
    const timespec times[] = {time(FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
                              time(FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec)};
    if (::utimensat(node.fd.get(), "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0) return errno;
    // That changed st_ctim, but not the note.
    struct stat status{};
    if (host_status(node, status) == 0 && node.record) node.record_time = status.st_ctim;
  }
  return getattr(call);
}

int ShareServer::readlink(Call& call) {
  if (!S_ISLNK(call.node->mode)) return EINVAL;
  std::array<char, 4096> target;
  ssize_t length = ::readlinkat(call.node->fd.get(), "", target.data(), target.size());
  if (length < 0) return errno;
  return call.reply.add(as_bytes({target.data(), static_cast<size_t>(length)})) ? 0 : ERANGE;
}

}  // namespace msb::fs
