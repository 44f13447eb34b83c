#include "fs/node_table.h"

#include <algorithm>

namespace msb::fs {

NodeTable::NodeTable(uint32_t max_nodes) : max_nodes_(max_nodes) {
  // Not in by_file_: no name leads to it.
  nodes_[FUSE_ROOT_ID].node.mode = S_IFDIR | 0755;
}

Node* NodeTable::find(uint64_t id) {
  auto found = nodes_.find(id);
  return found == nodes_.end() ? nullptr : &found->second.node;
}

Node* NodeTable::find(const Share& share, const struct stat& status) {
  auto found = by_file_.find(File(&share, status.st_dev, status.st_ino));
  return found == by_file_.end() ? nullptr : &nodes_.at(found->second).node;
}

std::optional<uint64_t> NodeTable::hold(Fd fd, const Share& share, const struct stat& status) {
  const File file(&share, status.st_dev, status.st_ino);
  if (auto known = by_file_.find(file); known != by_file_.end()) {
    ++nodes_.at(known->second).node.lookups;
    return known->second;
  }
  if (nodes_.size() >= max_nodes_) return std::nullopt;
  const uint64_t id = next_id_++;
  Entry& entry = nodes_[id];
  entry.node.fd = std::move(fd);
  entry.node.share = &share;
  entry.node.mode = status.st_mode;
  entry.node.lookups = 1;
  entry.file = file;
  by_file_[file] = id;
  return id;
}

void NodeTable::forget(uint64_t id, uint64_t count) {
  auto found = nodes_.find(id);
  if (id == FUSE_ROOT_ID || found == nodes_.end()) return;
  Entry& entry = found->second;
  entry.node.lookups -= std::min(count, entry.node.lookups);
  if (entry.node.lookups > 0) return;
  by_file_.erase(entry.file);
  nodes_.erase(found);
}

}  // namespace msb::fs
