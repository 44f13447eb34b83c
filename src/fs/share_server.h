// ShareServer: answers the FUSE requests of a guest about one directory of the host.
//
//   MSB_TRY(auto root, open_file(path, O_PATH | O_DIRECTORY));
//   MSB_TRY(auto server, ShareServer::create(std::move(root), options));
//   uint32_t written = server->answer(request_buffers, reply_buffers);   // for each request; 0: it has no answer
//
// Containment. The guest names files by node ids it was given and by single components of paths: never "..", "." or a
// '/'. Nothing follows a symlink: the guest's kernel resolves them itself, within its own file systems. A node is an
// O_PATH descriptor, so a rename on the host cannot lead elsewhere. Only regular files and directories are ever
// opened; devices, sockets and FIFOs of the host are shown, but their contents cannot be reached.
//
// The guest's kernel checks permissions (virtio-fs mounts do so always) by the attributes reported here. The server's
// own rights on the host are the outer bound. On a read-only share every change is refused here, whatever the guest's
// mount says.
//
// Failures are errno values, as the protocol wants. One thread; requests may block as long as the host's files do.
#pragma once

#include <memory>

#include "base/fd.h"
#include "fs/fuse_reply.h"
#include "fs/fuse_request.h"
#include "fs/handle_table.h"
#include "fs/node_table.h"
#include "fs/share_options.h"

namespace msb::fs {

class ShareServer {
 public:
  // `root`: an O_PATH descriptor of a directory. ErrorKind::invalid_config when it is none.
  static Result<std::unique_ptr<ShareServer>> create(Fd root, ShareOptions options);

  // Bytes written into `reply`; 0 when the request wants no answer (or is not even a header).
  uint32_t answer(Buffers request, Buffers reply);

  // For tests and figures.
  size_t nodes() const { return nodes_.size(); }
  size_t handles() const { return handles_.size(); }

 private:
  // What one operation works on.
  struct Call {
    FuseRequest& request;
    FuseReply& reply;
    Node* node;  // the one the header names
    uint64_t id() const { return request.header().nodeid; }
  };
  using Operation = int (ShareServer::*)(Call&);
  struct Entry {
    uint64_t id = 0;
    fuse_attr attributes{};
  };

  ShareServer(Fd root, uint32_t root_mode, ShareOptions options);
  static Operation operation(uint32_t opcode);
  static bool changes_something(uint32_t opcode);
  int run(FuseRequest& request, FuseReply& reply);

  // share_session.cc
  int init(Call& call);
  int destroy(Call& call);
  int statfs(Call& call);
  int syncfs(Call& call);
  void forget(FuseRequest& request);

  // share_nodes.cc: names and attributes
  int lookup(Call& call);
  int getattr(Call& call);
  int setattr(Call& call);
  int readlink(Call& call);
  int host_status(const Node& node, struct stat& status) const;
  int attributes(Node& node, fuse_attr& out);
  void load_record(Node& node, const struct stat& status) const;
  void apply_record(const Node& node, struct stat& status) const;
  int store_record(Node& node, const OwnerRecord& record);
  int set_owner_and_mode(Node& node, const fuse_setattr_in& in);
  int hold_entry(int directory, const std::string& name, Entry& entry);
  int hold_file(Fd fd, Entry& entry);
  int reply_entry(Call& call, int directory, const std::string& name);
  int add_entry(FuseReply& reply, const Entry& entry);
  bool visible(uint64_t directory, const std::string& name) const;
  std::string path_of(int fd) const;

  // share_files.cc
  int open(Call& call);
  int create_file(Call& call);
  int tmpfile(Call& call);
  int read(Call& call);
  int write(Call& call);
  int release(Call& call);
  int fsync(Call& call);
  int fallocate(Call& call);
  int lseek(Call& call);
  int copy_file_range(Call& call);
  int reopen(const Node& node, uint32_t flags, Fd& out) const;
  int add_open(Call& call, Node& node, uint64_t id, Fd fd);

  // share_directories.cc
  int opendir(Call& call);
  int readdir(Call& call);
  int readdirplus(Call& call);
  int releasedir(Call& call);
  int fsyncdir(Call& call);
  enum class Detail { names, entries };
  int list(Call& call, Detail detail);
  int add_name(FuseReply& reply, Handle& handle, const struct HostEntry& entry, Detail detail, bool& full);

  // share_changes.cc
  int mkdir(Call& call);
  int mknod(Call& call);
  int symlink(Call& call);
  int link(Call& call);
  int unlink(Call& call);
  int rmdir(Call& call);
  int rename(Call& call);
  int rename2(Call& call);
  int move(Call& call, uint64_t new_directory, uint32_t flags);
  OwnerRecord owner_of_new(const FuseRequest& request, Node& directory, uint32_t mode);
  uint32_t host_mode(uint32_t mode) const;
  int record_new(Node& node, const OwnerRecord& owner);
  int finish_new(Call& call, const std::string& name, const OwnerRecord& owner, Entry& entry);

  // share_xattrs.cc
  int getxattr(Call& call);
  int setxattr(Call& call);
  int listxattr(Call& call);
  int removexattr(Call& call);
  int host_name_of(const std::string& guest_name, std::string& host_name) const;

  ShareOptions options_;
  NodeTable nodes_;
  HandleTable handles_;
  Fd root_;  // a second descriptor, to begin anew with at INIT
  uint32_t root_mode_;
  dev_t root_device_ = 0;
  bool ready_ = false;
};

}  // namespace msb::fs
