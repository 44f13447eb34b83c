#include "wire/frame.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "wire/messages.h"

namespace msb::wire {
namespace {

TEST(Frame, header_has_the_documented_layout) {
  Bytes frame = make_raw_frame(0x01020304, kFlagTerminal, as_bytes("xy"));
  EXPECT_EQ(frame, (Bytes{0, 0, 0, 7, 1, 2, 3, 4, 1, 'x', 'y'}));
  EXPECT_EQ(frame_id(frame), 0x01020304u);
  EXPECT_EQ(frame_flags(frame), kFlagTerminal);
  EXPECT_EQ(as_text(frame_body(frame)), "xy");
}

TEST(Frame, envelope_names_version_and_type) {
  Bytes frame = make_frame(5, 0, ExecSignal{9});
  auto envelope = open_envelope(frame_body(frame)).value();
  EXPECT_EQ(envelope.version, kProtocolVersion);
  EXPECT_EQ(envelope.type, "core.exec.signal");
  EXPECT_EQ(decode<ExecSignal>(envelope.payload).value().signal, 9);
}

RC_GTEST_PROP(FrameReader, gives_back_every_frame_however_the_stream_is_cut,
              (std::vector<std::pair<uint32_t, Bytes>> frames, std::vector<uint8_t> cuts)) {
  Bytes stream;
  for (const auto& [id, body] : frames) {
    Bytes frame = make_raw_frame(id, static_cast<uint8_t>(id), body);
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  FrameReader reader;
  size_t seen = 0;
  auto drain = [&] {
    while (true) {
      auto frame = reader.next().value();
      if (!frame) return;
      RC_ASSERT(seen < frames.size());
      RC_ASSERT(frame->id == frames[seen].first);
      RC_ASSERT(Bytes(frame->body.begin(), frame->body.end()) == frames[seen].second);
      ++seen;
    }
  };
  ByteView rest = stream;
  for (size_t i = 0; !rest.empty(); ++i) {
    size_t count = i < cuts.size() ? std::min<size_t>(cuts[i] + 1, rest.size()) : rest.size();
    reader.feed(rest.first(count));
    rest = rest.subspan(count);
    drain();
  }
  RC_ASSERT(seen == frames.size());
}

TEST(FrameReader, refuses_lengths_outside_the_bounds) {
  for (uint32_t length : {0u, 4u, static_cast<uint32_t>(kMaxFrameSize + 1), 0xffffffffu}) {
    uint8_t head[4];
    store_be(head, length);
    FrameReader reader;
    reader.feed(head);
    auto outcome = reader.next();
    ASSERT_FALSE(outcome) << length;
    EXPECT_EQ(outcome.error().kind(), ErrorKind::protocol);
  }
}

TEST(FrameReader, takes_the_largest_frame) {
  Bytes frame = make_raw_frame(1, 0, Bytes(kMaxFrameSize - 5));
  FrameReader reader;
  reader.feed(frame);
  auto got = reader.next().value();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->body.size(), kMaxFrameSize - 5);
}

TEST(FrameReader, waits_for_the_rest_of_a_frame) {
  Bytes frame = make_raw_frame(1, 0, as_bytes("body"));
  FrameReader reader;
  for (size_t i = 0; i + 1 < frame.size(); ++i) {
    reader.feed(ByteView(frame).subspan(i, 1));
    EXPECT_FALSE(reader.next().value());
  }
  reader.feed(ByteView(frame).last(1));
  EXPECT_TRUE(reader.next().value());
}

}  // namespace
}  // namespace msb::wire
