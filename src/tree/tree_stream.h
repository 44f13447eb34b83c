// A tree as bytes: TreeEncoder writes the frames (core.tree.*, id 0), TreeDecoder reads them.
//
//   TreeEncoder encoder([&](ByteView bytes) { return stream.write(bytes); });
//   MSB_CHECK(read_tree("/srv/data", {}, encoder));
//   MSB_CHECK(encoder.finish());
//
//   TreeDecoder decoder(writer);
//   while (more) MSB_CHECK(decoder.feed(bytes));   // any split of the stream
//   MSB_CHECK(decoder.finish());                   // the stream ends here
//
// The decoder's bytes are foreign: it checks every name, the order of the pieces, the depth and the sizes before the
// sink sees anything (ErrorKind::protocol). It keeps one frame in memory.
#pragma once

#include <functional>

#include "tree/tree_sink.h"
#include "wire/stream_frame.h"

namespace msb::tree {

class TreeEncoder final : public TreeSink {
 public:
  using Output = std::function<Result<>(ByteView)>;
  explicit TreeEncoder(Output output) : output_(std::move(output)) {}

  Result<> entry(const wire::TreeEntry& entry) override { return add(entry); }
  Result<> data(ByteView bytes) override;
  Result<> hole(uint64_t size) override { return add(wire::TreeHole{size}); }
  Result<> end() override { return add(wire::TreeEnd{}); }
  Result<> leave() override { return add(wire::TreeLeave{}); }
  MutableByteView room() override { return frame_.room(); }

  // One entry of a directory's list, which is not part of a tree.
  Result<> list_entry(const wire::FileEntry& entry) { return add(entry); }
  // Writes what is still kept.
  Result<> finish();

 private:
  template <wire::Message T>
  Result<> add(const T& message) {
    return add_bytes(wire::make_frame(0, 0, message));
  }
  Result<> add_bytes(ByteView frame);

  Output output_;
  Bytes kept_;  // small frames travel together
  wire::StreamFrame frame_;
};

class TreeDecoder {
 public:
  explicit TreeDecoder(TreeSink& sink) : sink_(sink) {}

  Result<> feed(ByteView bytes);
  // Fails when the tree is not complete.
  Result<> finish() const;

 private:
  Result<> take(const wire::Frame& frame);
  Result<> take_entry(const wire::TreeEntry& entry);

  TreeSink& sink_;
  wire::FrameReader reader_;
  size_t depth_ = 0;  // directories entered and not left
  bool in_file_ = false;
  bool complete_ = false;
  uint64_t size_ = 0;  // of the file so far
};

}  // namespace msb::tree
