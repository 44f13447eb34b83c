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
  Fd fd(::openat(call.node->fd.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno;
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
  FuseReply& reply = call.reply;
  bool full = false;
  while (!full) {
    if (handle->position != in->offset && ::lseek(handle->fd.get(), static_cast<off_t>(in->offset), SEEK_SET) < 0)
      return errno;
    std::array<uint8_t, kReadSize> records;
    long length = ::syscall(SYS_getdents64, handle->fd.get(), records.data(), records.size());
    if (length < 0) return errno;
    if (length == 0) return 0;
    for (long at = 0; at < length && !full; at += load_le<uint16_t>(&records[static_cast<size_t>(at) + kLength])) {
      HostEntry entry = parse(&records[static_cast<size_t>(at)]);
      // Where the descriptor stands is the end of what was read; the guest goes on after what it was given.
      handle->position = static_cast<uint64_t>(entry.next);
      if (!is_dots(entry.name) && !visible(call.id(), entry.name)) {
        in->offset = handle->position;
        continue;
      }
      if (int error = add_name(reply, *handle, entry, detail, full)) return error;
      if (!full) in->offset = handle->position;
    }
    if (full) handle->position = UINT64_MAX;  // nowhere: the next call seeks
  }
  return 0;
}

int ShareServer::add_name(FuseReply& reply, Handle& handle, const HostEntry& entry, Detail detail, bool& full) {
  const size_t head = detail == Detail::entries ? sizeof(fuse_entry_out) : 0;
  const size_t size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.name.size());
  if (reply.room() < head + size) {
    full = true;
    return 0;
  }
  if (detail == Detail::entries) {
    Entry found;
    // "." and ".." are not looked up; neither is what has vanished meanwhile or cannot be held: node id 0 says so.
    if (!is_dots(entry.name) && hold_entry(handle.fd.get(), entry.name, found) != 0) found = {};
    if (int error = add_entry(reply, found)) return error;
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
