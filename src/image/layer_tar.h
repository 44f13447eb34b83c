// TarParser: a push parser for tar streams, in all the dialects that layers come in:
// v7, ustar, pax (path, linkpath, size, uid, gid, mtime, SCHILY.xattr, LIBARCHIVE.xattr),
// GNU (long names, base-256 numbers, sparse files of the old, 0.0, 0.1 and 1.0 formats).
//
//   TarParser parser(sink);
//   while (more) MSB_CHECK(parser.feed(bytes));   // any split of the stream
//   MSB_CHECK(parser.finish());                   // the stream ends here
//
// The bytes are foreign. It keeps one header and at most one extension (kMaxTarExtension) in
// memory and hands data through. It judges syntax, not meaning: paths arrive as they were written.
// Failures: ErrorKind::corrupt, naming the entry where there is one; whatever the sink fails with.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "disk/erofs_tree.h"

namespace msb::image {

enum class TarType { file, hard_link, symlink, char_device, block_device, directory, fifo };

struct TarSegment {
  uint64_t offset = 0;
  uint64_t length = 0;
};

struct TarEntry {
  TarType type = TarType::file;
  std::string path;
  std::string link_target;
  uint32_t mode = 0;  // permission bits, without the type
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime = 0;
  uint32_t mtime_nsec = 0;
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  uint64_t size = 0;  // of a file as it is read, holes included
  bool sparse = false;
  std::vector<TarSegment> segments;  // sparse: where the data belongs, ascending, within size
  std::vector<disk::Xattr> xattrs;
};

class TarSink {
 public:
  virtual ~TarSink() = default;
  virtual Result<> begin_entry(TarEntry& entry) = 0;
  // A file's data; of a sparse file, its segments one after the other.
  virtual Result<> data(ByteView bytes) = 0;
  // All its data was there.
  virtual Result<> end_entry() = 0;
};

class TarParser {
 public:
  explicit TarParser(TarSink& sink) : sink_(sink) {}

  Result<> feed(ByteView bytes);
  // Fails when the archive is cut off. A missing end mark is fine, as it is for tar(1).
  Result<> finish();

 private:
  enum class State { header, extension, sparse_extension, sparse_map, data, padding, end };
  using Header = std::array<uint8_t, 512>;

  // What pax records say about the entry that follows.
  struct Pending {
    std::optional<std::string> path, link_target, gnu_path, gnu_link;
    std::optional<uint64_t> size, uid, gid;
    std::optional<int64_t> mtime;
    uint32_t mtime_nsec = 0;
    std::vector<disk::Xattr> xattrs;
    size_t xattr_bytes = 0;
    // GNU.sparse.*
    std::optional<std::string> sparse_name;
    std::optional<uint64_t> sparse_size, sparse_major, sparse_minor, sparse_offset;
    std::optional<std::vector<TarSegment>> segments;
  };

  Result<size_t> consume(ByteView bytes);
  Result<> on_header();
  Result<> on_extension();
  Result<> parse_pax(std::string_view records);
  Result<> pax_record(std::string_view key, std::string_view value);
  Result<> add_xattr(std::string name, std::string_view value);
  Result<> begin_entry(char type);
  Result<> set_type(char type);
  Result<> set_numbers();
  Result<> gnu_sparse_segments(const uint8_t* at, size_t count);
  Result<> parse_sparse_map();
  Result<> start_data();
  Result<> end_data();
  tl::unexpected<Error> corrupt(std::string_view what) const;

  TarSink& sink_;
  State state_ = State::header;
  Header header_{};
  size_t filled_ = 0;     // bytes of header_
  uint64_t left_ = 0;     // of the extension or the stored data
  uint64_t padding_ = 0;  // behind it
  char extension_type_ = 0;
  std::string extension_;
  Pending pending_;
  TarEntry entry_;
  uint64_t stored_ = 0;      // data bytes in the archive
  std::string sparse_map_;   // GNU sparse 1.0: the text before the data
  bool zero_block_ = false;  // the block before was all zeros
};

}  // namespace msb::image
