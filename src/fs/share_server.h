// ShareServer: answers the FUSE requests of a guest about directories of the host. The root holds one directory for
// each share, by its name, and nothing else can be in it.
//
//   MSB_TRY(auto root, open_file(path, O_PATH | O_DIRECTORY));
//   MSB_TRY(auto server, ShareServer::create({{"work", std::move(root), {}}}));
//   uint32_t written = server->answer(request_buffers, reply_buffers);   // for each request; 0: it has no answer
//
// Containment. The guest names files by node ids it was given and by single components of paths: never "..", "." or a
// '/'. Nothing follows a symlink: the guest's kernel resolves them itself, within its own file systems. A node is an
// O_PATH descriptor, so a rename on the host cannot lead elsewhere. Only regular files and directories are ever
// opened; devices, sockets and FIFOs of the host are shown, but their contents cannot be reached. Nothing moves from
// one share to another but by being copied.
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
#include "fs/share.h"

namespace msb::fs {

class ShareServer {
 public:
  struct Options {
    // Inodes that the guest may hold at once; each is an open descriptor here. Beyond: ENFILE in the guest. From three
    // quarters on the guest keeps no name longer than it uses it, so only what it has in use can come so far.
    uint32_t max_nodes = 500'000;
    uint32_t max_handles = 100'000;  // open files and directories, the same
    // A directory in which N is a magic link to descriptor N of this process; in a fence it has another name.
    std::string descriptors = "/proc/self/fd";
  };

  // ErrorKind::invalid_config when a root is no directory, or a name is none or taken.
  static Result<std::unique_ptr<ShareServer>> create(std::vector<Share> shares) {
    return create(std::move(shares), Options{});
  }
  static Result<std::unique_ptr<ShareServer>> create(std::vector<Share> shares, Options options);

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
    Node* node;        // the one the header names
    Quota::Turn turn;  // of its share, in what may change something
    uint64_t id() const { return request.header().nodeid; }
  };
  using Operation = int (ShareServer::*)(Call&);
  struct Entry {
    uint64_t id = 0;
    fuse_attr attributes{};
    struct stat status{};  // of the host's file, when it was found
  };

  ShareServer(std::vector<Share> shares, Options options);
  static Operation operation(uint32_t opcode);
  static bool changes_something(uint32_t opcode);
  static bool works_on_root(uint32_t opcode);
  int run(FuseRequest& request, FuseReply& reply);
  static bool is_counted(uint32_t opcode);

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
  void attributes_from(Node& node, struct stat status, fuse_attr& out) const;
  void load_record(Node& node, const struct stat& status) const;
  void apply_record(const Node& node, struct stat& status) const;
  int store_record(Node& node, const OwnerRecord& record, struct stat& status, int opened = -1);
  int set_owner_and_mode(Node& node, const fuse_setattr_in& in);
  // Of a file made a moment ago nobody has noted anything yet, and its attributes are still to be set.
  enum class Age { unknown, just_made };
  int hold_entry(const Node& directory, const std::string& name, Entry& entry, Age age = Age::unknown);
  int hold_file(Fd fd, const Share& share, Entry& entry, Age age = Age::unknown);
  int reply_entry(Call& call, const std::string& name);
  int add_entry(FuseReply& reply, const Entry& entry, uint32_t trust_ms);
  bool is_crowded() const { return nodes_.size() >= options_.max_nodes / 4 * 3; }
  static bool is_top(const Node& node);  // a share's own directory
  // Whether the guest may know this name in this directory.
  static bool visible(const Node& directory, const std::string& name);
  // Whether the share's options keep the guest from changing this: the file, or what the name in this directory stands
  // for or would.
  bool keeps(const Node& node, std::string_view name = {}) const;
  std::optional<std::string> path_in_share(const Node& node) const;
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
  enum class Cache { used, bypassed };
  int reopen(const Node& node, uint32_t flags, Fd& out, Cache cache = Cache::used) const;
  int add_open(Call& call, Node& node, uint64_t id, Fd fd, uint32_t flags);

  // share_directories.cc
  int opendir(Call& call);
  int readdir(Call& call);
  int readdirplus(Call& call);
  int releasedir(Call& call);
  int fsyncdir(Call& call);
  enum class Detail { names, entries };
  struct Listing;  // one answer to a READDIR
  int list(Call& call, Detail detail);
  int list_root(Listing& listing, uint64_t offset);
  int list_host(Listing& listing, Handle& handle, uint64_t offset);
  int add_name(Listing& listing, const struct HostEntry& entry);

  // share_changes.cc
  int mkdir(Call& call);
  int mknod(Call& call);
  int symlink(Call& call);
  int link(Call& call);
  int unlink(Call& call);
  int rmdir(Call& call);
  int remove(Call& call, const std::string& name, int flags);
  int rename(Call& call);
  int rename2(Call& call);
  int move(Call& call, uint64_t new_directory, uint32_t flags);
  OwnerRecord owner_of_new(const FuseRequest& request, Node& directory, uint32_t mode);
  static uint32_t host_mode(const ShareOptions& options, uint32_t mode);
  int record_new(Node& node, const OwnerRecord& owner, Entry& entry, int opened);
  int finish_new(Call& call, const std::string& name, const OwnerRecord& owner, Entry& entry, int opened = -1);

  // share_counting.cc: what the share's quota is told; without one, nothing
  struct Reach {  // of a change to a file's content
    uint64_t end = 0;
    bool appends = false;  // then it goes `length` beyond the file's end
    uint64_t length = 0;
  };
  struct Victim {  // what may be about to lose its last name
    Fd fd;
    struct stat status{};
  };
  int begin_change(const Quota::Turn& turn, const Node& node, const Reach& reach, struct stat& before) const;
  void end_change(Quota::Turn& turn, const Node& node, const struct stat& before) const;
  template <class Change>
  int counted(Quota::Turn& turn, const Node& node, const Reach& reach, Change&& change) const {
    struct stat before{};
    if (int error = begin_change(turn, node, reach, before)) return error;
    const int error = change();
    end_change(turn, node, before);
    return error;
  }
  void count_new(Call& call, Node& node) const;
  void count_link(Call& call, Node& node) const;
  static Victim find_victim(const Call& call, const Node& directory, const std::string& name);
  void count_removal(Call& call, const Node& directory, const std::string& name, const Victim& victim);
  void empty(const Share& share, int fd, const struct stat& status) const;
  void let_go(uint64_t id, uint64_t count);
  void settle(uint64_t id, Node& node);
  void end_session();
  static bool attribute_fits(const Call& call, const std::string& path, const std::string& name, size_t size);

  // share_xattrs.cc
  int getxattr(Call& call);
  int setxattr(Call& call);
  int listxattr(Call& call);
  int removexattr(Call& call);

  std::vector<Share> shares_;  // constant: nodes point to them
  Options options_;
  NodeTable nodes_;
  HandleTable handles_;
  bool ready_ = false;
};

}  // namespace msb::fs
