#include "base/fd.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace msb {
namespace {

template <class Call>
auto retry_eintr(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

}  // namespace

void Fd::reset(int fd) {
  // close() is not retried: on Linux the descriptor is gone even after EINTR.
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<Fd> Fd::duplicate() const {
  Fd copy(::fcntl(fd_, F_DUPFD_CLOEXEC, 0));
  if (!copy) return fail_errno("duplicate a file descriptor");
  return copy;
}

Result<Fd> open_file(const std::string& path, int flags, mode_t mode) {
  Fd fd(retry_eintr([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); }));
  if (!fd) return fail_errno(cat("open ", path));
  return fd;
}

Result<Fd> open_at(int directory, const std::string& name, int flags, mode_t mode) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
    return fail(ErrorKind::invalid_config, cat("'", name, "' is not a plain file name"));
  Fd fd(retry_eintr([&] { return ::openat(directory, name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode); }));
  if (!fd) return fail_errno(cat("open ", name));
  return fd;
}

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) < 0) return fail_errno("create a pipe");
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

Result<SocketPair> make_socket_pair(SocketKind kind) {
  int fds[2];
  const int type = kind == SocketKind::stream ? SOCK_STREAM : SOCK_SEQPACKET;
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0) return fail_errno("create a socket pair");
  return SocketPair{Fd(fds[0]), Fd(fds[1])};
}

Result<Fd> make_memfd(const std::string& name, ByteView contents) {
  Fd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno("create a memory file");
  MSB_CHECK(write_full(fd.get(), contents));
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) return fail_errno("rewind a memory file");
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
    return fail_errno("seal a memory file");
  return fd;
}

Result<> set_blocking(int fd, Blocking blocking) {
  int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return fail_errno("read descriptor flags");
  flags = blocking == Blocking::yes ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
  if (::fcntl(fd, F_SETFL, flags) < 0) return fail_errno("set descriptor flags");
  return {};
}

Result<> set_cloexec(int fd, bool cloexec) {
  if (::fcntl(fd, F_SETFD, cloexec ? FD_CLOEXEC : 0) < 0) return fail_errno("set close-on-exec");
  return {};
}

Result<size_t> read_some(int fd, MutableByteView buffer) {
  ssize_t count = retry_eintr([&] { return ::read(fd, buffer.data(), buffer.size()); });
  if (count < 0) return fail_errno("read");
  return static_cast<size_t>(count);
}

Result<size_t> read_full(int fd, MutableByteView buffer) {
  size_t done = 0;
  while (done < buffer.size()) {
    MSB_TRY(size_t count, read_some(fd, buffer.subspan(done)));
    if (count == 0) break;
    done += count;
  }
  return done;
}

Result<size_t> write_some(int fd, ByteView bytes) {
  ssize_t count = retry_eintr([&] { return ::write(fd, bytes.data(), bytes.size()); });
  if (count < 0) return fail_errno("write");
  return static_cast<size_t>(count);
}

Result<> write_full(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    MSB_TRY(size_t count, write_some(fd, bytes));
    bytes = bytes.subspan(count);
  }
  return {};
}

Result<> pread_full(int fd, MutableByteView buffer, uint64_t offset) {
  while (!buffer.empty()) {
    ssize_t count = retry_eintr([&] { return ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset)); });
    if (count < 0) return fail_errno("read");
    if (count == 0) return fail(ErrorKind::corrupt, cat("the file ends before offset ", offset + buffer.size()));
    buffer = buffer.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return {};
}

Result<> pwrite_full(int fd, ByteView bytes, uint64_t offset) {
  while (!bytes.empty()) {
    ssize_t count = retry_eintr([&] { return ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (count < 0) return fail_errno("write");
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return {};
}

Result<Bytes> read_all(int fd, size_t limit) {
  Bytes bytes;
  uint8_t chunk[16384];
  while (true) {
    MSB_TRY(size_t count, read_some(fd, chunk));
    if (count == 0) return bytes;
    if (bytes.size() + count > limit) return fail(ErrorKind::io, cat("more than the allowed ", limit, " bytes"));
    bytes.insert(bytes.end(), chunk, chunk + count);
  }
}

Result<std::string> read_file(const std::string& path, size_t limit) {
  MSB_TRY(Fd fd, open_file(path));
  auto bytes = read_all(fd.get(), limit);
  if (!bytes) return fail(std::move(bytes).error().context(cat("read ", path)));
  return std::string(as_text(*bytes));
}

}  // namespace msb
