#include "fs/owner_record.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include "fs/device_number.h"

namespace msb::fs {
namespace {

TEST(OwnerRecord, IsWrittenAsPodmanWritesIt) {
  EXPECT_EQ(format({0, 0, S_IFREG | 0644, 0}), "0:0:0644:file");
  EXPECT_EQ(format({1000, 100, S_IFDIR | 02755, 0}), "1000:100:02755:dir");
  EXPECT_EQ(format({0, 6, S_IFBLK | 0660, makedev(8, 1)}), "0:6:0660:block-8-1");
}

TEST(OwnerRecord, IsReadBack) {
  for (const OwnerRecord& record :
       {OwnerRecord{1, 2, S_IFREG | 04755, 0}, OwnerRecord{0, 0, S_IFIFO | 0600, 0}, OwnerRecord{0, 0, S_IFSOCK, 0},
        OwnerRecord{UINT32_MAX, UINT32_MAX, S_IFCHR | 0666, makedev(1, 3)}})
    EXPECT_EQ(parse_owner_record(format(record), S_IFREG), record);
  EXPECT_EQ(parse_owner_record("0:0:0755", S_IFDIR), (OwnerRecord{0, 0, S_IFDIR | 0755, 0}));
}

TEST(OwnerRecord, DamagedOnesAreNone) {
  for (const char* text :
       {"", ":", "0:0", "a:0:0644:file", "0:0:0644:file:x", "0:0:9:file", "0:0:0644:char", "0:0:0644:char-1",
        "0:0:0644:char-a-b", "0:0:0644:nothing", "-1:0:0644:file", "4294967296:0:0644:file", "0:0: 644:file"})
    EXPECT_FALSE(parse_owner_record(text, S_IFREG)) << text;
}

TEST(OwnerRecord, NoFileStandsForADirectoryOrALink) {
  EXPECT_FALSE(parse_owner_record("0:0:0755:dir", S_IFREG));
  EXPECT_FALSE(parse_owner_record("0:0:0755:file", S_IFDIR));
  EXPECT_FALSE(parse_owner_record("0:0:0777:symlink", S_IFREG));
}

TEST(DeviceNumber, AgreesWithTheKernel) {
  EXPECT_EQ(encode_device(makedev(8, 1)), 0x801u);
  EXPECT_EQ(decode_device(encode_device(makedev(4095, 0xfffff))), makedev(4095, 0xfffff));
}

}  // namespace
}  // namespace msb::fs
