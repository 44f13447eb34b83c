#include "state/home.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::state {
namespace {

TEST(Home, EnvironmentVariableIsUsedAndMadeAbsolute) {
  ::setenv("MSB_HOME", "some//where/", 1);
  auto home = Home::resolve();
  ASSERT_TRUE(home);
  EXPECT_EQ(home->path().front(), '/');
  EXPECT_TRUE(home->path().ends_with("/some/where"));
  ::unsetenv("MSB_HOME");
}

TEST(Home, DefaultIsADotDirectoryOfTheUser) {
  ::unsetenv("MSB_HOME");
  ::setenv("HOME", "/home/somebody", 1);
  EXPECT_EQ(Home::resolve()->path(), "/home/somebody/.microsandbox");
}

TEST(Home, DigestsMayHaveTheirAlgorithm) {
  auto home = *Home::at("/h");
  EXPECT_EQ(home.layer("sha256:ab12"), "/h/cache/layers/ab12.erofs");
  EXPECT_EQ(home.image_tree("ab12"), "/h/cache/images/ab12/tree.erofs");
}

TEST(Home, LongNamesHaveShortSockets) {
  auto home = *Home::at("/h");
  std::string name(128, 'x');
  EXPECT_EQ(Home::run_name(name).size(), 12U);
  EXPECT_NE(Home::run_name(name), Home::run_name(std::string(127, 'x')));
  EXPECT_EQ(home.relay_socket(name), "/h/run/" + Home::run_name(name) + ".sock");
}

TEST(Home, DirectoriesArePrivate) {
  auto temp = *TempDir::create();
  auto home = *Home::at(temp.path() + "/home");
  ASSERT_TRUE(home.make_dir(home.layers_dir()));
  struct stat info{};
  ASSERT_EQ(::stat(home.layers_dir().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
}

TEST(Home, FileInTheWayIsNamed) {
  auto temp = *TempDir::create();
  ASSERT_TRUE(write_file_atomic(temp.path() + "/home", "not a directory"));
  auto home = *Home::at(temp.path() + "/home");
  auto made = home.make_dir(home.run_dir());
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().to_string().find(temp.path() + "/home"), std::string::npos);
}

TEST(Home, ReadOnlyHomeSaysWhatToDo) {
  // /proc refuses directories even to root, as a read-only file system does.
  auto home = *Home::at("/proc/msb");
  auto made = home.make_dir(home.run_dir());
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().to_string().find("/proc/msb"), std::string::npos);
}

}  // namespace
}  // namespace msb::state
