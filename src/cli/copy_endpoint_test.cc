#include "cli/copy_endpoint.h"

#include <gtest/gtest.h>

namespace msb::cli {
namespace {

using Kind = CopyEndpoint::Kind;

TEST(CopyEndpoint, guests_hosts_and_streams_are_told_apart) {
  struct Case {
    const char* word;
    Kind kind;
    const char* sandbox;
    const char* path;
  };
  for (const auto& [word, kind, sandbox, path] : {Case{"box:/etc/passwd", Kind::guest, "box", "/etc/passwd"},
                                                  {"box:tmp/f", Kind::guest, "box", "/tmp/f"},
                                                  {"box:.", Kind::guest, "box", "/."},
                                                  {"box:/odd:name", Kind::guest, "box", "/odd:name"},
                                                  {"plain", Kind::host, "", "plain"},
                                                  {"./box:/etc", Kind::host, "", "./box:/etc"},
                                                  {"/tmp/a:b", Kind::host, "", "/tmp/a:b"},
                                                  {"-", Kind::stream, "", ""}}) {
    auto endpoint = CopyEndpoint::parse(word);
    ASSERT_TRUE(endpoint) << word;
    EXPECT_EQ(endpoint->kind, kind) << word;
    EXPECT_EQ(endpoint->sandbox, sandbox) << word;
    EXPECT_EQ(endpoint->path, path) << word;
  }
}

TEST(CopyEndpoint, what_cannot_be_is_refused) {
  for (const char* word : {"", "box:", ":/etc", "bad name:/x"}) EXPECT_FALSE(CopyEndpoint::parse(word)) << word;
}

}  // namespace
}  // namespace msb::cli
