#include "net/dns/nameservers.h"

#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::net {
namespace {

std::vector<std::string> texts(const std::vector<Endpoint>& servers) {
  std::vector<std::string> out;
  for (const Endpoint& server : servers) out.push_back(server.to_string());
  return out;
}
using Texts = std::vector<std::string>;

TEST(ResolvConfTest, NameserversAreReadAndTheRestIsNot) {
  EXPECT_EQ(texts(parse_resolv_conf("# made by hand\nsearch example.com\n"
                                    "nameserver 192.168.1.1 # the router\n\tnameserver\t2606:4700::1111\r\n"
                                    "nameserver fe80::1%eth0\noptions timeout:1\nnameserver\n; nameserver 9.9.9.9")),
            (Texts{"192.168.1.1:53", "[2606:4700::1111]:53"}));
  EXPECT_EQ(texts(parse_resolv_conf("nameserver 127.0.0.53\n")), (Texts{"127.0.0.53:53"}));
}

TEST(ResolvConfTest, AtMostThreeAndAtLeastThisHost) {
  EXPECT_EQ(parse_resolv_conf("nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4").size(),
            3U);
  EXPECT_EQ(texts(parse_resolv_conf("")), (Texts{"127.0.0.1:53"}));
}

TEST(NameserversTest, GivenOnesAreUsedWhateverTheFileSays) {
  auto servers = Nameservers::create({"1.1.1.1", "[2606:4700::1111]:5353"}, "/nowhere");
  ASSERT_TRUE(servers);
  EXPECT_EQ(texts(servers->current()), (Texts{"1.1.1.1:53", "[2606:4700::1111]:5353"}));
  EXPECT_EQ(Nameservers::create({"dns.example"}, "/nowhere").error().kind(), ErrorKind::invalid_config);
}

TEST(NameserversTest, TheFileIsReadAgainWhenItIsAnotherOne) {
  const auto dir = TempDir::create();
  ASSERT_TRUE(dir);
  const std::string path = dir->path() + "/resolv.conf";
  auto servers = Nameservers::create({}, path);
  ASSERT_TRUE(servers);
  EXPECT_EQ(servers->current().size(), 0U);
  ASSERT_TRUE(write_file_atomic(path, "nameserver 1.1.1.1\n"));
  EXPECT_EQ(texts(servers->current()), (Texts{"1.1.1.1:53"}));
  ASSERT_TRUE(write_file_atomic(path, "nameserver 9.9.9.9\n"));
  EXPECT_EQ(texts(servers->current()), (Texts{"9.9.9.9:53"}));
}

}  // namespace
}  // namespace msb::net
