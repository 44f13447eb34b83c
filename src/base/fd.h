// Fd: a file descriptor that closes itself, and the few calls that everything uses.
// EINTR is retried here and nowhere else. Every descriptor is opened O_CLOEXEC.
#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"

namespace msb {

class [[nodiscard]] Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

  Result<Fd> duplicate() const;

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read;
  Fd write;
};
struct SocketPair {
  Fd first;
  Fd second;
};

enum class Blocking { yes, no };

Result<Fd> open_file(const std::string& path, int flags = O_RDONLY, mode_t mode = 0644);
// Opens relative to a directory; the name may not leave it (no "/", "..", or symlink tricks beyond what flags allow).
Result<Fd> open_at(int directory, const std::string& name, int flags, mode_t mode = 0644);
Result<Pipe> make_pipe();
enum class SocketKind { stream, messages };  // messages: SOCK_SEQPACKET, which keeps them apart
Result<SocketPair> make_socket_pair(SocketKind kind = SocketKind::stream);  // AF_UNIX
Result<Fd> make_memfd(const std::string& name, ByteView contents);          // sealed against writes
Result<> set_blocking(int fd, Blocking blocking);
Result<> set_cloexec(int fd, bool cloexec);

// Reads until the buffer is full or the end; returns the count.
Result<size_t> read_full(int fd, MutableByteView buffer);
// One read(2). 0 is the end; would-block is an Error with errnum EAGAIN.
Result<size_t> read_some(int fd, MutableByteView buffer);
Result<size_t> write_some(int fd, ByteView bytes);
Result<> write_full(int fd, ByteView bytes);
Result<> pread_full(int fd, MutableByteView buffer, uint64_t offset);  // a short read is ErrorKind::corrupt
Result<> pwrite_full(int fd, ByteView bytes, uint64_t offset);

// Whole files. read_file refuses more than `limit` bytes rather than fill memory.
Result<Bytes> read_all(int fd, size_t limit);
Result<std::string> read_file(const std::string& path, size_t limit = size_t{64} << 20);
// Written beside the target, then renamed over it: a reader sees the old or the new file.
Result<> write_file_atomic(const std::string& path, std::string_view contents, mode_t mode = 0644);

}  // namespace msb
