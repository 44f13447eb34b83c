#include "disk/qcow2_refcounts.h"

#include <algorithm>

namespace msb::disk {
namespace {

// The file grows by this at least, to make growing rare.
constexpr uint64_t kGrowth = uint64_t{1} << 20;
// Clusters beyond the end of the file are counted as used only where a power loss cut a growing file. More than this
// is damage.
constexpr uint64_t kMaxBeyondEnd = 65536;

tl::unexpected<Error> corrupt(std::string what) {
  return fail(
      Error(ErrorKind::corrupt, cat("damaged qcow2 image: ", what)).hint("repair it: qemu-img check -r all IMAGE"));
}

}  // namespace

Qcow2Refcounts::Qcow2Refcounts(BlockDevice& file, Qcow2Header& header, const std::vector<uint64_t>& l1)
    : file_(file),
      header_(header),
      l1_(l1),
      blocks_(file, header.cluster_size()),
      untouched_from_((file.size() + header.cluster_size() - 1) / header.cluster_size()) {}

Result<std::unique_ptr<Qcow2Refcounts>> Qcow2Refcounts::open(BlockDevice& file, Qcow2Header& header,
                                                             const std::vector<uint64_t>& l1) {
  std::unique_ptr<Qcow2Refcounts> self(new Qcow2Refcounts(file, header, l1));
  Bytes bytes(static_cast<size_t>(header.refcount_table_clusters * header.cluster_size()));
  MSB_CHECK(file.read(header.refcount_table_offset, bytes));
  self->table_.resize(bytes.size() / 8);
  for (size_t i = 0; i < self->table_.size(); ++i) {
    uint64_t offset = load_be<uint64_t>(&bytes[i * 8]);
    if (offset % header.cluster_size() != 0 || (offset != 0 && !in_range(offset, header.cluster_size(), file.size())))
      return corrupt(cat("block ", i, " of reference counts is not where it can be"));
    self->table_[i] = offset;
  }
  return self;
}

Result<Qcow2Table*> Qcow2Refcounts::block(uint64_t number) {
  if (number >= table_.size() || table_[number] == 0) return nullptr;
  return blocks_.load(table_[number]);
}

// Counts of less than a byte fill it from its low end.
uint64_t Qcow2Refcounts::count_in(const Qcow2Table& block, uint64_t index) const {
  const uint8_t* at = block.bytes.data();
  switch (header_.refcount_order) {
    case 3:
      return at[index];
    case 4:
      return load_be<uint16_t>(at + index * 2);
    case 5:
      return load_be<uint32_t>(at + index * 4);
    case 6:
      return load_be<uint64_t>(at + index * 8);
    default: {
      uint64_t bit = index << header_.refcount_order;
      return (at[bit / 8] >> (bit % 8)) & ((1u << (1u << header_.refcount_order)) - 1);
    }
  }
}

void Qcow2Refcounts::set_count_in(Qcow2Table& block, uint64_t index, uint64_t count) const {
  block.dirty = true;
  uint8_t* at = block.bytes.data();
  switch (header_.refcount_order) {
    case 3:
      at[index] = static_cast<uint8_t>(count);
      return;
    case 4:
      return store_be(at + index * 2, static_cast<uint16_t>(count));
    case 5:
      return store_be(at + index * 4, static_cast<uint32_t>(count));
    case 6:
      return store_be(at + index * 8, count);
    default: {
      uint64_t bit = index << header_.refcount_order;
      unsigned mask = ((1u << (1u << header_.refcount_order)) - 1) << (bit % 8);
      at[bit / 8] = static_cast<uint8_t>((at[bit / 8] & ~mask) | (static_cast<unsigned>(count) << (bit % 8)));
    }
  }
}

Result<> Qcow2Refcounts::check_data(uint64_t offset) const {
  auto within = [&](uint64_t start, uint64_t length) { return offset >= start && offset - start < length; };
  bool used = offset == 0 || within(header_.refcount_table_offset, table_.size() * 8) ||
              within(header_.l1_table_offset, uint64_t{header_.l1_entries} * 8);
  return used ? corrupt(cat("the cluster at ", offset, " holds a table, but data too")) : Result<>();
}

// Not needed for clusters that were not in the file when it was opened: nothing that was judged then can name them.
Result<> Qcow2Refcounts::check_unused(uint64_t offset) const {
  MSB_CHECK(check_data(offset));
  bool used = std::find(table_.begin(), table_.end(), offset) != table_.end() ||
              std::any_of(l1_.begin(), l1_.end(), [&](uint64_t entry) { return (entry & kQcow2OffsetMask) == offset; });
  return used ? corrupt(cat("the cluster at ", offset, " holds a table but is counted as free")) : Result<>();
}

Result<Qcow2Refcounts::Cluster> Qcow2Refcounts::take(uint64_t cluster) {
  uint64_t offset = cluster * header_.cluster_size();
  uint64_t end = offset + header_.cluster_size();
  bool zeros = cluster >= untouched_from_;
  if (!zeros) MSB_CHECK(check_unused(offset));
  if (end > file_.size()) MSB_CHECK(file_.grow(std::max(end, file_.size() + kGrowth)));
  untouched_from_ = std::max(untouched_from_, cluster + 1);
  return Cluster{offset, zeros};
}

Result<Qcow2Refcounts::Cluster> Qcow2Refcounts::allocate() {
  uint64_t beyond_end = 0;
  while (true) {
    MSB_TRY(Qcow2Table * counts, block(next_ / per_block()));
    if (counts == nullptr) {
      MSB_CHECK(next_ / per_block() < table_.size() ? add_block(next_) : move_table(next_));
      continue;
    }
    uint64_t end = (next_ / per_block() + 1) * per_block();
    for (; next_ < end; ++next_) {
      if (count_in(*counts, next_ % per_block()) != 0) {
        if (next_ >= untouched_from_ && ++beyond_end > kMaxBeyondEnd)
          return corrupt("clusters beyond the end of the file are counted as used");
        continue;
      }
      MSB_TRY(Cluster cluster, take(next_));
      set_count_in(*counts, next_ % per_block(), 1);
      ++next_;
      return cluster;
    }
  }
}

// A block of counts lies in the first cluster it counts that is free.
Result<> Qcow2Refcounts::add_block(uint64_t cluster) {
  MSB_TRY(Cluster place, take(cluster));
  set_count_in(blocks_.create(place.offset), cluster % per_block(), 1);
  table_[cluster / per_block()] = place.offset;
  new_entries_.push_back(cluster / per_block());
  return {};
}

// The table is full: `cluster` is the first that it has no entry for. A bigger table goes there, followed by the blocks
// that count both. The old one is used until the header names the new one.
Result<> Qcow2Refcounts::move_table(uint64_t cluster) {
  const uint64_t size = header_.cluster_size();
  uint64_t table_clusters = header_.refcount_table_clusters;
  uint64_t blocks = 0;
  uint64_t first_block = table_.size();
  do {
    table_clusters *= 2;
    blocks = 1;
    while (blocks * per_block() < table_clusters + blocks) ++blocks;
  } while (table_clusters * size / 8 < first_block + blocks);
  if (table_clusters * size > kQcow2MaxRefcountTable)
    return fail(ErrorKind::io, "the qcow2 image cannot grow any more: its reference count table has its greatest size");

  std::vector<uint64_t> bigger = table_;
  bigger.resize(table_clusters * size / 8);
  for (uint64_t i = 0; i < table_clusters + blocks; ++i) MSB_CHECK(take(cluster + i));
  for (uint64_t i = 0; i < blocks; ++i) {
    uint64_t offset = (cluster + table_clusters + i) * size;
    Qcow2Table& counts = blocks_.create(offset);
    for (uint64_t j = i * per_block(); j < std::min((i + 1) * per_block(), table_clusters + blocks); ++j)
      set_count_in(counts, j % per_block(), 1);
    bigger[first_block + i] = offset;
  }
  Bytes bytes(bigger.size() * 8);
  for (size_t i = 0; i < bigger.size(); ++i) store_be(&bytes[i * 8], bigger[i]);
  uint8_t field[12];
  store_be(field, cluster * size);
  store_be(field + 8, static_cast<uint32_t>(table_clusters));
  MSB_CHECK(blocks_.write());
  MSB_CHECK(file_.write(cluster * size, bytes));
  MSB_CHECK(file_.flush());
  MSB_CHECK(file_.write(kQcow2RefcountTableField, field));

  release(header_.refcount_table_offset, header_.refcount_table_clusters * size);
  header_.refcount_table_offset = cluster * size;
  header_.refcount_table_clusters = static_cast<uint32_t>(table_clusters);
  table_ = std::move(bigger);
  new_entries_.clear();
  return {};
}

void Qcow2Refcounts::give_back(uint64_t offset) {
  if (decrement(offset / header_.cluster_size())) next_ = std::min(next_, offset / header_.cluster_size());
}

void Qcow2Refcounts::release(uint64_t offset, uint64_t length) {
  uint64_t size = header_.cluster_size();
  for (uint64_t cluster = offset / size; cluster <= (offset + length - 1) / size; ++cluster)
    released_.push_back(cluster);
}

Result<> Qcow2Refcounts::write() {
  MSB_CHECK(blocks_.write());
  if (new_entries_.empty()) return {};
  MSB_CHECK(file_.flush());
  for (uint64_t entry : new_entries_) {
    uint8_t bytes[8];
    store_be(bytes, table_[entry]);
    MSB_CHECK(file_.write(header_.refcount_table_offset + entry * 8, bytes));
  }
  new_entries_.clear();
  return {};
}

// A count that cannot be read or is 0 already stays: at worst a leak.
bool Qcow2Refcounts::decrement(uint64_t cluster) {
  auto counts = block(cluster / per_block());
  if (!counts || *counts == nullptr) return false;
  uint64_t count = count_in(**counts, cluster % per_block());
  if (count == 0) return false;
  set_count_in(**counts, cluster % per_block(), count - 1);
  return count == 1;
}

void Qcow2Refcounts::settle() {
  std::sort(released_.begin(), released_.end());
  const uint64_t size = header_.cluster_size();
  uint64_t hole = 0, clusters = 0;  // a run of clusters that became free
  auto punch = [&] {
    // Only to save space: when it does not work, nothing is lost.
    if (clusters > 0 && in_range(hole * size, clusters * size, file_.size()))
      (void)file_.discard(hole * size, clusters * size);
    clusters = 0;
  };
  for (uint64_t cluster : released_) {
    if (!decrement(cluster)) continue;
    if (hole + clusters != cluster) punch();
    if (clusters++ == 0) hole = cluster;
    next_ = std::min(next_, cluster);
  }
  punch();
  released_.clear();
}

}  // namespace msb::disk
