#include "base/sha256.h"

#include <gtest/gtest.h>

namespace msb {
namespace {

TEST(Sha256, matches_the_published_vectors) {
  EXPECT_EQ(sha256_hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex(as_bytes("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, pieces_give_the_same_as_the_whole) {
  Sha256 hash;
  hash.update(as_bytes("a"));
  hash.update({});
  hash.update(as_bytes("bc"));
  EXPECT_EQ(hash.finish_hex(), sha256_hex(as_bytes("abc")));
}

TEST(Sha256, hex_keeps_leading_zeros) {
  EXPECT_EQ(to_hex(Bytes{0x00, 0x0f, 0xa0}), "000fa0");
}

}  // namespace
}  // namespace msb
