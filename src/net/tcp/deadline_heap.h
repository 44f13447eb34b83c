// DeadlineHeap: which of many has to be woken first. Nodes are part of what they wake and know their place, so setting,
// moving and removing one allocates nothing.
#pragma once

#include <limits>
#include <vector>

#include "base/deadline.h"

namespace msb::net {

class DeadlineHeap {
 public:
  struct Node {
    Clock::time_point at;
    size_t place = kNowhere;
  };

  Node* first() const { return nodes_.empty() ? nullptr : nodes_.front(); }
  void set(Node& node, Clock::time_point at);
  void remove(Node& node);
  static bool contains(const Node& node) { return node.place != kNowhere; }

 private:
  static constexpr size_t kNowhere = std::numeric_limits<size_t>::max();
  void put(Node* node, size_t place);
  void rise(Node* node);
  void sink(Node* node);
  std::vector<Node*> nodes_;
};

}  // namespace msb::net
