#include "net/tcp/deadline_heap.h"

namespace msb::net {

void DeadlineHeap::put(Node* node, size_t place) {
  nodes_[place] = node;
  node->place = place;
}

void DeadlineHeap::set(Node& node, Clock::time_point at) {
  node.at = at;
  if (!contains(node)) {
    nodes_.push_back(&node);
    node.place = nodes_.size() - 1;
  }
  rise(&node);
  sink(&node);
}

void DeadlineHeap::remove(Node& node) {
  if (!contains(node)) return;
  Node* last = nodes_.back();
  const size_t place = node.place;
  nodes_.pop_back();
  node.place = kNowhere;
  if (last == &node) return;
  put(last, place);
  rise(last);
  sink(last);
}

void DeadlineHeap::rise(Node* node) {
  while (node->place > 0) {
    const size_t place = node->place;
    Node* parent = nodes_[(place - 1) / 2];
    if (parent->at <= node->at) return;
    put(node, parent->place);
    put(parent, place);
  }
}

void DeadlineHeap::sink(Node* node) {
  while (true) {
    const size_t place = node->place;
    size_t child = place * 2 + 1;
    if (child >= nodes_.size()) return;
    if (child + 1 < nodes_.size() && nodes_[child + 1]->at < nodes_[child]->at) ++child;
    if (node->at <= nodes_[child]->at) return;
    put(nodes_[child], place);
    put(node, child);
  }
}

}  // namespace msb::net
