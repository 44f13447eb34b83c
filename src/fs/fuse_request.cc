#include "fs/fuse_request.h"

#include <algorithm>
#include <cerrno>

namespace msb::fs {

uint64_t size_of(Buffers buffers) {
  uint64_t size = 0;
  for (const auto& buffer : buffers) size += buffer.size();
  return size;
}

std::vector<MutableByteView> range_of(Buffers buffers, uint64_t offset, uint64_t length) {
  std::vector<MutableByteView> range;
  for (const auto& buffer : buffers) {
    if (length == 0) break;
    if (offset >= buffer.size()) {
      offset -= buffer.size();
      continue;
    }
    auto part = buffer.subspan(offset, std::min<uint64_t>(length, buffer.size() - offset));
    range.push_back(part);
    offset = 0;
    length -= part.size();
  }
  return range;
}

namespace {

void copy_out(Buffers buffers, uint64_t offset, MutableByteView out) {
  size_t done = 0;
  for (const auto& part : range_of(buffers, offset, out.size())) {
    std::memcpy(out.data() + done, part.data(), part.size());
    done += part.size();
  }
}

}  // namespace

int FuseRequest::parse(Buffers buffers) {
  const uint64_t size = size_of(buffers);
  if (size < sizeof(header_)) return EINVAL;
  buffers_ = buffers;
  copy_out(buffers, 0, {reinterpret_cast<uint8_t*>(&header_), sizeof(header_)});
  uint64_t arguments = size - sizeof(header_);
  if (header_.opcode == FUSE_WRITE) arguments = std::min<uint64_t>(arguments, sizeof(fuse_write_in));
  if (arguments > kMaxArguments) return EINVAL;
  arguments_.resize(arguments);
  position_ = 0;
  copy_out(buffers, sizeof(header_), arguments_);
  return 0;
}

std::optional<std::string> FuseRequest::take_string() {
  auto rest = ByteView(arguments_).subspan(position_);
  auto end = std::ranges::find(rest, 0);
  if (end == rest.end()) return std::nullopt;
  std::string text(rest.begin(), end);
  position_ += text.size() + 1;
  return text;
}

std::optional<std::string> FuseRequest::take_name() {
  auto name = take_string();
  if (!name || name->empty() || *name == "." || *name == ".." || name->find('/') != name->npos) return std::nullopt;
  return name;
}

std::optional<ByteView> FuseRequest::take_bytes(size_t count) {
  if (arguments_.size() - position_ < count) return std::nullopt;
  auto bytes = ByteView(arguments_).subspan(position_, count);
  position_ += count;
  return bytes;
}

std::vector<MutableByteView> FuseRequest::data(uint32_t length) const {
  return range_of(buffers_, sizeof(header_) + position_, length);
}

}  // namespace msb::fs
