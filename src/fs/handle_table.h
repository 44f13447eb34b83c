// HandleTable: the files and directories that the guest has open, by file handle. Handles are never used twice.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "base/fd.h"

namespace msb::fs {

struct Handle {
  enum class Kind { file, directory };
  Fd fd;
  Kind kind = Kind::file;
  uint64_t node = 0;      // whose it is
  uint64_t position = 0;  // of a directory: where fd stands, a d_off
  Fd direct = {};         // the same file past the host's cache, if the guest asked for that (transfer.h)
};

class HandleTable {
 public:
  explicit HandleTable(uint32_t max_handles) : max_handles_(max_handles) {}

  bool full() const { return handles_.size() >= max_handles_; }
  // The caller has asked full().
  uint64_t add(Handle handle) {
    handles_.emplace(next_, std::move(handle));
    return next_++;
  }
  // Nullptr when there is none of this number, kind and node.
  Handle* find(uint64_t number, Handle::Kind kind, uint64_t node) {
    auto found = handles_.find(number);
    if (found == handles_.end() || found->second.kind != kind || found->second.node != node) return nullptr;
    return &found->second;
  }
  void close(uint64_t number) { handles_.erase(number); }
  void close_all_of(uint64_t node) {
    std::erase_if(handles_, [node](const auto& handle) { return handle.second.node == node; });
  }
  size_t size() const { return handles_.size(); }

 private:
  std::unordered_map<uint64_t, Handle> handles_;
  uint64_t next_ = 1;
  uint32_t max_handles_;
};

}  // namespace msb::fs
