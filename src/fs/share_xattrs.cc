// Extended attributes: GETXATTR, SETXATTR, LISTXATTR, REMOVEXATTR.
//
// "user." attributes are the host's own. Where ownership is noted the guest's "security." and "trusted." ones are kept
// as "user.virtiofs.NAME" (virtiofsd's customary mapping), where they mean nothing to the host. POSIX ACLs are not
// offered: the guest's kernel would have to judge by them.
#include <linux/limits.h>
#include <sys/xattr.h>

#include <cerrno>

#include "fs/share_server.h"

namespace msb::fs {
namespace {

constexpr std::string_view kMapped = "user.virtiofs.";

bool hidden(std::string_view host_name) {
  return host_name == kOwnerRecordName;
}

// EPERM: a name that the guest must not know of.
int host_name_of(const ShareOptions& options, const std::string& guest_name, std::string& host_name) {
  std::string_view name = guest_name;
  if (name.starts_with("user.")) {
    if (hidden(name) || name.starts_with(kMapped)) return EPERM;
    host_name = guest_name;
    return 0;
  }
  const bool mappable = name.starts_with("security.") || name.starts_with("trusted.");
  if (!mappable || options.ownership == Ownership::host) return ENOTSUP;
  host_name = cat(kMapped, guest_name);
  return 0;
}

}  // namespace

int ShareServer::getxattr(Call& call) {
  auto in = call.request.take<fuse_getxattr_in>();
  auto name = call.request.take_string();
  if (!in || !name) return EINVAL;
  std::string host_name;
  if (int error = host_name_of(call.node->share->options, *name, host_name)) return error == EPERM ? ENODATA : error;
  Bytes value(std::min<size_t>(in->size, XATTR_SIZE_MAX));
  ssize_t length = ::getxattr(path_of(call.node->fd.get()).c_str(), host_name.c_str(),
                              value.empty() ? nullptr : value.data(), value.size());
  if (length < 0) return errno;
  if (in->size == 0) {
    fuse_getxattr_out out{};
    out.size = static_cast<uint32_t>(length);
    return call.reply.add(out) ? 0 : EINVAL;
  }
  return call.reply.add(ByteView(value).first(static_cast<size_t>(length))) ? 0 : ERANGE;
}

int ShareServer::setxattr(Call& call) {
  // The short form of fuse_setxattr_in: we do not take FUSE_SETXATTR_EXT.
  struct {
    uint32_t size, flags;
  } in;
  static_assert(sizeof(in) == FUSE_COMPAT_SETXATTR_IN_SIZE);
  auto fixed = call.request.take<decltype(in)>();
  auto name = call.request.take_string();
  if (!fixed || !name || fixed->size > XATTR_SIZE_MAX) return EINVAL;
  auto value = call.request.take_bytes(fixed->size);
  if (!value) return EINVAL;
  if (keeps(*call.node)) return EPERM;
  std::string host_name;
  if (int error = host_name_of(call.node->share->options, *name, host_name)) return error;
  const std::string path = path_of(call.node->fd.get());
  if (!attribute_fits(call, path, host_name, value->size())) return ENOSPC;
  return ::setxattr(path.c_str(), host_name.c_str(), value->data(), value->size(),
                    static_cast<int>(fixed->flags & (XATTR_CREATE | XATTR_REPLACE))) < 0
             ? errno
             : 0;
}

int ShareServer::listxattr(Call& call) {
  auto in = call.request.take<fuse_getxattr_in>();
  if (!in) return EINVAL;
  std::string host_names(XATTR_LIST_MAX, '\0');
  ssize_t length = ::listxattr(path_of(call.node->fd.get()).c_str(), host_names.data(), host_names.size());
  if (length < 0) return errno;
  host_names.resize(static_cast<size_t>(length));
  std::string names;
  for (size_t at = 0; at < host_names.size();) {
    std::string_view name(host_names.c_str() + at);
    at += name.size() + 1;
    if (hidden(name)) continue;
    if (name.starts_with(kMapped))
      name.remove_prefix(kMapped.size());
    else if (!name.starts_with("user."))
      continue;
    names.append(name).push_back('\0');
  }
  if (in->size == 0) {
    fuse_getxattr_out out{};
    out.size = static_cast<uint32_t>(names.size());
    return call.reply.add(out) ? 0 : EINVAL;
  }
  if (names.size() > in->size) return ERANGE;
  return call.reply.add(as_bytes(names)) ? 0 : ERANGE;
}

int ShareServer::removexattr(Call& call) {
  auto name = call.request.take_string();
  if (!name) return EINVAL;
  if (keeps(*call.node)) return EPERM;
  std::string host_name;
  if (int error = host_name_of(call.node->share->options, *name, host_name)) return error == EPERM ? ENODATA : error;
  return ::removexattr(path_of(call.node->fd.get()).c_str(), host_name.c_str()) < 0 ? errno : 0;
}

}  // namespace msb::fs
