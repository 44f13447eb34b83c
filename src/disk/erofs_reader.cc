#include "disk/erofs_reader.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <deque>

#include "disk/erofs_checksum.h"
#include "disk/erofs_xattr.h"

namespace msb::disk {

using erofs::kBlockSize;
using erofs::Layout;
using erofs::round_up;

namespace {
constexpr uint64_t kWindow = 64 * 1024;
// Seconds from 1970, either way. A tar's decimal time goes as far (image/layer_tar_fields.cc), and nothing true does.
constexpr int64_t kFarthestTime = int64_t{1} << 60;
}  // namespace

struct ErofsReader::Loading {
  ErofsTree tree;
  std::unordered_map<uint64_t, InodeId> by_nid;
  std::deque<std::pair<uint64_t, InodeId>> directories;  // still to be read
  uint64_t entries = 0;
  uint64_t bytes = 0;
};

tl::unexpected<Error> ErofsReader::corrupt(std::string_view what) const {
  return fail(ErrorKind::corrupt, cat("EROFS image ", name_, " is damaged: ", what));
}

Result<ErofsReader> ErofsReader::open(const std::string& path) {
  MSB_TRY(Fd fd, open_file(path));
  return adopt(std::move(fd), path);
}

Result<ErofsReader> ErofsReader::adopt(Fd fd, std::string name) {
  ErofsReader reader(std::move(fd), std::move(name));
  MSB_CHECK(reader.read_super());
  return reader;
}

Result<> ErofsReader::read_super() {
  struct stat status{};
  if (::fstat(fd_.get(), &status) != 0) return fail_errno(cat("fstat ", name_));
  file_size_ = static_cast<uint64_t>(status.st_size);
  if (file_size_ < kBlockSize) return corrupt("it has no superblock");
  Bytes block(kBlockSize);
  MSB_CHECK(pread_full(fd_.get(), block, 0));
  std::memcpy(&super_, block.data() + erofs::kSuperOffset, sizeof(super_));
  if (super_.magic != erofs::kMagic) return corrupt("it has no superblock");
  if (super_.feature_compat & erofs::kCompatChecksum) {
    store_le<uint32_t>(block.data() + erofs::kSuperOffset + offsetof(erofs::SuperBlock, checksum), 0);
    if (erofs_crc32c(ByteView(block).subspan(erofs::kSuperOffset)) != super_.checksum) {
      return corrupt("the superblock's checksum is wrong");
    }
  }
  constexpr uint32_t kKnown = erofs::kIncompatChunkedFile | erofs::kIncompatDeviceTable;
  if (super_.block_bits != erofs::kBlockBits || super_.directory_block_bits != 0 || super_.feature_incompat & ~kKnown) {
    return fail(ErrorKind::unsupported, cat("EROFS image ", name_, " uses features that this program does not read"));
  }
  if (uint64_t{super_.blocks} * kBlockSize > file_size_) return corrupt("it is cut off");
  const uint64_t table = uint64_t{super_.device_slot} * sizeof(erofs::DeviceSlot);
  for (uint32_t i = 0; (super_.feature_incompat & erofs::kIncompatDeviceTable) && i < super_.extra_devices; ++i) {
    erofs::DeviceSlot slot{};
    MSB_CHECK(read_meta(table + i * sizeof(slot), {reinterpret_cast<uint8_t*>(&slot), sizeof(slot)}));
    const char* tag = reinterpret_cast<const char*>(slot.tag);
    devices_.push_back({std::string(tag, strnlen(tag, sizeof(slot.tag))), slot.blocks});
  }
  return {};
}

Result<> ErofsReader::read_meta(uint64_t offset, MutableByteView out) {
  const uint64_t end = uint64_t{super_.blocks} * kBlockSize;
  if (offset > end || out.size() > end - offset) return corrupt("something points behind its end");
  while (!out.empty()) {
    if (offset < window_offset_ || offset >= window_offset_ + window_.size()) {
      window_offset_ = offset / kBlockSize * kBlockSize;
      window_.resize(std::min(kWindow, end - window_offset_));
      MSB_CHECK(pread_full(fd_.get(), window_, window_offset_));
    }
    const uint64_t skip = offset - window_offset_;
    const size_t count = std::min<uint64_t>(out.size(), window_.size() - skip);
    std::memcpy(out.data(), window_.data() + skip, count);
    offset += count;
    out = out.subspan(count);
  }
  return {};
}

Result<> ErofsReader::charge(Loading& loading, uint64_t bytes) const {
  loading.bytes += bytes;
  if (bytes > kMaxMetadataBytes || loading.bytes > kMaxMetadataBytes) return corrupt("too much metadata");
  return {};
}

Result<ErofsReader::DiskInode> ErofsReader::read_inode(uint64_t nid) {
  if (nid > UINT64_MAX / erofs::kSlotSize / 2) return corrupt("a node id is out of range");
  const uint64_t at = uint64_t{super_.meta_block} * kBlockSize + nid * erofs::kSlotSize;
  DiskInode disk;
  erofs::InodeCompact compact{};
  MSB_CHECK(read_meta(at, {reinterpret_cast<uint8_t*>(&compact), sizeof(compact)}));
  erofs::InodeExtended& fields = disk.fields;
  if (compact.format & 1) {
    MSB_CHECK(read_meta(at, {reinterpret_cast<uint8_t*>(&fields), sizeof(fields)}));
    disk.body = at + sizeof(erofs::InodeExtended);
  } else {
    fields.format = compact.format;
    fields.xattr_count = compact.xattr_count;
    fields.mode = compact.mode;
    fields.size = compact.size;
    fields.u = compact.u;
    fields.uid = compact.uid;
    fields.gid = compact.gid;
    fields.mtime = super_.build_time;
    fields.mtime_nsec = super_.build_time_nsec;
    disk.body = at + sizeof(erofs::InodeCompact);
  }
  disk.layout = static_cast<Layout>(fields.format >> 1);
  if (disk.layout != Layout::plain && disk.layout != Layout::tail_inline && disk.layout != Layout::chunks) {
    return corrupt("an inode has an unknown layout");
  }
  if (fields.size > INT64_MAX) return corrupt("an inode has a negative size");
  const auto seconds = static_cast<int64_t>(fields.mtime);
  if (fields.mtime_nsec >= 1'000'000'000 || seconds > kFarthestTime || seconds < -kFarthestTime)
    return corrupt("an inode has a bad time");
  disk.tail = disk.body;
  if (fields.xattr_count > 0) disk.tail += sizeof(erofs::XattrHeader) + 4 * (uint64_t{fields.xattr_count} - 1);
  return disk;
}

// Content of directories and symlinks.
Result<> ErofsReader::read_content(const DiskInode& disk, uint64_t offset, MutableByteView out) {
  const uint64_t in_blocks =
      disk.layout == Layout::tail_inline ? disk.fields.size / kBlockSize * kBlockSize : disk.fields.size;
  if (offset < in_blocks) {
    const size_t count = std::min<uint64_t>(out.size(), in_blocks - offset);
    MSB_CHECK(read_meta(uint64_t{disk.fields.u} * kBlockSize + offset, out.first(count)));
    offset += count;
    out = out.subspan(count);
  }
  if (out.empty()) return {};
  return read_meta(disk.tail + (offset - in_blocks), out);
}

Result<ErofsTree> ErofsReader::load_tree() {
  Loading loading;
  MSB_TRY(DiskInode root, read_inode(super_.root_nid));
  if (!S_ISDIR(root.fields.mode)) return corrupt("the root is not a directory");
  MSB_CHECK(load_inode(loading, super_.root_nid));
  while (!loading.directories.empty()) {
    auto [nid, id] = loading.directories.front();
    loading.directories.pop_front();
    MSB_CHECK(load_directory(loading, nid, id));
  }
  return std::move(loading.tree);
}

Result<InodeId> ErofsReader::load_inode(Loading& loading, uint64_t nid) {
  if (auto known = loading.by_nid.find(nid); known != loading.by_nid.end()) {
    if (loading.tree.inode(known->second).is_directory()) return corrupt("a directory has two parents");
    return known->second;
  }
  MSB_TRY(DiskInode disk, read_inode(nid));
  // The tree comes with its root.
  const InodeId id = loading.by_nid.empty() ? ErofsTree::kRoot : loading.tree.create(disk.fields.mode);
  loading.by_nid.emplace(nid, id);
  Inode& inode = loading.tree.inode(id);
  inode.mode = disk.fields.mode;
  inode.uid = disk.fields.uid;
  inode.gid = disk.fields.gid;
  inode.mtime = static_cast<int64_t>(disk.fields.mtime);
  inode.mtime_nsec = disk.fields.mtime_nsec;
  if (disk.tail > disk.body) {
    MSB_CHECK(charge(loading, disk.tail - disk.body));
    Bytes bytes(disk.tail - disk.body);
    MSB_CHECK(read_meta(disk.body, bytes));
    MSB_TRY(auto xattrs, erofs_parse_xattrs(bytes));
    if (!xattrs.empty()) inode.xattrs = std::make_unique<std::vector<Xattr>>(std::move(xattrs));
  }
  switch (inode.mode & S_IFMT) {
    case S_IFREG:
      MSB_CHECK(load_file(loading, disk, inode));
      break;
    case S_IFDIR:
      loading.directories.emplace_back(nid, id);
      break;
    case S_IFCHR:
    case S_IFBLK:
      inode.rdev = disk.fields.u;
      break;
    case S_IFIFO:
    case S_IFSOCK:
      break;
    case S_IFLNK: {
      if (disk.fields.size == 0 || disk.fields.size > erofs::kSymlinkMax) return corrupt("a symlink has a bad length");
      if (disk.layout == Layout::chunks) return corrupt("a symlink has chunks");
      MSB_CHECK(charge(loading, disk.fields.size));
      Bytes target(disk.fields.size);
      MSB_CHECK(read_content(disk, 0, target));
      if (std::ranges::find(target, 0) != target.end()) return corrupt("a symlink has a NUL in it");
      inode.target = loading.tree.intern(as_text(target));
      break;
    }
    default:
      return corrupt("an inode has an unknown type");
  }
  return id;
}

Result<> ErofsReader::load_file(Loading& loading, const DiskInode& disk, Inode& inode) {
  inode.size = disk.fields.size;
  if (disk.layout == Layout::tail_inline) return corrupt("a file has inline data");
  if (inode.size == 0) return {};
  if (disk.layout == Layout::chunks) return load_chunks(loading, disk, inode);
  inode.block = disk.fields.u;
  const uint64_t count = round_up(inode.size, kBlockSize) / kBlockSize;
  if (uint64_t{inode.block} + count > super_.blocks) return corrupt("a file lies behind its end");
  return {};
}

Result<> ErofsReader::load_chunks(Loading& loading, const DiskInode& disk, Inode& inode) {
  const uint16_t format = static_cast<uint16_t>(disk.fields.u);
  if ((format & erofs::kChunkIndexes) == 0 || format & ~(erofs::kChunkIndexes | erofs::kChunkBitsMask)) {
    return corrupt("a file has an unknown chunk format");
  }
  SparseMap map;
  map.chunk_bits = format & erofs::kChunkBitsMask;
  const uint64_t total = round_up(inode.size, kBlockSize) / kBlockSize;
  const uint64_t per_chunk = uint64_t{1} << map.chunk_bits;
  const uint64_t chunks = (total + per_chunk - 1) / per_chunk;
  if (chunks > kMaxMetadataBytes / sizeof(erofs::ChunkIndex)) return corrupt("a file has too many chunks");
  MSB_CHECK(charge(loading, chunks * sizeof(erofs::ChunkIndex)));
  Bytes bytes(chunks * sizeof(erofs::ChunkIndex));
  MSB_CHECK(read_meta(round_up(disk.tail, sizeof(erofs::ChunkIndex)), bytes));
  map.blocks.reserve(chunks);
  bool first = true;
  for (uint64_t i = 0; i < chunks; ++i) {
    erofs::ChunkIndex index{};
    std::memcpy(&index, bytes.data() + i * sizeof(index), sizeof(index));
    map.blocks.push_back(index.block);
    if (index.block == erofs::kHole) continue;
    if (!first && inode.device != index.device) return corrupt("a file lies in several devices");
    first = false;
    inode.device = index.device;
    if (index.device > devices_.size()) return corrupt("a file lies in an unknown device");
    const uint32_t limit = index.device == 0 ? super_.blocks : devices_[index.device - 1].blocks;
    if (index.block + std::min(per_chunk, total - i * per_chunk) > limit) return corrupt("a file lies behind the end");
  }
  if (chunks == 1 && map.blocks[0] != erofs::kHole) {
    inode.block = map.blocks[0];
  } else {
    inode.sparse = std::make_unique<SparseMap>(std::move(map));
  }
  return {};
}

Result<> ErofsReader::load_directory(Loading& loading, uint64_t nid, InodeId id) {
  MSB_TRY(DiskInode disk, read_inode(nid));
  if (disk.layout == Layout::chunks) return corrupt("a directory has chunks");
  Bytes block(kBlockSize);
  for (uint64_t offset = 0; offset < disk.fields.size; offset += kBlockSize) {
    MutableByteView part = MutableByteView(block).first(std::min<uint64_t>(kBlockSize, disk.fields.size - offset));
    MSB_CHECK(charge(loading, part.size()));
    MSB_CHECK(read_content(disk, offset, part));
    MSB_CHECK(load_directory_block(loading, part, id));
  }
  return {};
}

Result<> ErofsReader::load_directory_block(Loading& loading, ByteView block, InodeId id) {
  auto dirent_at = [&](size_t index) {
    erofs::Dirent dirent{};
    std::memcpy(&dirent, block.data() + index * sizeof(dirent), sizeof(dirent));
    return dirent;
  };
  if (block.size() < sizeof(erofs::Dirent)) return corrupt("a directory is cut off");
  const size_t names = dirent_at(0).name_offset;
  if (names == 0 || names % sizeof(erofs::Dirent) != 0 || names >= block.size())
    return corrupt("a bad directory block");
  const size_t count = names / sizeof(erofs::Dirent);
  for (size_t i = 0; i < count; ++i) {
    const erofs::Dirent dirent = dirent_at(i);
    const size_t start = dirent.name_offset, end = i + 1 < count ? dirent_at(i + 1).name_offset : block.size();
    if (start < names || start >= end || end > block.size()) return corrupt("a bad directory entry");
    std::string_view name = as_text(block.subspan(start, end - start));
    name = name.substr(0, name.find('\0'));  // only a block's last name is padded
    if (name == "." || name == "..") continue;
    if (name.empty() || name.size() > erofs::kNameMax || name.find('/') != name.npos) return corrupt("a bad file name");
    if (++loading.entries > kMaxEntries) return corrupt("too many files");
    MSB_TRY(InodeId child, load_inode(loading, dirent.nid));
    if (loading.tree.find(id, name) != kNoInode) return corrupt("a directory has two entries of one name");
    loading.tree.set(id, name, child);
  }
  return {};
}

Result<size_t> ErofsReader::read(const Inode& inode, uint64_t offset, MutableByteView buffer) {
  if (!inode.is_regular() || inode.device != 0) return fail(ErrorKind::unsupported, "the file's data is not here");
  auto count = erofs_read_data(fd_.get(), inode, offset, buffer);
  if (!count) return fail(std::move(count).error().context(cat("while reading ", name_)));
  return count;
}

Result<size_t> erofs_read_data(int fd, const Inode& inode, uint64_t offset, MutableByteView buffer) {
  if (offset >= inode.size) return size_t{0};
  buffer = buffer.first(std::min<uint64_t>(buffer.size(), inode.size - offset));
  if (!inode.sparse) {
    MSB_CHECK(pread_full(fd, buffer, uint64_t{inode.block} * kBlockSize + offset));
    return buffer.size();
  }
  const uint64_t chunk_size = uint64_t{kBlockSize} << inode.sparse->chunk_bits;
  for (size_t done = 0; done < buffer.size();) {
    const uint64_t at = offset + done, within = at % chunk_size;
    MutableByteView part = buffer.subspan(done, std::min<uint64_t>(buffer.size() - done, chunk_size - within));
    const uint32_t block = inode.sparse->blocks[at / chunk_size];
    if (block == erofs::kHole) {
      std::ranges::fill(part, 0);
    } else {
      MSB_CHECK(pread_full(fd, part, uint64_t{block} * kBlockSize + within));
    }
    done += part.size();
  }
  return buffer.size();
}

}  // namespace msb::disk
