#include "fs/share_server.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace msb::fs {

Result<std::unique_ptr<ShareServer>> ShareServer::create(Fd root, ShareOptions options) {
  struct stat status{};
  if (::fstat(root.get(), &status) < 0) return fail_errno("look at the shared directory");
  if (!S_ISDIR(status.st_mode)) return fail(ErrorKind::invalid_config, "what is to be shared is not a directory");
  MSB_TRY(Fd again, root.duplicate());
  std::unique_ptr<ShareServer> server(new ShareServer(std::move(again), status.st_mode, std::move(options)));
  server->root_ = std::move(root);
  server->root_device_ = status.st_dev;
  return server;
}

ShareServer::ShareServer(Fd root, uint32_t root_mode, ShareOptions options)
    : options_(std::move(options)),
      nodes_(std::move(root), root_mode, options_.max_nodes),
      handles_(options_.max_handles),
      root_mode_(root_mode) {}

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
  if (options_.writable == Writable::no && changes_something(opcode)) return EROFS;
  Call call{request, reply, nodes_.find(request.header().nodeid)};
  const bool whole = opcode == FUSE_INIT || opcode == FUSE_DESTROY;
  if (!call.node && !whole) return ESTALE;
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

std::string ShareServer::path_of(int fd) const {
  return cat(options_.descriptors, "/", fd);
}

bool ShareServer::visible(uint64_t directory, const std::string& name) const {
  return options_.only.empty() || directory != FUSE_ROOT_ID || name == options_.only;
}

}  // namespace msb::fs
