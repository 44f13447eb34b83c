// NodeTable: the host's files that the guest holds, by node id.
//
// A node is an O_PATH descriptor: it stays the same file whatever the host renames, and nothing is ever looked up by
// a path again. The guest holds a node as often as it was told of it (LOOKUP, CREATE ...) and lets go with FORGET.
// Ids are never used twice, so a stale one is recognised. The root is there from the beginning, for good.
//
// Two names of one file (hard links) are one node, found by device and inode number; in another share it is another.
// The server's root is no file of the host's: it only holds the shares.
#pragma once

#include <linux/fuse.h>
#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "base/fd.h"
#include "fs/owner_record.h"
#include "fs/share.h"

namespace msb::fs {

struct Node {
  Fd fd;                         // O_PATH; none for the server's root
  const Share* share = nullptr;  // what it was found in; none for the server's root
  uint32_t mode = 0;             // the type of the host's file, as st_mode
  uint64_t lookups = 0;
  // The owner record read last, and the st_ctim at which it was true: changing an attribute changes st_ctim.
  std::optional<OwnerRecord> record;
  timespec record_time{-1, 0};
  // Size and st_mtim at the last OPEN: unchanged since, the guest may keep what it has cached.
  off_t opened_size = -1;
  timespec opened_time{};
  // The guest took its last name away, or never gave it one: its share's quota counts it until it is forgotten.
  bool nameless = false;
};

class NodeTable {
 public:
  explicit NodeTable(uint32_t max_nodes);

  // Nullptr for an id the guest does not hold.
  Node* find(uint64_t id);
  Node* find(const Share& share, const struct stat& status);
  // The node of this file, held once more; `fd` is closed when it was known already. Nullopt: the table is full.
  std::optional<uint64_t> hold(Fd fd, const Share& share, const struct stat& status);
  // Holds it `count` times less; never the root, never more than it was held.
  void forget(uint64_t id, uint64_t count);
  size_t size() const { return nodes_.size(); }
  void for_each(auto&& visit) {
    for (auto& [id, entry] : nodes_) visit(id, entry.node);
  }

 private:
  using File = std::tuple<const Share*, dev_t, ino_t>;
  struct Entry {
    Node node;
    File file;
  };
  std::unordered_map<uint64_t, Entry> nodes_;
  std::map<File, uint64_t> by_file_;
  uint64_t next_id_ = FUSE_ROOT_ID + 1;
  uint32_t max_nodes_;
};

}  // namespace msb::fs
