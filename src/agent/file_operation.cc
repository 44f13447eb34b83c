#include "agent/file_operation.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdio>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/tree_reader.h"
#include "tree/tree_stream.h"
#include "tree/tree_writer.h"

namespace msb::agent {
namespace {

using wire::FileKind;
using wire::FileOperation;
using wire::FileResult;

constexpr uint32_t kAllBits = 07777;

// What an operation answers. The view in `result` points into `target`.
struct Answer {
  FileResult result;
  std::string target;
};

// Every operation ends with one of these.
Answer done() {
  return {};
}
Answer refused(std::string why, int errnum) {
  Answer answer;
  // What no system call has refused is wrong in itself.
  answer.result.errnum = errnum == 0 ? EINVAL : errnum;
  answer.result.message = std::move(why);
  return answer;
}
Answer failed(const Error& error) {
  return refused(error.to_string(), error.errnum());
}
Answer failed(std::string_view what, const std::string& path, int errnum = errno) {
  return failed(Error::from_errno(errnum, cat(what, " ", tree::printable_path(path))));
}

int64_t nanoseconds(const statx_timestamp& time) {
  return tree::to_nanoseconds({time.tv_sec, static_cast<long>(time.tv_nsec)});
}

bool look_at(int folder, const std::string& name, int flags, wire::FileStat& stat) {
  struct statx status;
  if (::statx(folder, name.c_str(), flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &status) < 0)
    return false;
  stat.kind = tree::kind_of(status.stx_mode);
  stat.size = status.stx_size;
  stat.mode = status.stx_mode & kAllBits;
  stat.uid = status.stx_uid;
  stat.gid = status.stx_gid;
  stat.mtime_ns = nanoseconds(status.stx_mtime);
  if (status.stx_mask & STATX_BTIME) stat.created_ns = nanoseconds(status.stx_btime);
  return true;
}

// Opens a regular file and nothing else. Devices are not opened at all (opening may already do something); a FIFO that
// takes the file's place meanwhile does not block.
std::optional<Answer> open_regular(const std::string& path, int flags, mode_t mode, Fd& file) {
  auto judge = [&](mode_t found) -> std::optional<Answer> {
    if (S_ISREG(found)) return std::nullopt;
    if (S_ISDIR(found)) return failed("open", path, EISDIR);
    return refused(cat(tree::printable_path(path), " is not a regular file"), EINVAL);
  };
  struct stat status;
  if (::stat(path.c_str(), &status) == 0) {
    if (auto refused = judge(status.st_mode)) return refused;
  }
  file = Fd(::open(path.c_str(), flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, mode));
  if (!file || ::fstat(file.get(), &status) < 0) return failed("open", path);
  return judge(status.st_mode);
}

struct Operation {
  const wire::FileRequest& request;
  int input;
  int output;
  std::string path{as_text(request.path)};
  std::string target{as_text(request.target)};

  Answer run() {
    switch (request.operation) {
      case FileOperation::stat:
        return stat();
      case FileOperation::read:
        return read();
      case FileOperation::write:
        return write();
      case FileOperation::list:
        return list();
      case FileOperation::make_directory:
        return make_directory();
      case FileOperation::remove:
        return ::unlink(path.c_str()) == 0 ? done() : failed("remove", path);
      case FileOperation::remove_tree:
        return remove_tree();
      case FileOperation::copy:
        return copy();
      case FileOperation::rename:
        return ::rename(path.c_str(), target.c_str()) == 0 ? done() : failed("rename", path);
      case FileOperation::symlink:
        return ::symlink(target.c_str(), path.c_str()) == 0 ? done() : failed("make the link", path);
      case FileOperation::read_link:
        return read_link();
      case FileOperation::real_path:
        return real_path();
      case FileOperation::set_stat:
        return set_stat();
      case FileOperation::export_tree:
        return export_tree();
      case FileOperation::import_tree:
        return import_tree();
    }
    return failed("do what is asked with", path, ENOSYS);
  }

  Answer stat() {
    Answer answer;
    if (!look_at(AT_FDCWD, path, request.follow ? 0 : AT_SYMLINK_NOFOLLOW, answer.result.stat.emplace()))
      return failed("look at", path);
    return answer;
  }

  Answer read() {
    Fd file;
    if (auto refused = open_regular(path, O_RDONLY, 0, file)) return std::move(*refused);
    Bytes buffer(wire::kMaxChunk);
    while (true) {
      auto count = read_some(file.get(), buffer);
      if (!count) return failed("read", path, count.error().errnum());
      if (*count == 0) return done();
      // The client has gone: nobody will read the answer.
      if (!write_full(output, ByteView(buffer).first(*count))) return done();
    }
  }

  Answer write() {
    Fd file;
    if (auto refused = open_regular(path, O_WRONLY | O_CREAT | O_TRUNC, request.mode.value_or(0644) & kAllBits, file))
      return std::move(*refused);
    Bytes buffer(wire::kMaxChunk);
    while (true) {
      auto count = read_some(input, buffer);
      if (!count) return failed("write", path, count.error().errnum());
      if (*count == 0) break;
      if (auto written = write_full(file.get(), ByteView(buffer).first(*count)); !written)
        return failed("write", path, written.error().errnum());
    }
    // What a network file system says about the data, it says now.
    return ::close(file.release()) == 0 ? done() : failed("write", path);
  }

  Answer list() {
    Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC));
    if (!directory) return failed("list", path);
    DIR* stream = ::fdopendir(directory.get());
    if (!stream) return failed("list", path);
    int folder = directory.release();
    Cleanup close([&] { ::closedir(stream); });
    tree::TreeEncoder encoder([&](ByteView bytes) { return write_full(output, bytes); });
    while (true) {
      errno = 0;
      dirent* found = ::readdir(stream);
      if (!found && errno != 0) return failed("list", path);
      if (!found) break;
      std::string_view name = found->d_name;
      if (name == "." || name == "..") continue;
      wire::FileEntry entry;
      entry.name = as_bytes(name);
      // Gone again in the meantime.
      if (!look_at(folder, std::string(name), AT_SYMLINK_NOFOLLOW, entry.stat)) continue;
      if (!encoder.list_entry(entry)) return done();
    }
    (void)encoder.finish();
    return done();
  }

  Answer make_directory() {
    mode_t mode = request.mode.value_or(0755) & kAllBits;
    for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
      std::string part = path.substr(0, slash);
      bool last = slash == std::string::npos || path.find_first_not_of('/', slash) == std::string::npos;
      if (::mkdir(part.c_str(), last ? mode : 0755) < 0) {
        int errnum = errno;
        struct stat status;
        // Some file systems answer EROFS for what is there.
        if (::stat(part.c_str(), &status) < 0) return failed("make the directory", part, errnum);
        if (!S_ISDIR(status.st_mode)) return failed("make the directory", part, last ? EEXIST : ENOTDIR);
      }
      if (last) return done();
    }
  }

  Answer remove_tree() {
    // A link to a directory is not a directory: what it points to stays.
    struct stat status;
    if (::lstat(path.c_str(), &status) < 0) return failed("remove", path);
    if (!S_ISDIR(status.st_mode)) return failed("remove the directory", path, ENOTDIR);
    std::string parent = path.substr(0, path.find_last_not_of('/') + 1);
    if (parent.empty()) return failed("remove", path, EBUSY);
    return remove_below(AT_FDCWD, parent, parent, 0);
  }

  // Depth first, by descriptors, so that no link is followed.
  Answer remove_below(int folder, const std::string& name, const std::string& shown, size_t depth) {
    if (depth > tree::kMaxDepth) return failed("remove", shown, ELOOP);
    Fd directory(::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) return failed("remove", shown);
    DIR* stream = ::fdopendir(directory.get());
    if (!stream) return failed("remove", shown);
    int self = directory.release();
    Cleanup close([&] { ::closedir(stream); });
    for (dirent* found; (found = ::readdir(stream)) != nullptr;) {
      std::string entry = found->d_name;
      if (entry == "." || entry == "..") continue;
      if (::unlinkat(self, entry.c_str(), 0) == 0 || errno == ENOENT) continue;
      std::string below = shown + "/" + entry;
      if (errno != EISDIR) return failed("remove", below);
      if (Answer answer = remove_below(self, entry, below, depth + 1); answer.result.errnum != 0) return answer;
    }
    return ::unlinkat(folder, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT ? done() : failed("remove", shown);
  }

  Answer copy() {
    std::string name;
    auto parent = tree::open_parent(target, name);
    if (!parent) return failed(parent.error());
    // A directory inside itself would never end.
    char from[PATH_MAX], into[PATH_MAX];
    if (!::realpath(path.c_str(), from)) return failed("copy", path);
    std::string folder = target.substr(0, target.rfind('/') + 1);
    if (!::realpath(folder.c_str(), into)) return failed("copy to", target);
    std::string source = std::string(from) + "/", destination = std::string(into) + "/";
    if (destination.starts_with(source) || source == destination + name + "/")
      return refused(cat("copy ", tree::printable_path(path), ": into itself"), EINVAL);
    tree::TreeWriter writer(std::move(*parent), name, tree::Trust::own);
    auto copied = tree::read_tree(path, {.follow = true}, writer);
    return copied ? done() : failed(copied.error());
  }

  Answer read_link() {
    char text[PATH_MAX];
    ssize_t size = ::readlink(path.c_str(), text, sizeof(text));
    if (size < 0) return failed("read the link", path);
    Answer answer;
    answer.target.assign(text, static_cast<size_t>(size));
    return answer;
  }

  Answer real_path() {
    char text[PATH_MAX];
    if (!::realpath(path.c_str(), text)) return failed("resolve", path);
    Answer answer;
    answer.target = text;
    return answer;
  }

  Answer set_stat() {
    int flags = request.follow ? 0 : AT_SYMLINK_NOFOLLOW;
    // The owner first: a change of owner takes set-id bits away.
    if (request.uid || request.gid) {
      auto same = static_cast<uint32_t>(-1);
      if (::fchownat(AT_FDCWD, path.c_str(), request.uid.value_or(same), request.gid.value_or(same), flags) < 0)
        return failed("set the owner of", path);
    }
    if (request.mode && ::fchmodat(AT_FDCWD, path.c_str(), *request.mode & kAllBits, flags) < 0)
      return failed("set the mode of", path);
    if (request.atime_ns || request.mtime_ns) {
      timespec times[2]{to_time(request.atime_ns), to_time(request.mtime_ns)};
      if (::utimensat(AT_FDCWD, path.c_str(), times, flags) < 0) return failed("set the times of", path);
    }
    return done();
  }

  static timespec to_time(const std::optional<int64_t>& nanoseconds) {
    return nanoseconds ? tree::to_timespec(*nanoseconds) : timespec{0, UTIME_OMIT};
  }

  Answer export_tree() {
    tree::TreeEncoder encoder([&](ByteView bytes) { return write_full(output, bytes); });
    auto read = tree::read_tree(path, {.follow = request.follow}, encoder);
    if (!read) return failed(read.error());
    (void)encoder.finish();
    return done();
  }

  Answer import_tree() {
    if (request.into) {
      Fd root(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!root) return failed("copy into", path);
      return import_with(tree::TreeWriter(std::move(root), tree::Trust::own));
    }
    std::string name;
    auto parent = tree::open_parent(path, name);
    if (!parent) return failed(parent.error());
    return import_with(tree::TreeWriter(std::move(*parent), name, tree::Trust::own));
  }

  Answer import_with(tree::TreeWriter writer) {
    tree::TreeDecoder decoder(writer);
    Bytes buffer(wire::kMaxChunk);
    while (true) {
      auto count = read_some(input, buffer);
      if (!count) return failed(count.error());
      if (*count == 0) break;
      if (auto fed = decoder.feed(ByteView(buffer).first(*count)); !fed) return failed(fed.error());
    }
    auto complete = decoder.finish();
    return complete ? done() : failed(complete.error());
  }
};

bool has_nul(ByteView bytes) {
  return as_text(bytes).find('\0') != std::string_view::npos;
}

}  // namespace

std::optional<FileResult> refuse_request(const wire::FileRequest& request) {
  using enum FileOperation;
  bool two = request.operation == copy || request.operation == rename;
  if (has_nul(request.path) || has_nul(request.target)) return refused("the path contains a NUL byte", EINVAL).result;
  if (request.path.size() > tree::kMaxPath || request.target.size() > tree::kMaxPath)
    return refused("the path is longer than 4096 bytes", ENAMETOOLONG).result;
  if (!as_text(request.path).starts_with('/') || (two && !as_text(request.target).starts_with('/')))
    return refused("the path is not absolute", EINVAL).result;
  return std::nullopt;
}

Bytes run_file_operation(const wire::FileRequest& request, int input, int output) {
  Answer answer = Operation{.request = request, .input = input, .output = output}.run();
  answer.result.target = as_bytes(answer.target);
  return wire::encode(answer.result);
}

}  // namespace msb::agent
