// Reads a file, or a directory with everything in it, into a TreeSink.
//
// Below the root no symbolic link is followed. Holes of sparse files stay holes. What vanishes meanwhile is left out,
// and so are sockets, which are nothing without their process. Of kernel file systems (/proc, /sys ...) that are
// mounted below the root, only the mount point comes along.
//
// Failures: ErrorKind::io with the errno; the path is in the message.
#pragma once

#include <ctime>

#include "base/fd.h"
#include "tree/tree_sink.h"

namespace msb::tree {

struct ReadOptions {
  bool follow = false;   // a root that is a symbolic link: read what it points to
  bool as_root = false;  // say that everything belongs to root
};

Result<> read_tree(const std::string& path, const ReadOptions& options, TreeSink& sink);

// The part of it that others can use: one open file's content, and the end.
Result<> read_contents(int file, const std::string& path, TreeSink& sink);

// From stat(2) to the messages.
wire::FileKind kind_of(mode_t mode);
int64_t to_nanoseconds(const timespec& time);

}  // namespace msb::tree
