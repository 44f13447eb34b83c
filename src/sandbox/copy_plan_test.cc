#include "sandbox/copy_plan.h"

#include <gtest/gtest.h>

namespace msb {
namespace {

struct Case {
  CopySource source;
  std::string destination;
  Destination found;
  std::string path;
  bool into = false;
};

TEST(CopyPlan, goes_where_docker_cp_goes) {
  for (const auto& [source, destination, found, path, into] : std::vector<Case>{
           {{"/a/f", false}, "/d", Destination::missing, "/d"},
           {{"/a/f", false}, "/d", Destination::file, "/d"},
           {{"/a/f", false}, "/d", Destination::directory, "/d/f"},
           {{"f", false}, "/d/", Destination::directory, "/d/f"},
           {{"f", false}, "/", Destination::directory, "/f"},
           {{"f", false}, ".", Destination::directory, "./f"},
           {{"/a/d", true}, "/new", Destination::missing, "/new"},
           {{"/a/d", true}, "/new/", Destination::missing, "/new"},
           {{"/a/d", true}, "/old", Destination::directory, "/old/d"},
           {{"/a/d/", true}, "/old", Destination::directory, "/old/d"},
           {{"/a/d/.", true}, "/old", Destination::directory, "/old", true},
           {{"/a/d/.", true}, "/new", Destination::missing, "/new"},
           {{".", true}, "/old", Destination::directory, "/old", true},
           {{"/", true}, "/old/", Destination::directory, "/old/", true},
           {{"odd \n name", false}, "/d", Destination::directory, "/d/odd \n name"},
       }) {
    auto target = plan_copy(source, destination, found);
    ASSERT_TRUE(target) << source.path << " to " << destination;
    EXPECT_EQ(target->path, path) << source.path << " to " << destination;
    EXPECT_EQ(target->into, into) << source.path << " to " << destination;
  }
}

TEST(CopyPlan, what_cannot_be_is_refused) {
  auto kind = [](const CopySource& source, const std::string& destination, Destination found) {
    auto target = plan_copy(source, destination, found);
    return target ? ErrorKind::internal : target.error().kind();
  };
  EXPECT_EQ(kind({"/d", true}, "/f", Destination::file), ErrorKind::not_a_directory);
  EXPECT_EQ(kind({"/f", false}, "/new/", Destination::missing), ErrorKind::path_not_found);
  EXPECT_EQ(kind({"/f", false}, "/f2/", Destination::file), ErrorKind::not_a_directory);
  EXPECT_EQ(kind({"/f/", false}, "/d", Destination::directory), ErrorKind::not_a_directory);
  EXPECT_EQ(kind({"/f/.", false}, "/d", Destination::directory), ErrorKind::not_a_directory);
  EXPECT_EQ(kind({"/a/..", true}, "/d", Destination::directory), ErrorKind::invalid_config);
}

}  // namespace
}  // namespace msb
