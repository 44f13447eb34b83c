// Open files: OPEN, CREATE, TMPFILE, READ, WRITE, RELEASE, FSYNC, FALLOCATE, LSEEK, COPY_FILE_RANGE.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fs/host_status.h"
#include "fs/share_server.h"
#include "fs/transfer.h"

namespace msb::fs {
namespace {

// Flags of open(2) that mean on the host what they mean in the guest. Not O_DIRECT, which gets a descriptor of its own
// (transfer.h): the guest's buffers may lack the alignment. Not O_NOATIME: only owners may. Not O_APPEND: each write
// says whether it appends, and what the guest's kernel writes back of a mapping has a place of its own.
constexpr uint32_t kOpenFlags = O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC;

bool writes(uint32_t flags) {
  return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
}

bool same(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace

int ShareServer::reopen(const Node& node, uint32_t flags, Fd& out, Cache cache) const {
  // Opening a device or a FIFO does things; a socket and a symlink cannot be.
  if (!S_ISREG(node.mode)) return S_ISDIR(node.mode) ? EISDIR : ENXIO;
  const int more = O_CLOEXEC | O_NOCTTY | (cache == Cache::bypassed ? O_DIRECT : 0);
  out.reset(::open(path_of(node.fd.get()).c_str(), static_cast<int>(flags & kOpenFlags) | more));
  return out ? 0 : errno;
}

int ShareServer::add_open(Call& call, Node& node, uint64_t id, Fd fd, uint32_t flags) {
  struct stat status{};
  if (int error = status_of(fd.get(), status)) return error;
  fuse_open_out out{};
  // Nobody has changed the file since it was opened last: the guest's cached pages are still good.
  if (status.st_size == node.opened_size && same(status.st_mtim, node.opened_time)) out.open_flags = FOPEN_KEEP_CACHE;
  node.opened_size = status.st_size;
  node.opened_time = status.st_mtim;
  if (call.reply.room() < sizeof(out)) return EINVAL;
  // Where there is no other way than through the cache, that one is taken.
  Fd direct;
  if (flags & O_DIRECT) (void)reopen(node, flags & ~uint32_t{O_TRUNC}, direct, Cache::bypassed);
  out.fh = handles_.add({std::move(fd), Handle::Kind::file, id, 0, std::move(direct)});
  call.reply.add(out);
  return 0;
}

int ShareServer::open(Call& call) {
  auto in = call.request.take<fuse_open_in>();
  if (!in) return EINVAL;
  if (call.node->share->options.writable == Writable::no && writes(in->flags)) return EROFS;
  if (writes(in->flags) && keeps(*call.node)) return EPERM;
  if (handles_.full()) return ENFILE;
  Fd fd;
  if (int error = counted(call.turn, *call.node, {}, [&] { return reopen(*call.node, in->flags, fd); })) return error;
  return add_open(call, *call.node, call.id(), std::move(fd), in->flags);
}

int ShareServer::create_file(Call& call) {
  auto in = call.request.take<fuse_create_in>();
  auto name = call.request.take_name();
  if (!in || !name) return EINVAL;
  if (!visible(*call.node, *name) || keeps(*call.node, *name)) return EPERM;
  if (handles_.full()) return ENFILE;
  if (call.reply.room() < sizeof(fuse_entry_out) + sizeof(fuse_open_out)) return EINVAL;
  const ShareOptions& options = call.node->share->options;
  if (!call.turn.fits(kInodeWeight)) return ENOSPC;
  const OwnerRecord owner = owner_of_new(call.request, *call.node, S_IFREG | (in->mode & 07777));
  // Always exclusive at first: what is there already may be anything, and is opened as any other node.
  const int flags = static_cast<int>(in->flags & kOpenFlags & ~uint32_t{O_TRUNC}) | O_CREAT | O_EXCL | O_CLOEXEC;
  Fd fd(::openat(call.node->fd.get(), name->c_str(), flags, host_mode(options, owner.mode)));
  const bool made = static_cast<bool>(fd);
  if (!made && (errno != EEXIST || in->flags & O_EXCL)) return errno;
  Entry entry;
  int error = made ? finish_new(call, *name, owner, entry, fd.get()) : hold_entry(*call.node, *name, entry);
  if (error) return error;
  Node& node = *nodes_.find(entry.id);
  if (!made) error = counted(call.turn, node, {}, [&] { return reopen(node, in->flags, fd); });
  if (error) {
    nodes_.forget(entry.id, 1);
    return error;
  }
  add_entry(call.reply, entry, options.trust_ms);
  return add_open(call, node, entry.id, std::move(fd), in->flags);
}

int ShareServer::tmpfile(Call& call) {
  auto in = call.request.take<fuse_create_in>();
  if (!in) return EINVAL;
  const ShareOptions& options = call.node->share->options;
  if (!options.only.empty()) return EPERM;
  if (handles_.full()) return ENFILE;
  if (call.reply.room() < sizeof(fuse_entry_out) + sizeof(fuse_open_out)) return EINVAL;
  if (!call.turn.fits(kInodeWeight)) return ENOSPC;
  const OwnerRecord owner = owner_of_new(call.request, *call.node, S_IFREG | (in->mode & 07777));
  const int flags = static_cast<int>(in->flags & (kOpenFlags | O_EXCL)) | O_TMPFILE | O_CLOEXEC;
  Fd fd(::openat(call.node->fd.get(), ".", flags, host_mode(options, owner.mode)));
  if (!fd) return errno;
  Fd path(::open(path_of(fd.get()).c_str(), O_PATH | O_CLOEXEC));
  if (!path) return errno;
  Entry entry;
  if (int error = hold_file(std::move(path), *call.node->share, entry, Age::just_made)) return error;
  Node& node = *nodes_.find(entry.id);
  int error = record_new(node, owner, entry, fd.get());
  if (error) {
    nodes_.forget(entry.id, 1);
    return error;
  }
  count_new(call, node);
  add_entry(call.reply, entry, options.trust_ms);
  return add_open(call, node, entry.id, std::move(fd), in->flags);
}

int ShareServer::read(Call& call) {
  auto in = call.request.take<fuse_read_in>();
  if (!in || in->offset > INT64_MAX - kMaxData) return EINVAL;
  Handle* handle = handles_.find(in->fh, Handle::Kind::file, call.id());
  if (!handle) return EBADF;
  uint64_t done = 0;
  const int error = read_data(*handle, call.reply.space(std::min(in->size, kMaxData)), in->offset, done);
  call.reply.added(done);
  return error;
}

int ShareServer::write(Call& call) {
  auto in = call.request.take<fuse_write_in>();
  if (!in || in->size > kMaxData || in->offset > INT64_MAX - kMaxData) return EINVAL;
  Handle* handle = handles_.find(in->fh, Handle::Kind::file, call.id());
  if (!handle) return EBADF;
  auto data = call.request.data(in->size);
  if (size_of(data) < in->size || call.reply.room() < sizeof(fuse_write_out)) return EINVAL;
  uint64_t done = 0;
  // At the end that the host's file has now, wherever the guest believes it is.
  const bool appends = (in->flags & O_APPEND) != 0 && (in->write_flags & FUSE_WRITE_CACHE) == 0;
  const Reach reach{.end = in->offset + in->size, .appends = appends, .length = in->size};
  const int error = counted(call.turn, *call.node, reach, [&] {
    return write_data(*handle, data, in->offset, appends ? Place::at_end : Place::at_offset, done);
  });
  if (error) return error;
  fuse_write_out out{};
  out.size = static_cast<uint32_t>(done);
  call.reply.add(out);
  return 0;
}

int ShareServer::release(Call& call) {
  auto in = call.request.take<fuse_release_in>();
  if (!in) return EINVAL;
  if (!handles_.find(in->fh, Handle::Kind::file, call.id())) return EBADF;
  handles_.close(in->fh);
  return 0;
}

int ShareServer::fsync(Call& call) {
  auto in = call.request.take<fuse_fsync_in>();
  if (!in) return EINVAL;
  Handle* handle = handles_.find(in->fh, Handle::Kind::file, call.id());
  if (!handle) return EBADF;
  const bool data_only = in->fsync_flags & FUSE_FSYNC_FDATASYNC;
  return (data_only ? ::fdatasync(handle->fd.get()) : ::fsync(handle->fd.get())) < 0 ? errno : 0;
}

int ShareServer::fallocate(Call& call) {
  auto in = call.request.take<fuse_fallocate_in>();
  if (!in || in->offset > INT64_MAX || in->length > INT64_MAX - in->offset) return EINVAL;
  Handle* handle = handles_.find(in->fh, Handle::Kind::file, call.id());
  if (!handle) return EBADF;
  // What allocates without making the file longer, or moves its content, would not be counted rightly.
  const bool keeps = in->mode & FALLOC_FL_KEEP_SIZE, punches = in->mode & FALLOC_FL_PUNCH_HOLE;
  constexpr uint32_t kCounted = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
  if (call.turn && (in->mode & ~kCounted)) return EOPNOTSUPP;
  struct stat status{};
  if (call.turn && keeps && !punches && host_status(*call.node, status) == 0 &&
      in->offset + in->length > static_cast<uint64_t>(status.st_size))
    return EOPNOTSUPP;
  return counted(call.turn, *call.node, {.end = keeps ? 0 : in->offset + in->length}, [&] {
    return ::fallocate(handle->fd.get(), static_cast<int>(in->mode), static_cast<off_t>(in->offset),
                       static_cast<off_t>(in->length)) < 0
               ? errno
               : 0;
  });
}

int ShareServer::lseek(Call& call) {
  auto in = call.request.take<fuse_lseek_in>();
  if (!in || in->offset > INT64_MAX || (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)) return EINVAL;
  Handle* handle = handles_.find(in->fh, Handle::Kind::file, call.id());
  if (!handle) return EBADF;
  off_t at = ::lseek(handle->fd.get(), static_cast<off_t>(in->offset), static_cast<int>(in->whence));
  if (at < 0) return errno;
  fuse_lseek_out out{};
  out.offset = static_cast<uint64_t>(at);
  return call.reply.add(out) ? 0 : EINVAL;
}

int ShareServer::copy_file_range(Call& call) {
  auto in = call.request.take<fuse_copy_file_range_in>();
  if (!in || in->flags != 0 || in->off_in > INT64_MAX || in->off_out > INT64_MAX) return EINVAL;
  Handle* from = handles_.find(in->fh_in, Handle::Kind::file, call.id());
  Handle* to = handles_.find(in->fh_out, Handle::Kind::file, in->nodeid_out);
  if (!from || !to) return EBADF;
  // In parts, so that no request holds up the others for long; the guest asks again.
  constexpr uint64_t kMost = 64 * 1024 * 1024;
  auto in_offset = static_cast<off_t>(in->off_in), out_offset = static_cast<off_t>(in->off_out);
  const uint64_t length = std::min(in->len, kMost);
  Node* target = nodes_.find(in->nodeid_out);
  if (!target || !target->share) return EBADF;
  Quota::Turn turn(target->share->quota.get());
  ssize_t copied = 0;
  int error = counted(turn, *target, {.end = in->off_out + length}, [&] {
    copied = ::copy_file_range(from->fd.get(), &in_offset, to->fd.get(), &out_offset, length, 0);
    return copied < 0 ? errno : 0;
  });
  if (error) return error;
  fuse_write_out out{};
  out.size = static_cast<uint32_t>(copied);
  return call.reply.add(out) ? 0 : EINVAL;
}

}  // namespace msb::fs
