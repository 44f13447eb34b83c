#include "sandbox/tree_tar.h"

#include <algorithm>
#include <chrono>

namespace msb {
namespace {

using image::TarType;
using wire::FileKind;

TarType tar_type(FileKind kind) {
  switch (kind) {
    case FileKind::directory:
      return TarType::directory;
    case FileKind::symlink:
      return TarType::symlink;
    case FileKind::hard_link:
      return TarType::hard_link;
    case FileKind::char_device:
      return TarType::char_device;
    case FileKind::block_device:
      return TarType::block_device;
    case FileKind::fifo:
      return TarType::fifo;
    case FileKind::file:
    case FileKind::socket:
      break;
  }
  return TarType::file;
}

FileKind file_kind(TarType type) {
  switch (type) {
    case TarType::directory:
      return FileKind::directory;
    case TarType::symlink:
      return FileKind::symlink;
    case TarType::hard_link:
      return FileKind::hard_link;
    case TarType::char_device:
      return FileKind::char_device;
    case TarType::block_device:
      return FileKind::block_device;
    case TarType::fifo:
      return FileKind::fifo;
    case TarType::file:
      break;
  }
  return FileKind::file;
}

// "./a//b/" is a and b. An absolute path is taken as one below the root, as tar(1) does.
Result<std::vector<std::string>> components(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    size_t slash = path.find('/');
    std::string_view part = path.substr(0, slash);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (part.empty() || part == ".") continue;
    if (!tree::is_name(part))
      return fail(ErrorKind::corrupt,
                  cat("the archive has a name that leads out of it: '", tree::printable_path(part), "'"));
    parts.emplace_back(part);
  }
  return parts;
}

}  // namespace

std::string TarTreeSink::path_of(std::string_view name) const {
  if (folders_.empty()) return root_;
  std::string path;
  for (const auto& folder : folders_) path += folder + "/";
  return path.append(name);
}

tl::unexpected<Error> TarTreeSink::changed() const {
  return fail(ErrorKind::filesystem, cat(tree::printable_path(file_), " changed while it was read"));
}

Result<> TarTreeSink::entry(const wire::TreeEntry& entry) {
  if (entry.kind == FileKind::socket) return {};
  image::TarEntry out;
  out.type = tar_type(entry.kind);
  out.path = path_of(as_text(entry.name));
  out.link_target = as_text(entry.target);
  if (out.type == TarType::hard_link) out.link_target = cat(root_, "/", out.link_target);
  out.mode = entry.mode.value_or(0755) & 07777;
  out.uid = entry.uid;
  out.gid = entry.gid;
  auto time = std::chrono::nanoseconds(entry.mtime_ns);
  auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  out.mtime = seconds.count();
  out.mtime_nsec = static_cast<uint32_t>((time - seconds).count());
  out.device_major = static_cast<uint32_t>(entry.device >> 32);
  out.device_minor = static_cast<uint32_t>(entry.device);
  if (entry.kind == FileKind::directory) {
    folders_.push_back(folders_.empty() ? root_ : std::string(as_text(entry.name)));
    out.path += '/';
  }
  if (entry.kind == FileKind::file) {
    out.size = left_ = entry.size;
    file_ = out.path;
  }
  return writer_.entry(out);
}

Result<> TarTreeSink::data(ByteView bytes) {
  if (bytes.size() > left_) return changed();
  left_ -= bytes.size();
  return writer_.data(bytes);
}

Result<> TarTreeSink::hole(uint64_t size) {
  if (size > left_) return changed();
  std::fill(buffer_.begin(), buffer_.end(), 0);
  while (size > 0) {
    size_t count = static_cast<size_t>(std::min<uint64_t>(size, buffer_.size()));
    MSB_CHECK(data(ByteView(buffer_).first(count)));
    size -= count;
  }
  return {};
}

Result<> TarTreeSink::end() {
  if (left_ > 0) return changed();
  return writer_.end_data();
}

Result<> TarTreeSink::leave() {
  folders_.pop_back();
  return {};
}

Result<> TreeTarSink::begin() {
  if (std::exchange(begun_, true)) return {};
  wire::TreeEntry root;
  root.kind = FileKind::directory;
  root.name = as_bytes(".");
  return sink_.entry(root);
}

Result<> TreeTarSink::enter(const std::vector<std::string>& folders) {
  size_t common = 0;
  while (common < folders.size() && common < folders_.size() && folders[common] == folders_[common]) ++common;
  for (; folders_.size() > common; folders_.pop_back()) MSB_CHECK(sink_.leave());
  for (size_t i = common; i < folders.size(); ++i) {
    wire::TreeEntry through;
    through.kind = FileKind::directory;
    through.name = as_bytes(folders[i]);
    MSB_CHECK(sink_.entry(through));
    folders_.push_back(folders[i]);
  }
  return {};
}

Result<> TreeTarSink::begin_entry(image::TarEntry& entry) {
  MSB_CHECK(begin());
  MSB_TRY(auto folders, components(entry.path));
  in_file_ = false;
  // The root is there already, and keeps its attributes.
  if (folders.empty()) return {};
  std::string name = std::move(folders.back());
  folders.pop_back();
  MSB_CHECK(enter(folders));
  std::string target = entry.link_target;
  if (entry.type == TarType::hard_link) {
    MSB_TRY(auto parts, components(target));
    target.clear();
    for (const auto& part : parts) target += (target.empty() ? "" : "/") + part;
  }
  wire::TreeEntry out;
  out.kind = file_kind(entry.type);
  out.name = as_bytes(name);
  out.mode = entry.mode & 07777;
  out.uid = entry.uid;
  out.gid = entry.gid;
  if (__builtin_mul_overflow(entry.mtime, int64_t{1'000'000'000}, &out.mtime_ns) ||
      __builtin_add_overflow(out.mtime_ns, int64_t{entry.mtime_nsec}, &out.mtime_ns))
    out.mtime_ns = entry.mtime < 0 ? INT64_MIN : INT64_MAX;
  out.size = entry.size;
  out.target = as_bytes(target);
  out.device = uint64_t{entry.device_major} << 32 | entry.device_minor;
  MSB_CHECK(sink_.entry(out));
  if (out.kind == FileKind::directory) folders_.push_back(std::move(name));
  in_file_ = out.kind == FileKind::file;
  size_ = entry.size;
  position_ = 0;
  segments_ = std::move(entry.segments);
  if (!entry.sparse) segments_ = {{0, entry.size}};
  segment_ = 0;
  return {};
}

Result<> TreeTarSink::pad_to(uint64_t offset) {
  if (offset <= position_) return {};
  MSB_CHECK(sink_.hole(offset - position_));
  position_ = offset;
  return {};
}

Result<> TreeTarSink::data(ByteView bytes) {
  while (in_file_ && !bytes.empty() && segment_ < segments_.size()) {
    const auto& segment = segments_[segment_];
    MSB_CHECK(pad_to(segment.offset));
    size_t count = static_cast<size_t>(std::min<uint64_t>(bytes.size(), segment.offset + segment.length - position_));
    if (count == 0) {
      ++segment_;
      continue;
    }
    MSB_CHECK(sink_.data(bytes.first(count)));
    position_ += count;
    bytes = bytes.subspan(count);
  }
  return {};
}

Result<> TreeTarSink::end_entry() {
  if (!std::exchange(in_file_, false)) return {};
  MSB_CHECK(pad_to(size_));
  return sink_.end();
}

Result<> TreeTarSink::finish() {
  MSB_CHECK(begin());
  MSB_CHECK(enter({}));
  return sink_.leave();
}

}  // namespace msb
