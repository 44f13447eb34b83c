#include "tree/tree_stream.h"

#include <algorithm>

namespace msb::tree {
namespace {

// Pieces below this are collected.
constexpr size_t kSmall = 16 * 1024;

tl::unexpected<Error> broken(std::string_view what) {
  return fail(ErrorKind::protocol, cat("the stream of files is not in order: ", what));
}

bool is_below_root(std::string_view path) {
  if (path.empty() || path.size() > kMaxPath) return false;
  while (true) {
    size_t slash = path.find('/');
    if (!is_name(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

Result<> TreeEncoder::add_bytes(ByteView frame) {
  if (kept_.size() + frame.size() > wire::kMaxChunk) MSB_CHECK(finish());
  kept_.insert(kept_.end(), frame.begin(), frame.end());
  return {};
}

Result<> TreeEncoder::data(ByteView bytes) {
  while (!bytes.empty()) {
    size_t count = std::min(bytes.size(), wire::kMaxChunk);
    if (bytes.data() != frame_.room().data()) std::copy_n(bytes.begin(), count, frame_.room().begin());
    ByteView frame = frame_.finish(0, 0, wire::TreeData::kType, count);
    if (count < kSmall) {
      MSB_CHECK(add_bytes(frame));
    } else {
      MSB_CHECK(finish());
      MSB_CHECK(output_(frame));
    }
    bytes = bytes.subspan(count);
  }
  return {};
}

Result<> TreeEncoder::finish() {
  if (kept_.empty()) return {};
  auto written = output_(kept_);
  kept_.clear();
  return written;
}

Result<> TreeDecoder::feed(ByteView bytes) {
  reader_.feed(bytes);
  while (true) {
    MSB_TRY(auto frame, reader_.next());
    if (!frame) return {};
    MSB_CHECK(take(*frame));
  }
}

Result<> TreeDecoder::take(const wire::Frame& frame) {
  MSB_TRY(auto envelope, wire::open_envelope(frame.body));
  if (complete_) return broken("something follows its end");
  if (envelope.type == wire::TreeEntry::kType) {
    MSB_TRY(auto entry, wire::decode<wire::TreeEntry>(envelope.payload));
    return take_entry(entry);
  }
  if (envelope.type == wire::TreeLeave::kType) {
    if (in_file_ || depth_ == 0) return broken("a directory ends that has not begun");
    complete_ = --depth_ == 0;
    return sink_.leave();
  }
  if (!in_file_) return broken("a file's data comes outside a file");
  if (envelope.type == wire::TreeData::kType) {
    MSB_TRY(auto message, wire::decode<wire::TreeData>(envelope.payload));
    size_ += message.data.size();
    if (size_ > kMaxFileSize) return broken("a file is larger than files can be");
    return sink_.data(message.data);
  }
  if (envelope.type == wire::TreeHole::kType) {
    MSB_TRY(auto message, wire::decode<wire::TreeHole>(envelope.payload));
    if (message.size > kMaxFileSize - size_) return broken("a file is larger than files can be");
    size_ += message.size;
    return sink_.hole(message.size);
  }
  if (envelope.type == wire::TreeEnd::kType) {
    in_file_ = false;
    complete_ = depth_ == 0;
    return sink_.end();
  }
  return broken(cat("it has a '", printable_path(envelope.type), "'"));
}

Result<> TreeDecoder::take_entry(const wire::TreeEntry& entry) {
  if (in_file_) return broken("a file has children");
  if (depth_ > 0 && !is_name(as_text(entry.name)))
    return broken(cat("'", printable_path(as_text(entry.name)), "' is not the name of a file"));
  std::string_view target = as_text(entry.target);
  if (entry.kind == wire::FileKind::symlink &&
      (target.empty() || target.size() > kMaxPath || target.find('\0') != std::string_view::npos))
    return broken("the target of a symbolic link is empty or too long");
  if (entry.kind == wire::FileKind::hard_link && (depth_ == 0 || !is_below_root(target)))
    return broken("a hard link leads out of the tree");
  if (entry.kind == wire::FileKind::directory) {
    if (++depth_ > kMaxDepth) return broken(cat("it is deeper than ", kMaxDepth, " directories"));
  } else if (entry.kind == wire::FileKind::file) {
    in_file_ = true;
    size_ = 0;
  } else {
    complete_ = depth_ == 0;
  }
  return sink_.entry(entry);
}

Result<> TreeDecoder::finish() const {
  if (!complete_) return broken("it is cut off");
  return {};
}

}  // namespace msb::tree
