// Messages about files of the guest: operations (core.fs.*), and trees of files that travel as a stream (core.tree.*).
//
// An operation is a session of its own: a request, a stream of core.fs.data in either direction, and a result, which is
// the last frame. What the data is depends on the operation: a file's bytes (read, write), or a sequence of frames
// with id 0, in the format of frame.h: core.fs.entry for `list`, core.tree.* for `export` and `import`.
//
// Paths, names and link targets are byte strings: any bytes but NUL.
#pragma once

#include <array>
#include <utility>

#include "wire/messages.h"

namespace msb::wire {

namespace detail {

// Both directions from one table of names.
template <class Enum, size_t kCount>
std::string_view name_of(const std::array<std::pair<Enum, std::string_view>, kCount>& names, Enum value) {
  for (const auto& [known, name] : names) {
    if (known == value) return name;
  }
  return "";
}
template <class Enum, size_t kCount>
bool value_of(const std::array<std::pair<Enum, std::string_view>, kCount>& names, std::string_view name, Enum& value) {
  for (const auto& [known, text] : names) {
    if (text == name) return value = known, true;
  }
  return false;
}

}  // namespace detail

enum class FileKind { file, directory, symlink, fifo, socket, char_device, block_device, hard_link };
inline constexpr std::array<std::pair<FileKind, std::string_view>, 8> kFileKinds{
    {{FileKind::file, "file"},
     {FileKind::directory, "directory"},
     {FileKind::symlink, "symlink"},
     {FileKind::fifo, "fifo"},
     {FileKind::socket, "socket"},
     {FileKind::char_device, "char_device"},
     {FileKind::block_device, "block_device"},
     {FileKind::hard_link, "hard_link"}}};
inline std::string_view to_string(FileKind kind) {
  return detail::name_of(kFileKinds, kind);
}
inline bool from_string(std::string_view name, FileKind& kind) {
  return detail::value_of(kFileKinds, name, kind);
}

enum class FileOperation {
  stat,
  read,
  write,
  list,
  make_directory,
  remove,
  remove_tree,
  copy,
  rename,
  symlink,
  read_link,
  real_path,
  set_stat,
  export_tree,
  import_tree
};
inline constexpr std::array<std::pair<FileOperation, std::string_view>, 15> kFileOperations{
    {{FileOperation::stat, "stat"},
     {FileOperation::read, "read"},
     {FileOperation::write, "write"},
     {FileOperation::list, "list"},
     {FileOperation::make_directory, "mkdir"},
     {FileOperation::remove, "remove"},
     {FileOperation::remove_tree, "remove_dir"},
     {FileOperation::copy, "copy"},
     {FileOperation::rename, "rename"},
     {FileOperation::symlink, "symlink"},
     {FileOperation::read_link, "read_link"},
     {FileOperation::real_path, "real_path"},
     {FileOperation::set_stat, "set_stat"},
     {FileOperation::export_tree, "export"},
     {FileOperation::import_tree, "import"}}};
inline std::string_view to_string(FileOperation operation) {
  return detail::name_of(kFileOperations, operation);
}
inline bool from_string(std::string_view name, FileOperation& operation) {
  return detail::value_of(kFileOperations, name, operation);
}

// ---- operations ---------------------------------------------------------------------

// H>G, starts a session.
struct FileRequest {
  static constexpr std::string_view kType = "core.fs.request";
  FileOperation operation = FileOperation::stat;
  Bytes path;                       // absolute
  Bytes target;                     // copy, rename: the new path; symlink: what it points to
  bool follow = true;               // stat, set_stat, export: of a symbolic link, what it points to
  bool into = false;                // import: the path is a directory that is there, and becomes the root
  std::optional<uint32_t> mode;     // write, mkdir: of what is made; set_stat
  std::optional<uint32_t> uid;      // set_stat, as the three below
  std::optional<uint32_t> gid;      //
  std::optional<int64_t> atime_ns;  // since the epoch
  std::optional<int64_t> mtime_ns;  //
  std::optional<uint64_t> window;   // bytes of core.fs.data the agent may send; absent: no flow control
  static void fields(auto& self, auto&& field) {
    field("op", self.operation);
    field("path", self.path);
    field("target", self.target);
    field("follow", self.follow);
    field("into", self.into);
    field("mode", self.mode);
    field("uid", self.uid);
    field("gid", self.gid);
    field("atime_ns", self.atime_ns);
    field("mtime_ns", self.mtime_ns);
    field("window", self.window);
  }
};

// G>H, for `write` and `import`: `window` is what the client may send before it is granted more.
struct FileStarted {
  static constexpr std::string_view kType = "core.fs.started";
  uint64_t window = 0;
  static void fields(auto& self, auto&& field) { field("window", self.window); }
};

// Both ways; from the host, empty data is the end.
struct FileData {
  static constexpr std::string_view kType = "core.fs.data";
  ByteView data;
  static void fields(auto& self, auto&& field) { field("data", self.data); }
};

// Both ways: `bytes` more of core.fs.data may be sent.
struct FileCredit {
  static constexpr std::string_view kType = "core.fs.credit";
  uint64_t bytes = 0;
  static void fields(auto& self, auto&& field) { field("bytes", self.bytes); }
};

struct FileStat {
  FileKind kind = FileKind::file;
  uint64_t size = 0;
  uint32_t mode = 0;  // permission, set-id and sticky bits
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime_ns = 0;
  std::optional<int64_t> created_ns;  // where the file system knows it
  static void fields(auto& self, auto&& field) {
    field("kind", self.kind);
    field("size", self.size);
    field("mode", self.mode);
    field("uid", self.uid);
    field("gid", self.gid);
    field("mtime_ns", self.mtime_ns);
    field("created_ns", self.created_ns);
  }
};

// G>H, terminal: how it went.
struct FileResult {
  static constexpr std::string_view kType = "core.fs.result";
  int32_t errnum = 0;            // 0: done
  std::string message;           // what failed, with the path and the reason
  std::optional<FileStat> stat;  // of `stat`
  ByteView target;               // of `read_link` and `real_path`
  static void fields(auto& self, auto&& field) {
    field("errno", self.errnum);
    field("message", self.message);
    field("stat", self.stat);
    field("target", self.target);
  }
};

// In the data of `list`: one entry of the directory, in no order, without "." and "..".
struct FileEntry {
  static constexpr std::string_view kType = "core.fs.entry";
  ByteView name;
  FileStat stat;  // of a symbolic link, the link's own
  static void fields(auto& self, auto&& field) {
    field("name", self.name);
    field("stat", self.stat);
  }
};

// ---- trees ----------------------------------------------------------------------------
//
// One entry, the root. After a directory's entry come its children, then core.tree.leave; after a file's its data and
// holes, front to back, then core.tree.end. Every name is a single component: not empty, not "." or "..", without "/".

struct TreeEntry {
  static constexpr std::string_view kType = "core.tree.entry";
  FileKind kind = FileKind::file;
  ByteView name;                 // of the root: what it was called; whoever writes the tree chooses the name
  std::optional<uint32_t> mode;  // absent: a directory that is only passed through
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime_ns = 0;
  uint64_t size = 0;    // of a file when it was opened; nobody may rely on it
  ByteView target;      // symlink: what it points to; hard_link: path below the root of a file that came before
  uint64_t device = 0;  // char_device, block_device: major << 32 | minor
  static void fields(auto& self, auto&& field) {
    field("kind", self.kind);
    field("name", self.name);
    field("mode", self.mode);
    field("uid", self.uid);
    field("gid", self.gid);
    field("mtime_ns", self.mtime_ns);
    field("size", self.size);
    field("target", self.target);
    field("device", self.device);
  }
};
struct TreeData {
  static constexpr std::string_view kType = "core.tree.data";
  ByteView data;
  static void fields(auto& self, auto&& field) { field("data", self.data); }
};
struct TreeHole {
  static constexpr std::string_view kType = "core.tree.hole";
  uint64_t size = 0;
  static void fields(auto& self, auto&& field) { field("size", self.size); }
};
struct TreeEnd {
  static constexpr std::string_view kType = "core.tree.end";
  static void fields(auto&, auto&&) {}
};
struct TreeLeave {
  static constexpr std::string_view kType = "core.tree.leave";
  static void fields(auto&, auto&&) {}
};

}  // namespace msb::wire
