// TreeSink: takes a tree of files, one piece after another, in the order of wire/file_messages.h.
//
//   sink.entry(directory)       the root
//   sink.entry(file)            its child
//   sink.data(bytes); sink.hole(4096); sink.end();
//   sink.leave()                the root is complete
//
// TreeReader gives a tree of the file system to a sink, TreeDecoder one that comes as bytes. TreeWriter is the sink
// that makes files, TreeEncoder the one that makes bytes. The agent and the host have the same four, so that every copy
// is a source and a sink.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/file_messages.h"

namespace msb::tree {

// Each level of a tree is an open descriptor for whoever reads or writes it; processes have 1024 or more.
inline constexpr size_t kMaxDepth = 512;
// Holes cost nothing to claim. ext4 ends here.
inline constexpr uint64_t kMaxFileSize = uint64_t{1} << 44;
// What Linux takes for a path or a link's target.
inline constexpr size_t kMaxPath = 4096;

class TreeSink {
 public:
  virtual ~TreeSink() = default;
  virtual Result<> entry(const wire::TreeEntry& entry) = 0;
  virtual Result<> data(ByteView bytes) = 0;
  virtual Result<> hole(uint64_t size) = 0;
  virtual Result<> end() = 0;
  virtual Result<> leave() = 0;
  // Where the next data() may be read into beforehand, which saves copying it.
  virtual MutableByteView room() = 0;
};

// Whether that can be the name of one thing in a directory: not empty, not "." or "..", no "/", no NUL, at most 255
// bytes. Everything that names a file below a root is judged by this.
bool is_name(std::string_view name);

// For messages: as UTF-8, everything else and control characters as \n or \xff.
std::string printable_path(std::string_view path);

}  // namespace msb::tree
