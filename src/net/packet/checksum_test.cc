#include "net/packet/checksum.h"

#include <gtest/gtest.h>

namespace msb::net {
namespace {

TEST(Checksum, IsThatOfRfc1071) {
  Checksum sum;
  sum.add(Bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7});
  EXPECT_EQ(sum.folded(), 0xddf2);
  EXPECT_EQ(sum.complement(), 0x220d);
}

TEST(Checksum, DoesNotDependOnThePieces) {
  Bytes bytes(1001);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 7 + 3);
  Checksum whole;
  whole.add(bytes);
  for (const size_t piece : {1, 2, 3, 5, 64, 333}) {
    Checksum sum;
    for (size_t at = 0; at < bytes.size(); at += piece)
      sum.add(ByteView(bytes).subspan(at, std::min(piece, bytes.size() - at)));
    EXPECT_EQ(sum.folded(), whole.folded()) << piece;
  }
}

}  // namespace
}  // namespace msb::net
