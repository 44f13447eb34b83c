// Open directories: OPENDIR, READDIR, READDIRPLUS, RELEASEDIR, FSYNCDIR.
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "fs/share_server.h"

namespace msb::fs {

// One entry as getdents64(2) gives it.
struct HostEntry {
  uint64_t inode = 0;
  int64_t next = 0;  // where the entry after it is
  uint8_t type = 0;
  std::string name;
};

struct ShareServer::Listing {
  FuseReply& reply;
  Detail detail;
  Node& directory;
  bool full = false;  // the last entry found no room
};

namespace {

constexpr size_t kReadSize = 32 * 1024;
// The kernel's struct linux_dirent64: inode, next, length of the record, type, name with terminator.
constexpr size_t kInode = 0, kNext = 8, kLength = 16, kType = 18, kName = 19;

HostEntry parse(const uint8_t* record) {
  return {load_le<uint64_t>(record + kInode), static_cast<int64_t>(load_le<uint64_t>(record + kNext)), record[kType],
          reinterpret_cast<const char*>(record + kName)};
}

bool is_dots(const std::string& name) {
  return name == "." || name == "..";
}

}  // namespace

int ShareServer::opendir(Call& call) {
  if (!S_ISDIR(call.node->mode)) return ENOTDIR;
  if (handles_.full()) return ENFILE;
  if (call.reply.room() < sizeof(fuse_open_out)) return EINVAL;
  Fd fd;
  if (call.node->share) {
    fd.reset(::openat(call.node->fd.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return errno;
  }
  fuse_open_out out{};
  out.fh = handles_.add({std::move(fd), Handle::Kind::directory, call.id()});
  call.reply.add(out);
  return 0;
}

int ShareServer::readdir(Call& call) {
  return list(call, Detail::names);
}

int ShareServer::readdirplus(Call& call) {
  return list(call, Detail::entries);
}

int ShareServer::list(Call& call, Detail detail) {
  auto in = call.request.take<fuse_read_in>();
  if (!in) return EINVAL;
  Handle* handle = handles_.find(in->fh, Handle::Kind::directory, call.id());
  if (!handle) return EBADF;
  Listing listing{call.reply, detail, *call.node};
  return call.node->share ? list_host(listing, *handle, in->offset) : list_root(listing, in->offset);
}

int ShareServer::list_root(Listing& listing, uint64_t offset) {
  for (uint64_t i = offset; i < shares_.size() + 2 && !listing.full; ++i) {
    HostEntry entry{FUSE_ROOT_ID, static_cast<int64_t>(i + 1), DT_DIR, i == 0 ? "." : ".."};
    if (i >= 2) {
      entry.name = shares_[i - 2].name;
      entry.inode = shares_[i - 2].inode;
    }
    if (int error = add_name(listing, entry)) return error;
  }
  return 0;
}

int ShareServer::list_host(Listing& listing, Handle& handle, uint64_t offset) {
  while (!listing.full) {
    if (handle.position != offset && ::lseek(handle.fd.get(), static_cast<off_t>(offset), SEEK_SET) < 0) return errno;
    std::array<uint8_t, kReadSize> records;
    long length = ::syscall(SYS_getdents64, handle.fd.get(), records.data(), records.size());
    if (length < 0) return errno;
    if (length == 0) {
      handle.position = offset;
      return 0;
    }
    for (long at = 0; at < length && !listing.full;
         at += load_le<uint16_t>(&records[static_cast<size_t>(at) + kLength])) {
      HostEntry entry = parse(&records[static_cast<size_t>(at)]);
      if (is_dots(entry.name) || visible(listing.directory, entry.name))
        if (int error = add_name(listing, entry)) return error;
      // The guest goes on behind what it was given; the descriptor stands behind all that was read.
      if (!listing.full) offset = static_cast<uint64_t>(entry.next);
      handle.position = static_cast<uint64_t>(entry.next);
    }
  }
  handle.position = UINT64_MAX;  // nowhere: the next call seeks
  return 0;
}

int ShareServer::add_name(Listing& listing, const HostEntry& entry) {
  FuseReply& reply = listing.reply;
  const size_t head = listing.detail == Detail::entries ? sizeof(fuse_entry_out) : 0;
  const size_t size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.name.size());
  if (reply.room() < head + size) {
    listing.full = true;
    return 0;
  }
  if (listing.detail == Detail::entries) {
    Entry found;
    // "." and ".." are not looked up; neither is what has vanished meanwhile or cannot be held: node id 0 says so.
    if (!is_dots(entry.name) && !is_crowded() && hold_entry(listing.directory, entry.name, found) != 0) found = {};
    const Share* share = listing.directory.share;
    if (int error = add_entry(reply, found, share ? share->options.trust_ms : 0)) return error;
  }
  Bytes bytes(size);
  fuse_dirent out{};
  out.ino = entry.inode;
  out.off = static_cast<uint64_t>(entry.next);
  out.namelen = static_cast<uint32_t>(entry.name.size());
  out.type = entry.type;
  std::memcpy(bytes.data(), &out, FUSE_NAME_OFFSET);
  std::memcpy(bytes.data() + FUSE_NAME_OFFSET, entry.name.data(), entry.name.size());
  reply.add(ByteView(bytes));
  return 0;
}

int ShareServer::releasedir(Call& call) {
  auto in = call.request.take<fuse_release_in>();
  if (!in) return EINVAL;
  if (!handles_.find(in->fh, Handle::Kind::directory, call.id())) return EBADF;
  handles_.close(in->fh);
  return 0;
}

int ShareServer::fsyncdir(Call& call) {
  auto in = call.request.take<fuse_fsync_in>();
  if (!in) return EINVAL;
  Handle* handle = handles_.find(in->fh, Handle::Kind::directory, call.id());
  if (!handle) return EBADF;
  return ::fsync(handle->fd.get()) < 0 ? errno : 0;
}

}  // namespace msb::fs
