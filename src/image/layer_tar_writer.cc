#include "image/layer_tar_writer.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "image/layer_tar_fields.h"

namespace msb::image {
namespace {

constexpr size_t kBufferSize = 256 * 1024;
constexpr size_t kBlock = 512;

char type_flag(TarType type) {
  switch (type) {
    case TarType::file:
      return '0';
    case TarType::hard_link:
      return '1';
    case TarType::symlink:
      return '2';
    case TarType::char_device:
      return '3';
    case TarType::block_device:
      return '4';
    case TarType::directory:
      return '5';
    case TarType::fifo:
      return '6';
  }
  return '0';
}

// The largest number of a field: one digit is for the NUL.
constexpr uint64_t field_max(tar::Field field) {
  return (uint64_t{1} << (3 * (field.length - 1))) - 1;
}

void put_octal(uint8_t* header, tar::Field field, uint64_t value) {
  // What does not fit stands in a pax record.
  if (value > field_max(field)) value = 0;
  char text[24];
  std::snprintf(text, sizeof(text), "%0*llo", static_cast<int>(field.length - 1),
                static_cast<unsigned long long>(value));
  std::memcpy(header + field.offset, text, field.length);
}

void put_text(uint8_t* header, tar::Field field, std::string_view text) {
  std::memcpy(header + field.offset, text.data(), std::min(text.size(), field.length));
}

// "<length> key=value\n", where length counts its own digits too.
void add_record(std::string& records, std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length) length = std::to_string(length).size() + rest;
  records += cat(length, ' ', key, '=', value, '\n');
}

std::string time_text(int64_t seconds, uint32_t nanoseconds) {
  const bool negative = seconds < 0;
  uint64_t whole = negative ? uint64_t{0} - static_cast<uint64_t>(seconds) : static_cast<uint64_t>(seconds);
  if (negative && nanoseconds > 0) {
    --whole;
    nanoseconds = 1'000'000'000 - nanoseconds;
  }
  std::string text = cat(negative ? "-" : "", whole);
  if (nanoseconds > 0) {
    char fraction[16];
    std::snprintf(fraction, sizeof(fraction), ".%09u", nanoseconds);
    text += fraction;
  }
  return text;
}

bool plain_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

LayerTarWriter::LayerTarWriter(TarOutput output) : output_(std::move(output)) {
  buffer_.reserve(kBufferSize);
}

Result<> LayerTarWriter::append(ByteView bytes) {
  if (buffer_.size() + bytes.size() > kBufferSize) {
    MSB_CHECK(output_(buffer_));
    buffer_.clear();
  }
  if (bytes.size() > kBufferSize) return output_(bytes);
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  return {};
}

Result<> LayerTarWriter::entry(const TarEntry& entry) {
  std::string records;
  if (entry.path.size() > tar::kName.length || !plain_ascii(entry.path)) add_record(records, "path", entry.path);
  if (entry.link_target.size() > tar::kLink.length || !plain_ascii(entry.link_target)) {
    add_record(records, "linkpath", entry.link_target);
  }
  if (entry.uid > field_max(tar::kUid)) add_record(records, "uid", std::to_string(entry.uid));
  if (entry.gid > field_max(tar::kGid)) add_record(records, "gid", std::to_string(entry.gid));
  if (entry.mtime_nsec > 0 || entry.mtime < 0 || static_cast<uint64_t>(entry.mtime) > field_max(tar::kMtime)) {
    add_record(records, "mtime", time_text(entry.mtime, entry.mtime_nsec));
  }
  for (const disk::Xattr& xattr : entry.xattrs) add_record(records, cat("SCHILY.xattr.", xattr.name), xattr.value);

  std::string map;
  uint64_t size = entry.type == TarType::file ? entry.size : 0;
  if (entry.sparse) {
    map = cat(entry.segments.size(), '\n');
    size = 0;
    for (const TarSegment& segment : entry.segments) {
      map += cat(segment.offset, '\n', segment.length, '\n');
      size += segment.length;
    }
    map.resize((map.size() + kBlock - 1) / kBlock * kBlock);
    size += map.size();
    add_record(records, "GNU.sparse.major", "1");
    add_record(records, "GNU.sparse.minor", "0");
    add_record(records, "GNU.sparse.name", entry.path);
    add_record(records, "GNU.sparse.realsize", std::to_string(entry.size));
  }
  if (size > field_max(tar::kSize)) add_record(records, "size", std::to_string(size));
  if (!records.empty()) MSB_CHECK(pax(records));
  data_size_ = 0;
  MSB_CHECK(header(entry, type_flag(entry.type), entry.path, size));
  return data(as_bytes(map));
}

Result<> LayerTarWriter::pax(const std::string& records) {
  TarEntry extension;
  extension.mode = 0644;
  data_size_ = 0;
  MSB_CHECK(header(extension, 'x', "PaxHeaders/0", records.size()));
  MSB_CHECK(data(as_bytes(records)));
  return end_data();
}

Result<> LayerTarWriter::header(const TarEntry& entry, char type, std::string_view name, uint64_t size) {
  uint8_t block[kBlock] = {};
  put_text(block, tar::kName, name);
  put_octal(block, tar::kMode, entry.mode);
  put_octal(block, tar::kUid, entry.uid);
  put_octal(block, tar::kGid, entry.gid);
  put_octal(block, tar::kSize, size);
  put_octal(block, tar::kMtime, entry.mtime < 0 ? 0 : static_cast<uint64_t>(entry.mtime));
  block[tar::kType] = static_cast<uint8_t>(type);
  put_text(block, tar::kLink, entry.link_target);
  put_text(block, tar::kMagic, std::string_view("ustar\00000", 8));
  put_octal(block, tar::kMajor, entry.device_major);
  put_octal(block, tar::kMinor, entry.device_minor);
  std::memset(block + tar::kChecksum.offset, ' ', tar::kChecksum.length);
  uint32_t sum = 0;
  for (uint8_t byte : block) sum += byte;
  char text[8];
  std::snprintf(text, sizeof(text), "%06o", sum);
  std::memcpy(block + tar::kChecksum.offset, text, 7);
  return append(block);
}

Result<> LayerTarWriter::data(ByteView bytes) {
  data_size_ += bytes.size();
  return append(bytes);
}

Result<> LayerTarWriter::end_data() {
  static constexpr uint8_t kZeros[kBlock] = {};
  const size_t padding = (kBlock - data_size_ % kBlock) % kBlock;
  data_size_ = 0;
  return append(ByteView(kZeros).first(padding));
}

Result<> LayerTarWriter::finish() {
  static constexpr uint8_t kEnd[2 * kBlock] = {};
  MSB_CHECK(append(kEnd));
  MSB_CHECK(output_(buffer_));
  buffer_.clear();
  return {};
}

}  // namespace msb::image
