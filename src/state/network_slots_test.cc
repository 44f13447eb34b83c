#include "state/network_slots.h"

#include <gtest/gtest.h>

#include "base/temp_dir.h"
#include "state/sandboxes.h"

namespace msb::state {
namespace {

struct NetworkSlotsTest : testing::Test {
  TempDir temp = *TempDir::create();
  Home home = *Home::at(temp.path() + "/home");
  Database database = *Database::open(home);

  void add(const std::string& name) {
    SandboxRow row;
    row.name = name;
    row.id = "id-" + name;
    row.config_json = "{}";
    row.image = "busybox";
    ASSERT_TRUE(insert_sandbox(database, row));
  }
};

TEST_F(NetworkSlotsTest, ASandboxKeepsItsSlot) {
  add("a");
  add("b");
  EXPECT_EQ(network_slot(database, "a"), 0);
  EXPECT_EQ(network_slot(database, "b"), 1);
  EXPECT_EQ(network_slot(database, "a"), 0);
}

TEST_F(NetworkSlotsTest, TheSlotOfARemovedSandboxIsUsedAgain) {
  for (const char* name : {"a", "b", "c"}) {
    add(name);
    ASSERT_TRUE(network_slot(database, name));
  }
  ASSERT_TRUE(database.run("DELETE FROM sandbox WHERE name = 'b'"));
  add("d");
  add("e");
  EXPECT_EQ(network_slot(database, "d"), 1);
  EXPECT_EQ(network_slot(database, "e"), 3);
}

TEST_F(NetworkSlotsTest, WithoutASandboxThereIsNone) {
  EXPECT_EQ(network_slot(database, "nobody").error().kind(), ErrorKind::database);
}

}  // namespace
}  // namespace msb::state
