#include "fs/share_server.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <set>

#include "fs/host_status.h"
#include "fs/obeyed_names.h"

namespace msb::fs {

Result<std::unique_ptr<ShareServer>> ShareServer::create(std::vector<Share> shares, Options options) {
  std::set<std::string> names;
  for (auto& share : shares) {
    const std::string& name = share.name;
    if (name.empty() || name.size() > 255 || name == "." || name == ".." || name.find('/') != name.npos ||
        !names.insert(name).second)
      return fail(ErrorKind::invalid_config, cat("a share cannot be named '", name, "'"));
    struct stat status{};
    if (::fstat(share.root.get(), &status) < 0) return fail_errno(cat("look at the directory of the share ", name));
    if (!S_ISDIR(status.st_mode))
      return fail(ErrorKind::invalid_config, cat("what is to be shared as ", name, " is not a directory"));
    share.device = status.st_dev;
    share.inode = status.st_ino;
  }
  return std::unique_ptr<ShareServer>(new ShareServer(std::move(shares), std::move(options)));
}

ShareServer::ShareServer(std::vector<Share> shares, Options options)
    : shares_(std::move(shares)),
      options_(std::move(options)),
      nodes_(options_.max_nodes),
      handles_(options_.max_handles) {}

uint32_t ShareServer::answer(Buffers request_buffers, Buffers reply_buffers) {
  FuseRequest request;
  if (request.parse(request_buffers) != 0) {
    // Too long for anything we know still has a header to answer to; too short has none.
    if (size_of(request_buffers) < sizeof(fuse_in_header)) return 0;
    return FuseReply(reply_buffers).finish(request.header().unique, EINVAL);
  }
  const uint32_t opcode = request.header().opcode;
  if (opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET) {
    forget(request);
    return 0;
  }
  FuseReply reply(reply_buffers);
  int error = run(request, reply);
  // Both mean that we have too many open; the first would tell the guest's program that it has.
  if (error == EMFILE) error = ENFILE;
  return reply.finish(request.header().unique, error);
}

int ShareServer::run(FuseRequest& request, FuseReply& reply) {
  const uint32_t opcode = request.header().opcode;
  Operation wanted = operation(opcode);
  if (!wanted) return ENOSYS;
  if (!ready_ && opcode != FUSE_INIT) return EIO;
  Node* node = nodes_.find(request.header().nodeid);
  const bool counted = node && node->share && is_counted(opcode);
  Call call{request, reply, node, Quota::Turn(counted ? node->share->quota.get() : nullptr)};
  if (opcode == FUSE_INIT || opcode == FUSE_DESTROY) return (this->*wanted)(call);
  if (!call.node) return ESTALE;
  const Share* share = call.node->share;
  if (!share && !works_on_root(opcode)) return changes_something(opcode) ? EROFS : EOPNOTSUPP;
  if (share && share->options.writable == Writable::no && changes_something(opcode)) return EROFS;
  return (this->*wanted)(call);
}

// What is missing here is answered ENOSYS: FLUSH and ACCESS on purpose (the guest then stops asking; the one has
// nothing to do, the other is the guest's own affair), locks too (the guest's kernel keeps them itself).
ShareServer::Operation ShareServer::operation(uint32_t opcode) {
  switch (opcode) {
    case FUSE_INIT:
      return &ShareServer::init;
    case FUSE_DESTROY:
      return &ShareServer::destroy;
    case FUSE_STATFS:
      return &ShareServer::statfs;
    case FUSE_SYNCFS:
      return &ShareServer::syncfs;
    case FUSE_LOOKUP:
      return &ShareServer::lookup;
    case FUSE_GETATTR:
      return &ShareServer::getattr;
    case FUSE_SETATTR:
      return &ShareServer::setattr;
    case FUSE_READLINK:
      return &ShareServer::readlink;
    case FUSE_OPEN:
      return &ShareServer::open;
    case FUSE_CREATE:
      return &ShareServer::create_file;
    case FUSE_TMPFILE:
      return &ShareServer::tmpfile;
    case FUSE_READ:
      return &ShareServer::read;
    case FUSE_WRITE:
      return &ShareServer::write;
    case FUSE_RELEASE:
      return &ShareServer::release;
    case FUSE_FSYNC:
      return &ShareServer::fsync;
    case FUSE_FALLOCATE:
      return &ShareServer::fallocate;
    case FUSE_LSEEK:
      return &ShareServer::lseek;
    case FUSE_COPY_FILE_RANGE:
      return &ShareServer::copy_file_range;
    case FUSE_OPENDIR:
      return &ShareServer::opendir;
    case FUSE_READDIR:
      return &ShareServer::readdir;
    case FUSE_READDIRPLUS:
      return &ShareServer::readdirplus;
    case FUSE_RELEASEDIR:
      return &ShareServer::releasedir;
    case FUSE_FSYNCDIR:
      return &ShareServer::fsyncdir;
    case FUSE_MKDIR:
      return &ShareServer::mkdir;
    case FUSE_MKNOD:
      return &ShareServer::mknod;
    case FUSE_SYMLINK:
      return &ShareServer::symlink;
    case FUSE_LINK:
      return &ShareServer::link;
    case FUSE_UNLINK:
      return &ShareServer::unlink;
    case FUSE_RMDIR:
      return &ShareServer::rmdir;
    case FUSE_RENAME:
      return &ShareServer::rename;
    case FUSE_RENAME2:
      return &ShareServer::rename2;
    case FUSE_GETXATTR:
      return &ShareServer::getxattr;
    case FUSE_SETXATTR:
      return &ShareServer::setxattr;
    case FUSE_LISTXATTR:
      return &ShareServer::listxattr;
    case FUSE_REMOVEXATTR:
      return &ShareServer::removexattr;
    default:
      return nullptr;
  }
}

bool ShareServer::changes_something(uint32_t opcode) {
  switch (opcode) {
    case FUSE_SETATTR:
    case FUSE_CREATE:
    case FUSE_TMPFILE:
    case FUSE_WRITE:
    case FUSE_FALLOCATE:
    case FUSE_COPY_FILE_RANGE:
    case FUSE_MKDIR:
    case FUSE_MKNOD:
    case FUSE_SYMLINK:
    case FUSE_LINK:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
      return true;
    default:
      return false;  // OPEN judges its flags itself
  }
}

bool ShareServer::works_on_root(uint32_t opcode) {
  switch (opcode) {
    case FUSE_LOOKUP:
    case FUSE_GETATTR:
    case FUSE_STATFS:
    case FUSE_SYNCFS:
    case FUSE_OPENDIR:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
    case FUSE_RELEASEDIR:
      return true;
    default:
      return false;
  }
}

std::string ShareServer::path_of(int fd) const {
  return cat(options_.descriptors, "/", fd);
}

bool ShareServer::is_top(const Node& node) {
  if (!node.share || !S_ISDIR(node.mode)) return false;
  struct stat status{};
  return status_of(node.fd.get(), status) == 0 && status.st_dev == node.share->device &&
         status.st_ino == node.share->inode;
}

// Where the file is now, as the host's kernel knows it; nothing when that is not in the share any more.
std::optional<std::string> ShareServer::path_in_share(const Node& node) const {
  auto path_at = [&](int fd) -> std::optional<std::string> {
    std::array<char, PATH_MAX> path;
    const ssize_t length = ::readlinkat(AT_FDCWD, path_of(fd).c_str(), path.data(), path.size());
    if (length <= 0 || static_cast<size_t>(length) == path.size()) return std::nullopt;
    return std::string(path.data(), static_cast<size_t>(length));
  };
  auto root = path_at(node.share->root.get()), path = path_at(node.fd.get());
  if (!root || !path) return std::nullopt;
  if (*path == *root) return "";
  if (!root->ends_with('/')) root->push_back('/');
  if (!path->starts_with(*root)) return std::nullopt;
  return path->substr(root->size());
}

bool ShareServer::keeps(const Node& node, std::string_view name) const {
  if (!node.share->options.protect_hooks) return false;
  auto path = path_in_share(node);
  if (!path) return true;
  if (name.empty()) return is_obeyed(*path);
  return is_obeyed(path->empty() ? name : cat(*path, "/", name));
}

bool ShareServer::visible(const Node& directory, const std::string& name) {
  const std::string& only = directory.share->options.only;
  return only.empty() || name == only || !is_top(directory);
}

}  // namespace msb::fs
