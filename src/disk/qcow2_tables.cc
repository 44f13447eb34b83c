#include "disk/qcow2_tables.h"

#include <algorithm>

namespace msb::disk {
namespace {

// 2 MiB of tables map 16 GiB at the usual cluster size of 64 KiB.
constexpr uint64_t kMemory = uint64_t{2} << 20;

}  // namespace

Qcow2Tables::Qcow2Tables(BlockDevice& file, uint64_t table_bytes)
    : file_(file), table_bytes_(table_bytes), capacity_(std::clamp<uint64_t>(kMemory / table_bytes, 4, 64)) {}

Result<Qcow2Table*> Qcow2Tables::load(uint64_t offset) {
  if (auto found = tables_.find(offset); found != tables_.end()) {
    found->second.used = ++clock_;
    return &found->second;
  }
  Qcow2Table& table = insert(offset);
  if (auto read = file_.read(offset, table.bytes); !read) {
    tables_.erase(offset);
    return fail(std::move(read).error());
  }
  return &table;
}

Qcow2Table& Qcow2Tables::create(uint64_t offset) {
  tables_.erase(offset);
  Qcow2Table& table = insert(offset);
  table.dirty = true;
  return table;
}

Qcow2Table& Qcow2Tables::insert(uint64_t offset) {
  Bytes bytes;
  if (tables_.size() >= capacity_) {
    auto oldest = tables_.end();
    for (auto at = tables_.begin(); at != tables_.end(); ++at)
      if (!at->second.dirty && (oldest == tables_.end() || at->second.used < oldest->second.used)) oldest = at;
    if (oldest != tables_.end()) {
      bytes = std::move(oldest->second.bytes);
      tables_.erase(oldest);
    }
  }
  bytes.assign(static_cast<size_t>(table_bytes_), 0);
  Qcow2Table& table = tables_[offset];
  table.bytes = std::move(bytes);
  table.used = ++clock_;
  return table;
}

Result<> Qcow2Tables::write() {
  for (auto& [offset, table] : tables_) {
    if (!table.dirty) continue;
    MSB_CHECK(file_.write(offset, table.bytes));
    table.dirty = false;
  }
  return {};
}

bool Qcow2Tables::dirty() const {
  return std::any_of(tables_.begin(), tables_.end(), [](const auto& table) { return table.second.dirty; });
}

bool Qcow2Tables::crowded() const {
  return tables_.size() > capacity_ / 2 &&
         static_cast<size_t>(std::count_if(tables_.begin(), tables_.end(),
                                           [](const auto& table) { return table.second.dirty; })) > capacity_ / 2;
}

}  // namespace msb::disk
