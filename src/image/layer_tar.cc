#include "image/layer_tar.h"

#include <algorithm>
#include <cstring>

#include "base/base64.h"
#include "image/layer_limits.h"
#include "image/layer_tar_fields.h"

namespace msb::image {
namespace {

constexpr uint64_t kBlock = 512;

uint64_t padding_of(uint64_t size) {
  return (kBlock - size % kBlock) % kBlock;
}

bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

tl::unexpected<Error> TarParser::corrupt(std::string_view what) const {
  if (entry_.path.empty()) return fail(ErrorKind::corrupt, cat("the layer is not a valid tar archive: ", what));
  return fail(ErrorKind::corrupt, cat("the layer is not a valid tar archive: ", what, " (at \"", entry_.path, "\")"));
}

Result<> TarParser::feed(ByteView bytes) {
  while (!bytes.empty()) {
    MSB_TRY(size_t used, consume(bytes));
    bytes = bytes.subspan(used);
  }
  return {};
}

Result<> TarParser::finish() {
  const bool between_entries = state_ == State::header && filled_ == 0 && extension_type_ == 0;
  if (state_ == State::end || between_entries) return {};
  return corrupt("it is cut off");
}

Result<size_t> TarParser::consume(ByteView bytes) {
  switch (state_) {
    case State::header:
    case State::sparse_extension: {
      const size_t count = std::min(bytes.size(), header_.size() - filled_);
      std::memcpy(header_.data() + filled_, bytes.data(), count);
      filled_ += count;
      if (filled_ < header_.size()) return count;
      filled_ = 0;
      if (state_ == State::header) {
        MSB_CHECK(on_header());
      } else {
        MSB_CHECK(gnu_sparse_segments(header_.data(), tar::kGnuExtendedCount));
        if (header_[tar::kGnuMoreExtended] == 0) MSB_CHECK(start_data());
      }
      return count;
    }
    case State::extension: {
      const size_t count = std::min<uint64_t>(bytes.size(), left_);
      extension_.append(as_text(bytes.first(count)));
      left_ -= count;
      if (left_ == 0) {
        MSB_CHECK(on_extension());
        state_ = padding_ > 0 ? State::padding : State::header;
      }
      return count;
    }
    case State::sparse_map: {
      // The map is padded to whole blocks of the stored data.
      const size_t count = std::min<uint64_t>({bytes.size(), left_, kBlock - sparse_map_.size() % kBlock});
      sparse_map_.append(as_text(bytes.first(count)));
      left_ -= count;
      if (sparse_map_.size() % kBlock == 0 || left_ == 0) MSB_CHECK(parse_sparse_map());
      return count;
    }
    case State::data: {
      const size_t count = std::min<uint64_t>(bytes.size(), left_);
      MSB_CHECK(sink_.data(bytes.first(count)));
      left_ -= count;
      if (left_ == 0) MSB_CHECK(end_data());
      return count;
    }
    case State::padding: {
      const size_t count = std::min<uint64_t>(bytes.size(), padding_);
      padding_ -= count;
      if (padding_ == 0) state_ = State::header;
      return count;
    }
    case State::end:
      return bytes.size();  // tar fills up its last record; what is there means nothing
  }
  return bytes.size();
}

Result<> TarParser::on_header() {
  if (all_zero(header_)) {
    // An entry that was announced must come.
    if (extension_type_ != 0) return corrupt("an extended header without an entry");
    if (zero_block_) state_ = State::end;
    zero_block_ = true;
    return {};
  }
  if (zero_block_) return corrupt("a header behind the end mark");
  if (!tar::checksum_ok(header_.data())) return corrupt("a header's checksum is wrong");
  auto size = tar::number(header_.data(), tar::kSize);
  if (!size || *size < 0) return corrupt("a bad size");

  const char type = static_cast<char>(header_[tar::kType]);
  if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
    if (static_cast<uint64_t>(*size) > kMaxTarExtension) return corrupt("an extended header is larger than 1 MiB");
    extension_type_ = type;
    extension_.clear();
    left_ = static_cast<uint64_t>(*size);
    padding_ = padding_of(left_);
    state_ = State::extension;
    if (left_ > 0) return {};
    state_ = State::header;
    return on_extension();
  }
  entry_ = TarEntry{};
  stored_ = static_cast<uint64_t>(*size);
  MSB_CHECK(begin_entry(type));
  return {};
}

Result<> TarParser::on_extension() {
  std::string_view text = extension_;
  switch (extension_type_) {
    case 'x':
      MSB_CHECK(parse_pax(text));
      break;
    // A name of the archive as a whole says nothing about files: checked by nobody, used by nobody.
    case 'g':
      extension_type_ = 0;
      break;
    case 'L':
      pending_.gnu_path = text.substr(0, text.find('\0'));
      break;
    case 'K':
      pending_.gnu_link = text.substr(0, text.find('\0'));
      break;
    default:
      break;
  }
  return {};
}

// Records "<length> <key>=<value>\n", where length counts the whole record.
Result<> TarParser::parse_pax(std::string_view records) {
  while (!records.empty()) {
    const size_t space = records.find(' ');
    if (space == records.npos || space > 20) return corrupt("a bad pax record");
    auto length = tar::decimal(records.substr(0, space));
    if (!length || *length > records.size() || *length < space + 3) return corrupt("a bad pax record");
    std::string_view record = records.substr(space + 1, *length - space - 1);
    const size_t equals = record.find('=');
    if (!record.ends_with('\n') || equals == record.npos || equals == 0) return corrupt("a bad pax record");
    record.remove_suffix(1);
    MSB_CHECK(pax_record(record.substr(0, equals), record.substr(equals + 1)));
    records.remove_prefix(*length);
  }
  return {};
}

Result<> TarParser::add_xattr(std::string name, std::string_view value) {
  pending_.xattr_bytes += name.size() + value.size();
  if (pending_.xattr_bytes > kMaxEntryXattrs) return corrupt("extended attributes of more than 64 KiB");
  std::erase_if(pending_.xattrs, [&](const disk::Xattr& xattr) { return xattr.name == name; });
  pending_.xattrs.push_back({std::move(name), std::string(value)});
  return {};
}

Result<> TarParser::pax_record(std::string_view key, std::string_view value) {
  constexpr std::string_view kSchily = "SCHILY.xattr.", kLibarchive = "LIBARCHIVE.xattr.";
  if (key.starts_with(kSchily)) return add_xattr(std::string(key.substr(kSchily.size())), value);
  if (key.starts_with(kLibarchive)) {
    std::string name = tar::decode_percent(key.substr(kLibarchive.size()));
    // The same attribute is often there twice; the plain form is exact.
    if (std::ranges::any_of(pending_.xattrs, [&](const auto& xattr) { return xattr.name == name; })) return {};
    auto decoded = base64_decode(value);
    if (!decoded) return corrupt("a bad extended attribute");
    return add_xattr(std::move(name), *decoded);
  }

  auto set_text = [&](std::optional<std::string>& field) {
    field.reset();  // an empty value withdraws the record
    if (!value.empty()) field = value;
    return Result<>();
  };
  auto set_number = [&](std::optional<uint64_t>& field) -> Result<> {
    field.reset();
    if (value.empty()) return {};
    field = tar::decimal(value);
    if (!field || *field > INT64_MAX) return corrupt(cat("a bad number in ", key));
    return {};
  };
  if (key == "path") return set_text(pending_.path);
  if (key == "linkpath") return set_text(pending_.link_target);
  if (key == "size") return set_number(pending_.size);
  if (key == "uid") return set_number(pending_.uid);
  if (key == "gid") return set_number(pending_.gid);
  if (key == "mtime") {
    pending_.mtime.reset();
    if (value.empty()) return {};
    auto time = tar::decimal_time(value);
    if (!time) return corrupt("a bad mtime");
    pending_.mtime = time->seconds;
    pending_.mtime_nsec = time->nanoseconds;
    return {};
  }
  if (!key.starts_with("GNU.sparse.")) return {};
  key.remove_prefix(11);
  if (key == "name") return set_text(pending_.sparse_name);
  if (key == "size" || key == "realsize") return set_number(pending_.sparse_size);
  if (key == "major") return set_number(pending_.sparse_major);
  if (key == "minor") return set_number(pending_.sparse_minor);
  if (key == "offset") return set_number(pending_.sparse_offset);
  auto add_segment = [&](std::optional<uint64_t> offset, std::optional<uint64_t> length) -> Result<> {
    if (!pending_.segments) pending_.segments.emplace();
    if (!offset || !length || *offset > INT64_MAX || *length > INT64_MAX) return corrupt("a bad sparse map");
    if (pending_.segments->size() >= kMaxSparseSegments) return corrupt("a sparse file has too many parts");
    pending_.segments->push_back({*offset, *length});
    return {};
  };
  if (key == "numbytes") {  // format 0.0: offset and numbytes in turns
    auto offset = std::exchange(pending_.sparse_offset, std::nullopt);
    return add_segment(offset, tar::decimal(value));
  }
  if (key == "map") {  // format 0.1
    pending_.segments.emplace();
    while (!value.empty()) {
      std::optional<uint64_t> numbers[2];
      for (auto& number : numbers) {
        number = tar::decimal(value.substr(0, value.find(',')));
        const size_t comma = value.find(',');
        value = comma == value.npos ? std::string_view{} : value.substr(comma + 1);
      }
      MSB_CHECK(add_segment(numbers[0], numbers[1]));
    }
  }
  return {};
}

Result<> TarParser::begin_entry(char type) {
  const uint8_t* header = header_.data();
  std::string_view name = tar::text(header, tar::kName);
  entry_.path = name;
  // Only POSIX archives have a prefix; GNU keeps other things there, and star less of it.
  if (std::memcmp(header + tar::kMagic.offset, "ustar\0", 6) == 0) {
    const bool star = std::memcmp(header + 508, "tar\0", 4) == 0;
    std::string_view prefix = tar::text(header, {tar::kPrefix.offset, star ? 131 : tar::kPrefix.length});
    if (!prefix.empty()) entry_.path = cat(prefix, '/', name);
  }
  entry_.link_target = tar::text(header, tar::kLink);
  if (pending_.gnu_path) entry_.path = std::move(*pending_.gnu_path);
  if (pending_.gnu_link) entry_.link_target = std::move(*pending_.gnu_link);
  if (pending_.path) entry_.path = std::move(*pending_.path);
  if (pending_.sparse_name) entry_.path = std::move(*pending_.sparse_name);
  if (pending_.link_target) entry_.link_target = std::move(*pending_.link_target);
  entry_.xattrs = std::move(pending_.xattrs);
  if (pending_.size) stored_ = *pending_.size;

  MSB_CHECK(set_type(type));
  MSB_CHECK(set_numbers());
  if (entry_.type != TarType::file) stored_ = 0;  // a size there means nothing, as for Go's archive/tar
  entry_.size = stored_;

  Pending pending = std::exchange(pending_, {});
  extension_type_ = 0;
  left_ = stored_;
  padding_ = padding_of(stored_);
  if (entry_.type != TarType::file) return start_data();
  if (type == 'S') {
    auto real_size = tar::number(header, {tar::kGnuRealSize, 12});
    if (!real_size || *real_size < 0) return corrupt("a bad sparse size");
    entry_.sparse = true;
    entry_.size = static_cast<uint64_t>(*real_size);
    const bool extended = header[tar::kGnuIsExtended] != 0;
    MSB_CHECK(gnu_sparse_segments(header + tar::kGnuSegments, 4));
    if (!extended) return start_data();
    state_ = State::sparse_extension;
    return {};
  }
  if (pending.sparse_major == 1 && pending.sparse_minor == 0) {
    entry_.sparse = true;
    entry_.size = pending.sparse_size.value_or(0);
    sparse_map_.clear();
    state_ = State::sparse_map;
    if (left_ == 0) return corrupt("a sparse file without its map");
    return {};
  }
  if (pending.segments) {
    entry_.sparse = true;
    entry_.size = pending.sparse_size.value_or(0);
    entry_.segments = std::move(*pending.segments);
  }
  return start_data();
}

Result<> TarParser::set_type(char type) {
  switch (type) {
    case '\0':
    case '0':
    case '7':
      // Before there was a type for them, directories ended with a slash.
      entry_.type = entry_.path.ends_with('/') ? TarType::directory : TarType::file;
      return {};
    case 'S':
      entry_.type = TarType::file;
      return {};
    case '1':
      entry_.type = TarType::hard_link;
      return {};
    case '2':
      entry_.type = TarType::symlink;
      return {};
    case '3':
      entry_.type = TarType::char_device;
      return {};
    case '4':
      entry_.type = TarType::block_device;
      return {};
    case '5':
      entry_.type = TarType::directory;
      return {};
    case '6':
      entry_.type = TarType::fifo;
      return {};
    default:
      return corrupt(cat("an entry of unknown type ", static_cast<int>(static_cast<uint8_t>(type))));
  }
}

Result<> TarParser::set_numbers() {
  const uint8_t* header = header_.data();
  auto mode = tar::number(header, tar::kMode);
  if (!mode) return corrupt("a bad mode");
  entry_.mode = static_cast<uint32_t>(*mode & 07777);
  auto id = [&](tar::Field field, std::optional<uint64_t> pax) -> std::optional<uint32_t> {
    if (pax) return *pax <= UINT32_MAX ? std::optional(static_cast<uint32_t>(*pax)) : std::nullopt;
    auto value = tar::number(header, field);
    if (!value || *value < 0 || *value > UINT32_MAX) return std::nullopt;
    return static_cast<uint32_t>(*value);
  };
  auto uid = id(tar::kUid, pending_.uid), gid = id(tar::kGid, pending_.gid);
  if (!uid || !gid) return corrupt("a bad user or group id");
  entry_.uid = *uid;
  entry_.gid = *gid;
  auto mtime = pending_.mtime ? pending_.mtime : tar::number(header, tar::kMtime);
  if (!mtime) return corrupt("a bad mtime");
  entry_.mtime = *mtime;
  entry_.mtime_nsec = pending_.mtime ? pending_.mtime_nsec : 0;
  if (entry_.type == TarType::char_device || entry_.type == TarType::block_device) {
    auto major = tar::number(header, tar::kMajor), minor = tar::number(header, tar::kMinor);
    // What the kernel can hold in 32 bits.
    if (!major || !minor || *major < 0 || *major > 0xfff || *minor < 0 || *minor > 0xfffff) {
      return corrupt("a bad device number");
    }
    entry_.device_major = static_cast<uint32_t>(*major);
    entry_.device_minor = static_cast<uint32_t>(*minor);
  }
  return {};
}

Result<> TarParser::gnu_sparse_segments(const uint8_t* at, size_t count) {
  for (size_t i = 0; i < count; ++i, at += 24) {
    if (at[0] == 0) break;  // unused
    auto offset = tar::number(at, {0, 12}), length = tar::number(at, {12, 12});
    if (!offset || !length || *offset < 0 || *length < 0) return corrupt("a bad sparse map");
    if (entry_.segments.size() >= kMaxSparseSegments) return corrupt("a sparse file has too many parts");
    entry_.segments.push_back({static_cast<uint64_t>(*offset), static_cast<uint64_t>(*length)});
  }
  return {};
}

// GNU sparse 1.0: decimal lines, first their number of pairs, then offset and length of each.
// Called after each block; returns with the state unchanged when the map goes on.
Result<> TarParser::parse_sparse_map() {
  // 20 digits at most a line, two lines a segment.
  if (sparse_map_.size() > kMaxSparseSegments * 42 + kBlock) return corrupt("a sparse file has too many parts");
  std::string_view text = sparse_map_;
  auto line = [&]() -> std::optional<std::string_view> {
    const size_t end = text.find('\n');
    if (end == text.npos) return std::nullopt;
    std::string_view found = text.substr(0, end);
    text.remove_prefix(end + 1);
    return found;
  };
  auto more = [&]() -> Result<> {
    if (left_ == 0) return corrupt("a sparse map is cut off");
    return {};
  };
  auto first = line();
  if (!first) return sparse_map_.size() > 32 ? Result<>(corrupt("a bad sparse map")) : more();
  auto count = tar::decimal(*first);
  if (!count || *count > kMaxSparseSegments) return corrupt("a bad sparse map");
  // Looks at the numbers only when all of them are there, so the work stays linear.
  if (static_cast<uint64_t>(std::ranges::count(text, '\n')) < *count * 2) return more();
  for (uint64_t i = 0; i < *count; ++i) {
    auto offset = tar::decimal(*line()), length = tar::decimal(*line());
    if (!offset || !length || *offset > INT64_MAX || *length > INT64_MAX) return corrupt("a bad sparse map");
    entry_.segments.push_back({*offset, *length});
  }
  sparse_map_.clear();
  return start_data();
}

Result<> TarParser::start_data() {
  if (entry_.sparse) {
    uint64_t end = 0, sum = 0;
    std::erase_if(entry_.segments, [](const TarSegment& segment) { return segment.length == 0; });
    for (const TarSegment& segment : entry_.segments) {
      if (segment.offset < end || segment.offset > entry_.size || segment.length > entry_.size - segment.offset) {
        return corrupt("a sparse file's parts overlap or lie outside of it");
      }
      end = segment.offset + segment.length;
      sum += segment.length;
    }
    if (sum != left_) return corrupt("a sparse file's data does not fit its map");
  }
  MSB_CHECK(sink_.begin_entry(entry_));
  state_ = State::data;
  if (left_ == 0) return end_data();
  return {};
}

Result<> TarParser::end_data() {
  MSB_CHECK(sink_.end_entry());
  state_ = padding_ > 0 ? State::padding : State::header;
  return {};
}

}  // namespace msb::image
