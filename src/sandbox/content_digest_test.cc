#include "sandbox/content_digest.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/temp_dir.h"
#include "disk/sparse_copy.h"

namespace msb {
namespace {

class ContentDigestTest : public ::testing::Test {
 protected:
  Fd file(const std::string& name) { return open_file(directory_.path() + "/" + name, O_RDWR | O_CREAT).value(); }
  TempDir directory_ = TempDir::create().value();
};

TEST_F(ContentDigestTest, HolesAndZerosAreTheSame) {
  Fd sparse = file("sparse"), full = file("full");
  const uint64_t size = 5 * kDigestBlock + 100;
  ASSERT_EQ(::ftruncate(sparse.get(), static_cast<off_t>(size)), 0);
  ASSERT_TRUE(pwrite_full(full.get(), Bytes(size), 0));
  EXPECT_EQ(content_digest(sparse.get()).value(), content_digest(full.get()).value());
  for (uint64_t at : {uint64_t{0}, 2 * kDigestBlock + 4096, size - 1}) {
    const uint8_t byte[] = {1};
    ASSERT_TRUE(pwrite_full(sparse.get(), byte, at));
    EXPECT_NE(content_digest(sparse.get()).value(), content_digest(full.get()).value()) << at;
    ASSERT_TRUE(pwrite_full(full.get(), byte, at));
    EXPECT_EQ(content_digest(sparse.get()).value(), content_digest(full.get()).value()) << at;
  }
  Fd copy = file("copy");
  ASSERT_TRUE(disk::copy_sparse(sparse.get(), copy.get()));
  EXPECT_EQ(content_digest(copy.get()).value(), content_digest(sparse.get()).value());
}

// The expected value is of python's hashlib.
TEST_F(ContentDigestTest, IsTheDigestOfTheBlocksDigests) {
  Fd two = file("two");
  ASSERT_TRUE(write_full(two.get(), as_bytes(std::string(kDigestBlock, 'a') + "b")));
  EXPECT_EQ(content_digest(two.get()).value(),
            "sha256:57cae7de7cfdd3f265e50f2fab2beecbf6dea26eff9a2b3e6423c70a59fea2f4");
}

TEST_F(ContentDigestTest, AnEmptyFileHasOneToo) {
  EXPECT_EQ(content_digest(file("empty").get()).value(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace msb
