// The writing half of Qcow2Disk.
//
// The order of things, with a flush of the file at each line, so that the image is sound whenever the power fails:
//
//   data of new clusters, reference counts that went up
//   (the names of new blocks of reference counts)
//   second-level tables
//   (first-level entries of new second-level tables)
//   reference counts that go down, space given back: any time later
//
// Data that is written over where it is needs none of that. No cluster is both given up and used anew between two
// commits.
#include <algorithm>

#include "disk/qcow2.h"

namespace msb::disk {

Qcow2Disk::~Qcow2Disk() {
  // Again, for reference counts that could go down only after the first.
  if (begun_ && flush()) (void)refcounts_->write();
}

Result<> Qcow2Disk::writev(uint64_t offset, Buffers in) {
  uint64_t length = total_bytes(in);
  MSB_CHECK(check_writable("write", offset, length));
  MSB_CHECK(begin_writing());
  BufferCursor cursor(in);
  while (length > 0) {
    uint64_t inside = offset % header_.cluster_size();
    uint64_t count = std::min(length, header_.cluster_size() - inside);
    piece_.clear();
    cursor.take(count, piece_);
    MSB_CHECK(write_in_cluster(offset / header_.cluster_size(), inside, count, piece_));
    offset += count;
    length -= count;
  }
  return {};
}

Result<> Qcow2Disk::begin_writing() {
  if (failed_) return fail(ErrorKind::io, "the qcow2 image is not written any more since an earlier error");
  if (begun_) return {};
  // What these bits vouch for (bitmaps, say) will no longer be right.
  if (header_.autoclear_features != 0) {
    MSB_CHECK(file_->write(kQcow2AutoclearField, Bytes(8)));
    MSB_CHECK(file_->flush());
  }
  begun_ = true;
  return {};
}

// The second-level entry of a cluster, in a table that may be changed. Makes room in memory first.
Result<Qcow2Disk::Slot> Qcow2Disk::slot_for_write(uint64_t cluster) {
  if (l2_.crowded() || refcounts_->crowded()) MSB_CHECK(commit());
  uint64_t number = cluster / header_.l2_entries();
  uint64_t entry = l1_[number];
  if ((entry & kQcow2OffsetMask) == 0 || !(entry & kQcow2Owned)) {
    auto table = new_l2_table(entry);
    if (!table) {
      failed_ = true;
      return fail(std::move(table).error());
    }
    l1_[number] = *table | kQcow2Owned;
    new_l1_entries_.push_back(number);
  }
  MSB_TRY(Qcow2Table * l2, l2_.load(l1_[number] & kQcow2OffsetMask));
  return Slot{l2, cluster % header_.l2_entries()};
}

// Empty, or a copy of one that is shared.
Result<uint64_t> Qcow2Disk::new_l2_table(uint64_t old_entry) {
  uint64_t old = old_entry & kQcow2OffsetMask;
  Bytes contents;
  if (old != 0) {
    MSB_TRY(Qcow2Table * shared, l2_.load(old));
    contents = shared->bytes;
  }
  MSB_TRY(auto place, refcounts_->allocate());
  Qcow2Table& table = l2_.create(place.offset);
  if (old != 0) {
    table.bytes = std::move(contents);
    refcounts_->release(old, header_.cluster_size());
    l2_.forget(old);
  }
  return place.offset;
}

Result<> Qcow2Disk::write_in_cluster(uint64_t cluster, uint64_t inside, uint64_t length, Buffers in) {
  MSB_TRY(Slot slot, slot_for_write(cluster));
  uint64_t entry = slot.table->entry(slot.index);
  if (kind_of(entry) != Kind::plain || !(entry & kQcow2Owned)) return write_new(slot, cluster, inside, length, in);
  MSB_TRY(uint64_t offset, data_offset(entry, cluster));
  MSB_CHECK(refcounts_->check_data(offset));
  if (offset + inside + length > file_->size()) MSB_CHECK(file_->grow(offset + header_.cluster_size()));
  return file_->writev(offset + inside, in);
}

// Writes to a cluster that has no place of its own yet: all of it, with what is around the new bytes.
Result<> Qcow2Disk::write_new(Slot slot, uint64_t cluster, uint64_t inside, uint64_t length, Buffers in) {
  const uint64_t size = header_.cluster_size();
  const uint64_t entry = slot.table->entry(slot.index);
  const Kind kind = kind_of(entry);
  const uint64_t after = size - inside - length;

  Bytes old;
  if (kind == Kind::compressed || kind == Kind::plain) {
    if (length < size) {
      old.resize(static_cast<size_t>(size));
      iovec whole{old.data(), old.size()};
      MSB_CHECK(read_in_cluster(cluster, 0, {&whole, 1}));
    }
  }
  // A cluster that reads as zeros may still have its place.
  bool keeps_place = kind == Kind::zero && (entry & kQcow2OffsetMask) != 0 && (entry & kQcow2Owned);
  Qcow2Refcounts::Cluster place{};
  if (keeps_place) {
    MSB_TRY(place.offset, data_offset(entry, cluster));
    MSB_CHECK(refcounts_->check_data(place.offset));
    if (place.offset + size > file_->size()) MSB_CHECK(file_->grow(place.offset + size));
  } else {
    auto allocated = refcounts_->allocate();
    if (!allocated) {
      failed_ = true;
      return fail(std::move(allocated).error());
    }
    place = *allocated;
  }

  padded_.clear();
  if (!old.empty()) {
    padded_.push_back({old.data(), static_cast<size_t>(inside)});
  } else if (!place.zeros) {
    append_zeros(inside, padded_);
  }
  padded_.insert(padded_.end(), in.begin(), in.end());
  if (!old.empty()) {
    padded_.push_back({old.data() + inside + length, static_cast<size_t>(after)});
  } else if (!place.zeros) {
    append_zeros(after, padded_);
  }
  bool whole = !old.empty() || !place.zeros;
  if (auto written = file_->writev(place.offset + (whole ? 0 : inside), padded_); !written) {
    if (!keeps_place) refcounts_->give_back(place.offset);
    return written;
  }
  slot.table->set_entry(slot.index, place.offset | kQcow2Owned);
  return keeps_place ? Result<>() : release_entry(entry);
}

// What an entry named is no longer wanted.
Result<> Qcow2Disk::release_entry(uint64_t entry) {
  if (entry & kQcow2Compressed) {
    MSB_TRY(Packed place, packed_place(entry));
    refcounts_->release(place.offset, place.length);
    return {};
  }
  uint64_t offset = entry & kQcow2OffsetMask;
  if (offset != 0) refcounts_->release(offset, header_.cluster_size());
  return {};
}

Result<> Qcow2Disk::discard(uint64_t offset, uint64_t length) {
  MSB_CHECK(check_writable("discard", offset, length));
  MSB_CHECK(begin_writing());
  const uint64_t size = header_.cluster_size();
  uint64_t end = offset + length == header_.virtual_size ? offset + length + size - 1 : offset + length;
  return drop_clusters((offset + size - 1) / size, end / size);
}

// Without a backing file, a cluster that is not there reads as zeros.
Result<> Qcow2Disk::drop_clusters(uint64_t first, uint64_t end) {
  while (first < end) {
    if ((l1_[first / header_.l2_entries()] & kQcow2OffsetMask) == 0) {
      first = (first / header_.l2_entries() + 1) * header_.l2_entries();
      continue;
    }
    MSB_TRY(Slot slot, slot_for_write(first));
    uint64_t entry = slot.table->entry(slot.index);
    if (entry != 0) {
      MSB_CHECK(release_entry(entry));
      slot.table->set_entry(slot.index, 0);
    }
    ++first;
  }
  return {};
}

Result<> Qcow2Disk::write_zeroes(uint64_t offset, uint64_t length, Unmap unmap) {
  MSB_CHECK(check_writable("write", offset, length));
  MSB_CHECK(begin_writing());
  while (length > 0) {
    uint64_t inside = offset % header_.cluster_size();
    uint64_t count = std::min(length, header_.cluster_size() - inside);
    MSB_CHECK(zero_in_cluster(offset / header_.cluster_size(), inside, count, unmap));
    offset += count;
    length -= count;
  }
  return {};
}

Result<> Qcow2Disk::zero_in_cluster(uint64_t cluster, uint64_t inside, uint64_t length, Unmap unmap) {
  MSB_TRY(uint64_t entry, l2_entry(cluster));
  Kind kind = kind_of(entry);
  bool whole = inside == 0 &&
               (length == header_.cluster_size() || cluster * header_.cluster_size() + length == header_.virtual_size);
  if (whole && (unmap == Unmap::yes || kind == Kind::compressed)) return drop_clusters(cluster, cluster + 1);
  if (kind == Kind::absent || kind == Kind::zero) return {};
  if (whole && header_.version >= 3) {
    MSB_TRY(Slot slot, slot_for_write(cluster));
    slot.table->set_entry(slot.index, entry | kQcow2ReadsAsZero);
    return {};
  }
  piece_.clear();
  append_zeros(length, piece_);
  return write_in_cluster(cluster, inside, length, piece_);
}

Result<> Qcow2Disk::flush() {
  if (read_only()) return {};
  if (failed_) return fail(ErrorKind::io, "flush: the qcow2 image is not written any more since an earlier error");
  return commit();
}

Result<> Qcow2Disk::commit() {
  auto done = try_commit();
  if (!done) failed_ = true;
  return done;
}

Result<> Qcow2Disk::try_commit() {
  MSB_CHECK(refcounts_->write());
  MSB_CHECK(file_->flush());
  if (!l2_.dirty() && new_l1_entries_.empty()) return {};
  MSB_CHECK(l2_.write());
  if (!new_l1_entries_.empty()) {
    MSB_CHECK(file_->flush());
    for (uint64_t number : new_l1_entries_) {
      uint8_t bytes[8];
      store_be(bytes, l1_[number]);
      MSB_CHECK(file_->write(header_.l1_table_offset + number * 8, bytes));
    }
    new_l1_entries_.clear();
  }
  MSB_CHECK(file_->flush());
  refcounts_->settle();
  return {};
}

}  // namespace msb::disk
