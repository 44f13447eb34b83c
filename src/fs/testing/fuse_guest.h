// FuseGuest: the guest's end of a ShareServer in tests: builds requests and takes answers apart.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "fs/share_server.h"

namespace msb::fs::testing {

template <class T>
Bytes bytes_of(const T& value) {
  const auto* begin = reinterpret_cast<const uint8_t*>(&value);
  return {begin, begin + sizeof(T)};
}
// With its terminator.
inline Bytes name_bytes(std::string_view name) {
  Bytes bytes(name.begin(), name.end());
  bytes.push_back(0);
  return bytes;
}
inline Bytes join(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

struct Answer {
  int error = 0;
  Bytes body;

  template <class T>
  T as(size_t offset = 0) const {
    T value{};
    EXPECT_GE(body.size(), offset + sizeof(T));
    if (body.size() >= offset + sizeof(T)) std::memcpy(&value, body.data() + offset, sizeof(T));
    return value;
  }
  uint64_t node() const { return as<fuse_entry_out>().nodeid; }
  std::string text() const { return {body.begin(), body.end()}; }
};

class FuseGuest {
 public:
  explicit FuseGuest(ShareServer& server) : server_(server) {}

  uint32_t uid = 0, gid = 0;
  size_t reply_size = 1024 * 1024 + 4096;

  Answer call(uint32_t opcode, uint64_t node, const Bytes& arguments = {}) {
    fuse_in_header header{};
    header.len = static_cast<uint32_t>(sizeof(header) + arguments.size());
    header.opcode = opcode;
    header.unique = ++unique_;
    header.nodeid = node;
    header.uid = uid;
    header.gid = gid;
    return send(join({bytes_of(header), arguments}));
  }
  // In several buffers, as a driver would: header, arguments, then pages.
  Answer send(Bytes request) {
    Bytes reply(reply_size);
    const size_t cut = std::min<size_t>(request.size(), sizeof(fuse_in_header) + 3);
    const MutableByteView in[] = {MutableByteView(request).first(cut), MutableByteView(request).subspan(cut)};
    const size_t reply_cut = std::min<size_t>(reply.size(), 21);
    const MutableByteView out[] = {MutableByteView(reply).first(reply_cut), MutableByteView(reply).subspan(reply_cut)};
    const uint32_t length = server_.answer(in, out);
    EXPECT_LE(length, reply.size());
    Answer answer;
    if (length < sizeof(fuse_out_header)) return answer;
    fuse_out_header header;
    std::memcpy(&header, reply.data(), sizeof(header));
    EXPECT_EQ(header.len, length);
    answer.error = -header.error;
    answer.body.assign(reply.begin() + sizeof(header), reply.begin() + length);
    return answer;
  }

  Answer init() {
    fuse_init_in in{};
    in.major = FUSE_KERNEL_VERSION;
    in.minor = FUSE_KERNEL_MINOR_VERSION;
    in.flags = ~0u;
    return call(FUSE_INIT, 0, bytes_of(in));
  }
  Answer lookup(uint64_t directory, std::string_view name) { return call(FUSE_LOOKUP, directory, name_bytes(name)); }
  fuse_attr attributes(uint64_t node) {
    return call(FUSE_GETATTR, node, bytes_of(fuse_getattr_in{})).as<fuse_attr_out>().attr;
  }
  Answer create(uint64_t directory, std::string_view name, uint32_t mode = 0644, uint32_t flags = O_RDWR) {
    fuse_create_in in{};
    in.flags = flags;
    in.mode = S_IFREG | mode;
    return call(FUSE_CREATE, directory, join({bytes_of(in), name_bytes(name)}));
  }
  static uint64_t handle_of(const Answer& created) { return created.as<fuse_open_out>(sizeof(fuse_entry_out)).fh; }
  Answer mkdir(uint64_t directory, std::string_view name, uint32_t mode = 0755) {
    fuse_mkdir_in in{};
    in.mode = mode;
    return call(FUSE_MKDIR, directory, join({bytes_of(in), name_bytes(name)}));
  }
  Answer mknod(uint64_t directory, std::string_view name, uint32_t mode, uint32_t device = 0) {
    fuse_mknod_in in{};
    in.mode = mode;
    in.rdev = device;
    return call(FUSE_MKNOD, directory, join({bytes_of(in), name_bytes(name)}));
  }
  Answer symlink(uint64_t directory, std::string_view name, std::string_view target) {
    return call(FUSE_SYMLINK, directory, join({name_bytes(name), name_bytes(target)}));
  }
  Answer link(uint64_t node, uint64_t directory, std::string_view name) {
    return call(FUSE_LINK, directory, join({bytes_of(fuse_link_in{node}), name_bytes(name)}));
  }
  Answer rename(uint64_t from_directory, std::string_view from, uint64_t to_directory, std::string_view to,
                uint32_t flags = 0) {
    fuse_rename2_in in{};
    in.newdir = to_directory;
    in.flags = flags;
    return call(FUSE_RENAME2, from_directory, join({bytes_of(in), name_bytes(from), name_bytes(to)}));
  }
  Answer unlink(uint64_t directory, std::string_view name) { return call(FUSE_UNLINK, directory, name_bytes(name)); }
  Answer rmdir(uint64_t directory, std::string_view name) { return call(FUSE_RMDIR, directory, name_bytes(name)); }
  Answer open(uint64_t node, uint32_t flags) { return call(FUSE_OPEN, node, bytes_of(fuse_open_in{flags, 0})); }
  Answer read(uint64_t node, uint64_t handle, uint64_t offset, uint32_t size) {
    fuse_read_in in{};
    in.fh = handle;
    in.offset = offset;
    in.size = size;
    return call(FUSE_READ, node, bytes_of(in));
  }
  // `flags`: those of the guest's open file; `write_flags`: FUSE_WRITE_CACHE when its kernel writes back.
  Answer write(uint64_t node, uint64_t handle, uint64_t offset, std::string_view data, uint32_t flags = 0,
               uint32_t write_flags = 0) {
    fuse_write_in in{};
    in.flags = flags;
    in.write_flags = write_flags;
    in.fh = handle;
    in.offset = offset;
    in.size = static_cast<uint32_t>(data.size());
    return call(FUSE_WRITE, node, join({bytes_of(in), to_bytes(data)}));
  }
  Answer release(uint64_t node, uint64_t handle, uint32_t opcode = FUSE_RELEASE) {
    fuse_release_in in{};
    in.fh = handle;
    return call(opcode, node, bytes_of(in));
  }
  Answer setattr(uint64_t node, const fuse_setattr_in& in) { return call(FUSE_SETATTR, node, bytes_of(in)); }
  Answer chmod(uint64_t node, uint32_t mode) {
    fuse_setattr_in in{};
    in.valid = FATTR_MODE;
    in.mode = mode;
    return setattr(node, in);
  }
  Answer chown(uint64_t node, uint32_t owner, uint32_t group) {
    fuse_setattr_in in{};
    in.valid = FATTR_UID | FATTR_GID;
    in.uid = owner;
    in.gid = group;
    return setattr(node, in);
  }
  Answer setxattr(uint64_t node, std::string_view name, std::string_view value) {
    struct {
      uint32_t size, flags;
    } in{static_cast<uint32_t>(value.size()), 0};
    return call(FUSE_SETXATTR, node, join({bytes_of(in), name_bytes(name), to_bytes(value)}));
  }
  Answer getxattr(uint64_t node, std::string_view name, uint32_t size = 4096) {
    return call(FUSE_GETXATTR, node, join({bytes_of(fuse_getxattr_in{size, 0}), name_bytes(name)}));
  }
  Answer listxattr(uint64_t node, uint32_t size = 4096) {
    return call(FUSE_LISTXATTR, node, bytes_of(fuse_getxattr_in{size, 0}));
  }
  void forget(uint64_t node, uint64_t count = 1) { call(FUSE_FORGET, node, bytes_of(fuse_forget_in{count})); }

  // The names in a directory, with READDIR or READDIRPLUS, `size` bytes of answer at a time.
  std::vector<std::string> list(uint64_t node, uint32_t opcode = FUSE_READDIR, uint32_t size = 4096);

 private:
  ShareServer& server_;
  uint64_t unique_ = 0;
};

inline std::vector<std::string> FuseGuest::list(uint64_t node, uint32_t opcode, uint32_t size) {
  std::vector<std::string> names;
  Answer opened = call(FUSE_OPENDIR, node, bytes_of(fuse_open_in{}));
  EXPECT_EQ(opened.error, 0);
  const uint64_t handle = opened.as<fuse_open_out>().fh;
  const size_t head = opcode == FUSE_READDIRPLUS ? sizeof(fuse_entry_out) : 0;
  const size_t old_size = reply_size;
  reply_size = size + sizeof(fuse_out_header);
  for (uint64_t offset = 0;;) {
    fuse_read_in in{};
    in.fh = handle;
    in.offset = offset;
    in.size = size;
    Answer part = call(opcode, node, bytes_of(in));
    EXPECT_EQ(part.error, 0);
    if (part.body.empty()) break;
    for (size_t at = 0; at + head + FUSE_NAME_OFFSET <= part.body.size();) {
      if (head > 0) {
        auto entry = part.as<fuse_entry_out>(at);
        if (entry.nodeid != 0) forget(entry.nodeid);
      }
      auto dirent = part.as<fuse_dirent>(at + head);
      const auto* name = reinterpret_cast<const char*>(part.body.data() + at + head + FUSE_NAME_OFFSET);
      names.emplace_back(name, dirent.namelen);
      offset = dirent.off;
      at += head + FUSE_DIRENT_SIZE(&dirent);
    }
  }
  reply_size = old_size;
  release(node, handle, FUSE_RELEASEDIR);
  return names;
}

}  // namespace msb::fs::testing
