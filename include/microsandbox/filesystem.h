// Filesystem: the files inside a running sandbox, and copies between there and here.
//
//   auto fs = sandbox->fs();
//   fs.write("/tmp/config.json", R"({"debug": true})");
//   auto text = fs.read_text("/tmp/config.json");
//   for (const auto& entry : *fs.list("/etc")) std::cout << entry.path << " " << entry.size << "\n";
//   fs.copy_from_host("./project", "/work");
//   fs.copy_to_host("/work/result.txt", "./result.txt");
//
// Everything is done as root of the guest, in its root file system with all its mounts. Guest paths are absolute; they
// are bytes, of which only NUL may not occur.
//
// Errors: path_not_found, path_already_exists, is_a_directory, not_a_directory, permission_denied (also: a read-only
// file system), else filesystem (a full disk, not a regular file ...), all with the guest's errno in Error::errnum();
// invalid_config for a path that cannot be; sandbox_not_running and runtime when the sandbox is not there or goes away.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <microsandbox/result.h>

namespace msb {

using FileTime = std::chrono::sys_time<std::chrono::nanoseconds>;

enum class FsEntryKind { file, directory, symlink, other };
MSB_API std::string_view to_string(FsEntryKind kind);  // "file"

struct FsMetadata {
  FsEntryKind kind = FsEntryKind::file;
  uint64_t size = 0;      // bytes
  uint32_t mode = 0;      // permission, set-id and sticky bits
  uint32_t uid = 0;       // in the guest
  uint32_t gid = 0;       //
  bool readonly = false;  // nobody may write to it, by its mode
  FileTime modified{};
  std::optional<FileTime> created = {};  // where the file system knows it
};

struct FsEntry {
  std::string path;  // the directory as it was named, and the entry's name
  FsMetadata metadata = {};
  std::string_view name() const { return std::string_view(path).substr(path.rfind('/') + 1); }
};

// What set_stat() changes; the rest stays.
struct FsAttributes {
  std::optional<uint32_t> mode = {};
  std::optional<uint32_t> uid = {};
  std::optional<uint32_t> gid = {};
  std::optional<FileTime> accessed = {};
  std::optional<FileTime> modified = {};
};

enum class SymlinkMode { follow, keep };

struct CopyOptions {
  // A source that is itself a symbolic link: copy the link, or what it points to. Links further down stay links.
  SymlinkMode source_link = SymlinkMode::keep;
};

struct CopyReport {
  std::vector<std::string> skipped = {};  // devices that did not come along to the host
};

// A file being read. Memory stays bounded: a caller that does not read stalls the guest's side of this file only.
// Destroying it ends the reading. Not thread-safe.
class MSB_API FsReadStream {
 public:
  FsReadStream(FsReadStream&&) noexcept;
  FsReadStream& operator=(FsReadStream&&) noexcept;
  ~FsReadStream();
  // The next piece, at most 64 KiB, never empty; nullopt at the end. Blocks.
  Result<std::optional<std::string>> recv();
  // All that is left, at most 1 GiB.
  Result<std::string> collect();

  struct State;
  explicit FsReadStream(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

// A file being written. What was written may be lost, and the file be incomplete, unless close() succeeds.
class MSB_API FsWriteSink {
 public:
  FsWriteSink(FsWriteSink&&) noexcept;
  FsWriteSink& operator=(FsWriteSink&&) noexcept;
  ~FsWriteSink();
  // Blocks while the guest has not taken what was written before (512 KiB are in flight).
  Result<> write(std::string_view bytes);
  // The end of the file; reports what went wrong on the way.
  Result<> close();

  struct State;
  explicit FsWriteSink(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

// A handle for one running sandbox; cheap to copy, and usable from any thread.
class MSB_API Filesystem {
 public:
  explicit Filesystem(std::string sandbox) : sandbox_(std::move(sandbox)) {}

  // ---- files -----------------------------------------------------------------------------
  // Follows links; regular files only (a FIFO or device is an error, and never blocks). At most 1 GiB.
  Result<std::string> read(const std::string& path) const;
  // The same; ErrorKind::filesystem when it is not UTF-8.
  Result<std::string> read_text(const std::string& path) const;
  Result<FsReadStream> read_stream(const std::string& path) const;
  // Makes the file (its directory must exist) or replaces its content. `mode` is that of a file that is made.
  Result<> write(const std::string& path, std::string_view bytes, uint32_t mode = 0644) const;
  Result<FsWriteSink> write_stream(const std::string& path, uint32_t mode = 0644) const;
  // A file, link, FIFO, socket or device.
  Result<> remove(const std::string& path) const;

  // ---- directories -----------------------------------------------------------------------
  // In no order, without "." and "..", at most a million.
  Result<std::vector<FsEntry>> list(const std::string& path) const;
  // With its parents; one that exists is success.
  Result<> mkdir(const std::string& path, uint32_t mode = 0755) const;
  // With everything in it. Follows no link.
  Result<> remove_dir(const std::string& path) const;

  // ---- both ------------------------------------------------------------------------------
  // Inside the guest, with modes, owners, times, links and holes. `to` is the copy itself, not the directory it goes
  // into. A directory is merged with one that exists.
  Result<> copy(const std::string& from, const std::string& to) const;
  Result<> rename(const std::string& from, const std::string& to) const;
  Result<FsMetadata> stat(const std::string& path, SymlinkMode links = SymlinkMode::follow) const;
  // Whether there is anything at that path; a link that leads nowhere is something.
  Result<bool> exists(const std::string& path) const;
  Result<> set_stat(const std::string& path, const FsAttributes& attributes,
                    SymlinkMode links = SymlinkMode::follow) const;
  // Makes `path` a symbolic link to `target`, which may be any text.
  Result<> symlink(const std::string& target, const std::string& path) const;
  Result<std::string> read_link(const std::string& path) const;
  // Absolute, without links, "." and "..".
  Result<std::string> real_path(const std::string& path) const;

  // ---- between guest and host --------------------------------------------------------------
  // Files and trees, as `docker cp` does it: into `to` when that is a directory, else as `to`; a source that ends in
  // "/." means what is in the directory. Modes, times, links and holes are kept. In the guest everything belongs to
  // root, on the host to the caller; set-id bits and devices do not come to the host. Nothing is ever written outside
  // the destination, whatever the guest sends: ErrorKind::protocol when it tries.
  Result<CopyReport> copy_from_host(const std::string& from, const std::string& to,
                                    const CopyOptions& options = {}) const;
  Result<CopyReport> copy_to_host(const std::string& from, const std::string& to,
                                  const CopyOptions& options = {}) const;
  // From this guest to another, with owners.
  Result<CopyReport> copy_to_guest(const std::string& from, const Filesystem& other, const std::string& to,
                                   const CopyOptions& options = {}) const;

  // ---- tar archives ------------------------------------------------------------------------
  using Output = std::function<Result<>(std::string_view)>;
  // Fills the buffer at most and returns the count; 0 at the end.
  using Input = std::function<Result<size_t>(std::span<char>)>;
  // `path` and what is in it as an uncompressed archive.
  Result<> write_tar(const std::string& path, const Output& output, const CopyOptions& options = {}) const;
  // Unpacks an uncompressed archive into a directory that exists, with owners. Names that lead out of it are refused
  // (ErrorKind::corrupt).
  Result<> extract_tar(const Input& input, const std::string& directory) const;

 private:
  std::string sandbox_;
};

}  // namespace msb
