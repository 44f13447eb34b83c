#include "agent/etc_files.h"

#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::agent {
namespace {

TEST(Hosts, an_empty_file_gets_localhost_and_the_name) {
  auto text = merge_hosts("", {.hostname = "box"}).value();
  EXPECT_NE(text.find("127.0.0.1\tlocalhost\n"), std::string::npos);
  EXPECT_NE(text.find("::1\tlocalhost"), std::string::npos);
  EXPECT_NE(text.find("127.0.1.1\tbox\n"), std::string::npos);
}

TEST(Hosts, a_complete_file_is_left_alone) {
  EXPECT_EQ(merge_hosts("127.0.0.1 localhost box\n::1 localhost\n", {.hostname = "box"}), std::nullopt);
}

TEST(Hosts, what_the_image_says_stays_in_front_byte_for_byte) {
  std::string image = "127.0.0.1\tlocalhost # mine\n10.0.0.5 db.internal db";
  auto text = merge_hosts(image, {.hostname = "box"}).value();
  EXPECT_TRUE(text.starts_with(image + "\n#"));
  EXPECT_EQ(text.find("127.0.0.1\tlocalhost\n"), std::string::npos);
}

TEST(Hosts, a_commented_entry_does_not_count) {
  EXPECT_TRUE(merge_hosts("#127.0.0.1 localhost\n::1 localhost\n", {.hostname = ""}));
}

TEST(Hosts, the_block_is_renewed_not_repeated) {
  auto first = merge_hosts("10.0.0.5 db\n", {.hostname = "old"}).value();
  EXPECT_EQ(merge_hosts(first, {.hostname = "old"}), std::nullopt);
  auto second = merge_hosts(first, {.hostname = "new"}).value();
  EXPECT_EQ(second, merge_hosts("10.0.0.5 db\n", {.hostname = "new"}).value());
}

TEST(Hosts, the_host_has_a_name_unless_a_line_defines_it) {
  auto text = merge_hosts("", {.hostname = "box", .gateways = {"172.16.0.1", "fd42::1"}}).value();
  EXPECT_NE(text.find("172.16.0.1\thost.microsandbox.internal\nfd42::1\thost.microsandbox.internal\n"),
            std::string::npos);
  auto own = merge_hosts("10.0.0.9 host.microsandbox.internal\n", {.gateways = {"172.16.0.1"}}).value();
  EXPECT_EQ(own.find("172.16.0.1"), std::string::npos);
}

TEST(ResolvConf, our_servers_come_before_those_of_the_image) {
  EXPECT_EQ(merge_resolv_conf("nameserver 1.1.1.1\n", {}), std::nullopt);
  EXPECT_EQ(merge_resolv_conf("", {}), std::nullopt);
  auto text = merge_resolv_conf("search lan\nnameserver 1.1.1.1\n", {"10.0.0.1", "fd00::1"}).value();
  EXPECT_TRUE(text.ends_with("search lan\nnameserver 1.1.1.1\n"));
  EXPECT_LT(text.find("nameserver 10.0.0.1\nnameserver fd00::1\n"), text.find("1.1.1.1"));
  EXPECT_EQ(merge_resolv_conf(text, {"10.0.0.1", "fd00::1"}), std::nullopt);
}

TEST(ResolvConf, our_block_goes_when_the_servers_go) {
  auto text = merge_resolv_conf("search lan\n", {"10.0.0.1"}).value();
  EXPECT_EQ(merge_resolv_conf(text, {}).value(), "search lan\n");
}

TEST(EtcFiles, writes_what_changes_and_nothing_else) {
  auto dir = TempDir::create().value();
  ASSERT_TRUE(write_file_atomic(dir.path() + "/resolv.conf", "nameserver 9.9.9.9\n"));
  ASSERT_TRUE(merge_etc_files(dir.path(), {.hostname = "box"}));
  EXPECT_EQ(read_file(dir.path() + "/resolv.conf").value(), "nameserver 9.9.9.9\n");
  EXPECT_NE(read_file(dir.path() + "/hosts").value().find("box"), std::string::npos);
}

TEST(EtcFiles, a_missing_hostname_is_written_and_an_image_s_own_stays) {
  auto dir = TempDir::create().value();
  ASSERT_TRUE(merge_etc_files(dir.path(), {.hostname = "box"}));
  EXPECT_EQ(read_file(dir.path() + "/hostname").value(), "box\n");
  ASSERT_TRUE(merge_etc_files(dir.path(), {.hostname = "other"}));
  EXPECT_EQ(read_file(dir.path() + "/hostname").value(), "box\n");
}

TEST(EtcFiles, one_bad_file_does_not_keep_the_other_from_being_merged) {
  auto dir = TempDir::create().value();
  ASSERT_TRUE(make_dirs(dir.path() + "/hosts"));
  EXPECT_FALSE(merge_etc_files(dir.path(), {.hostname = "box", .nameservers = {"10.0.0.1"}}));
  EXPECT_NE(read_file(dir.path() + "/resolv.conf").value().find("10.0.0.1"), std::string::npos);
}

}  // namespace
}  // namespace msb::agent
