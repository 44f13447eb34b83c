#include "image/reference.h"

#include <gtest/gtest.h>

namespace msb::image {
namespace {

const std::string kHex(64, 'a');
const std::string kDigest = "sha256:" + kHex;

std::string canonical(std::string_view text) {
  auto reference = Reference::parse(text);
  return reference ? reference->str() : "error: " + reference.error().message();
}

TEST(Reference, ShortNamesMeanTheDefaultRegistry) {
  EXPECT_EQ(canonical("python"), "docker.io/library/python:latest");
  EXPECT_EQ(canonical("python:3.12-slim"), "docker.io/library/python:3.12-slim");
  EXPECT_EQ(canonical("me/app"), "docker.io/me/app:latest");
  EXPECT_EQ(canonical("docker.io/python"), "docker.io/library/python:latest");
  EXPECT_EQ(canonical("index.docker.io/library/python"), "docker.io/library/python:latest");
}

TEST(Reference, AFirstPartWithDotOrPortIsAHost) {
  EXPECT_EQ(canonical("registry.lan/app"), "registry.lan/app:latest");
  EXPECT_EQ(canonical("localhost/app:1"), "localhost/app:1");
  EXPECT_EQ(canonical("127.0.0.1:5000/a/b/c:x"), "127.0.0.1:5000/a/b/c:x");
  EXPECT_EQ(canonical("[::1]:5000/app"), "[::1]:5000/app:latest");
  EXPECT_EQ(canonical("Registry.LAN/app"), "registry.lan/app:latest");
}

TEST(Reference, APortIsNotATag) {
  auto reference = Reference::parse("host:5000/app");
  ASSERT_TRUE(reference);
  EXPECT_EQ(reference->registry(), "host:5000");
  EXPECT_EQ(reference->tag(), "latest");
}

TEST(Reference, ADigestAloneHasNoTag) {
  auto reference = Reference::parse("python@" + kDigest);
  ASSERT_TRUE(reference);
  EXPECT_EQ(reference->tag(), "");
  EXPECT_EQ(reference->str(), "docker.io/library/python@" + kDigest);
  EXPECT_EQ(reference->target(), kDigest);
}

TEST(Reference, TagAndDigestKeepBothAndTheDigestDecides) {
  auto reference = Reference::parse("python:3@" + kDigest);
  ASSERT_TRUE(reference);
  EXPECT_EQ(reference->str(), "docker.io/library/python:3@" + kDigest);
  EXPECT_EQ(reference->target(), kDigest);
}

TEST(Reference, FamiliarFormLeavesDefaultsOut) {
  EXPECT_EQ(Reference::parse("docker.io/library/python:3")->familiar(), "python:3");
  EXPECT_EQ(Reference::parse("docker.io/me/app")->familiar(), "me/app:latest");
  EXPECT_EQ(Reference::parse("host.lan/library/x")->familiar(), "host.lan/library/x:latest");
}

TEST(Reference, CanonicalFormParsesToItself) {
  for (const char* text : {"python", "a/b:c", "host:1/x", "[::1]:5000/app", "a__b/c-d.e:T_1"}) {
    const std::string once = canonical(text);
    EXPECT_EQ(canonical(once), once) << text;
  }
}

class BadReference : public testing::TestWithParam<std::string> {};
TEST_P(BadReference, IsRefusedAsInvalidConfig) {
  auto reference = Reference::parse(GetParam());
  ASSERT_FALSE(reference);
  EXPECT_EQ(reference.error().kind(), ErrorKind::invalid_config);
}
INSTANTIATE_TEST_SUITE_P(All, BadReference,
                         testing::Values("", ":", "/", "a/", "/a", "a//b", "a..b", "a___b", "-a", "a-", "a b",
                                         "a:", "a:.x", "a:" + std::string(129, 'x'), "a@sha256:abc", "a@md5:" + kHex,
                                         "a@sha256:" + std::string(64, 'A'), kDigest, "http://a/b", "host:0/a",
                                         "host:99999/a", "host:x/a", "../a", "a/../b", "[::1/a", std::string(300, 'a'),
                                         std::string("a\0b", 3), "a\nb", "Python"));

TEST(Reference, CapitalsGetAHintWithTheLowerCaseName) {
  auto reference = Reference::parse("me/Python");
  ASSERT_FALSE(reference);
  ASSERT_EQ(reference.error().hints().size(), 1u);
  EXPECT_NE(reference.error().hints()[0].find("'me/python'"), std::string::npos);
}

TEST(Reference, AUrlGetsAHintWithoutTheScheme) {
  auto reference = Reference::parse("https://registry.lan/app");
  ASSERT_FALSE(reference);
  ASSERT_EQ(reference.error().hints().size(), 1u);
  EXPECT_NE(reference.error().hints()[0].find("'registry.lan/app'"), std::string::npos);
}

TEST(LoopbackHost, OnlyAddressesOfThisMachine) {
  EXPECT_TRUE(is_loopback_host("127.0.0.1:5000"));
  EXPECT_TRUE(is_loopback_host("localhost"));
  EXPECT_TRUE(is_loopback_host("[::1]:80"));
  EXPECT_FALSE(is_loopback_host("127.example.org"));
  EXPECT_FALSE(is_loopback_host("127.0.0.1.example.org"));
  EXPECT_FALSE(is_loopback_host("localhost.example.org"));
  EXPECT_FALSE(is_loopback_host("10.0.0.1:5000"));
}

}  // namespace
}  // namespace msb::image
