#include "wire/stream_frame.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace msb::wire {
namespace {

template <class T>
Bytes encoded_the_long_way(uint32_t id, const Bytes& data) {
  T message;
  message.data = data;
  return make_frame(id, 0, message);
}

// Lengths around every change of the CBOR head's size, of the data and of the payload around it.
TEST(StreamFrame, is_the_same_as_the_encoder_writes) {
  StreamFrame frame;
  for (size_t count :
       {0, 1, 16, 17, 18, 23, 24, 240, 247, 248, 249, 255, 256, 65000, 65526, 65527, 65528, 65535, 65536}) {
    Bytes data(count);
    for (size_t i = 0; i < count; ++i) data[i] = static_cast<uint8_t>(i * 7);
    std::copy(data.begin(), data.end(), frame.room().begin());
    auto out = frame.finish(77, 0, ExecStdout::kType, count);
    EXPECT_EQ(Bytes(out.begin(), out.end()), encoded_the_long_way<ExecStdout>(77, data)) << count;
    auto in = frame.finish(78, 0, ExecStdin::kType, count);
    EXPECT_EQ(Bytes(in.begin(), in.end()), encoded_the_long_way<ExecStdin>(78, data)) << count;
  }
}

}  // namespace
}  // namespace msb::wire
