#include "virtio/fs_device.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>

#include <array>
#include <cerrno>

#include "base/fd.h"
#include "base/temp_dir.h"
#include "virtio/testing/device_rig.h"

namespace msb::virtio {
namespace {

using testing::Buffer;
using testing::DeviceRig;

class FsDeviceTest : public ::testing::Test {
 protected:
  static std::unique_ptr<VirtioFs> make(const std::string& directory, VirtioFs::Options options) {
    return VirtioFs::create(server_for(directory), std::move(options)).value();
  }
  static std::unique_ptr<fs::ShareServer> server_for(const std::string& directory) {
    std::vector<fs::Share> shares;
    shares.push_back({"share", open_file(directory, O_PATH | O_DIRECTORY).value()});
    return fs::ShareServer::create(std::move(shares)).value();
  }
  template <class T>
  static Bytes request(uint32_t opcode, uint64_t node, const T& arguments) {
    fuse_in_header header{};
    header.len = sizeof(header) + sizeof(arguments);
    header.opcode = opcode;
    header.unique = 7;
    header.nodeid = node;
    Bytes bytes(sizeof(header) + sizeof(arguments));
    std::memcpy(bytes.data(), &header, sizeof(header));
    std::memcpy(bytes.data() + sizeof(header), &arguments, sizeof(arguments));
    return bytes;
  }
  fuse_out_header ask(const Bytes& bytes) {
    auto& ring = rig_.ring(1);
    Buffer out = ring.out(bytes), in = ring.in(4096);
    ring.want_interrupts();  // the next one: the device's thread is not this one, only an interrupt wakes us
    ring.add({out, in});
    rig_.kick(1);
    EXPECT_TRUE(rig_.run_until([&] { return ring.has_used(); }));
    ring.take_used();
    Bytes answer = rig_.ram().get(in.address, sizeof(fuse_out_header));
    fuse_out_header header;
    std::memcpy(&header, answer.data(), sizeof(header));
    return header;
  }
  static fuse_init_in init() {
    fuse_init_in in{};
    in.major = FUSE_KERNEL_VERSION;
    in.minor = FUSE_KERNEL_MINOR_VERSION;
    return in;
  }

  TempDir directory_ = TempDir::create().value();
  DeviceRig rig_;
  std::unique_ptr<VirtioFs> device_ = make(directory_.path(), {.tag = "work"});
};

TEST_F(FsDeviceTest, ShowsItsTag) {
  Bytes config(44, 0xff);
  device_->read_config(0, config);
  EXPECT_EQ(as_text(ByteView(config).first(5)), std::string_view("work\0", 5));
  EXPECT_EQ(load_le<uint32_t>(&config[36]), 1u);
  EXPECT_EQ(load_le<uint32_t>(&config[40]), 0u);
}

TEST_F(FsDeviceTest, AnswersRequestsOfTheDriver) {
  ASSERT_TRUE(rig_.activate(*device_));
  auto answer = ask(request(FUSE_INIT, 0, init()));
  EXPECT_EQ(answer.error, 0);
  EXPECT_EQ(answer.unique, 7u);
  EXPECT_EQ(answer.len, sizeof(fuse_out_header) + sizeof(fuse_init_out));
  answer = ask(request(FUSE_GETATTR, 1, fuse_getattr_in{}));
  EXPECT_EQ(answer.error, 0);
  EXPECT_EQ(answer.len, sizeof(fuse_out_header) + sizeof(fuse_attr_out));
}

TEST_F(FsDeviceTest, AForgetGoesWithTheNextRequest) {
  ASSERT_TRUE(write_file_atomic(directory_.path() + "/file", "text"));
  ASSERT_TRUE(rig_.activate(*device_));
  ASSERT_EQ(ask(request(FUSE_INIT, 0, init())).error, 0);
  constexpr uint64_t kShare = 2, kFile = 3;  // ids go up from the root's
  ASSERT_EQ(ask(request(FUSE_LOOKUP, FUSE_ROOT_ID, std::to_array("share"))).error, 0);
  ASSERT_EQ(ask(request(FUSE_LOOKUP, kShare, std::to_array("file"))).error, 0);
  ASSERT_EQ(ask(request(FUSE_GETATTR, kFile, fuse_getattr_in{})).error, 0);
  auto& forgets = rig_.ring(0);
  forgets.add({forgets.out(request(FUSE_FORGET, kFile, fuse_forget_in{1}))});  // and no kick
  EXPECT_EQ(ask(request(FUSE_GETATTR, kFile, fuse_getattr_in{})).error, -ESTALE);
  EXPECT_TRUE(forgets.has_used());
}

TEST_F(FsDeviceTest, ABrokenRingOfForgetsBreaksTheDeviceOnce) {
  rig_.prepare(*device_, {});
  ASSERT_TRUE(rig_.activate_prepared());
  rig_.ring(0).publish(static_cast<uint16_t>(rig_.ring(0).size() + 1));
  auto& ring = rig_.ring(1);
  ring.add({ring.out(request(FUSE_INIT, 0, init())), ring.in(4096)});
  rig_.kick(1);
  ASSERT_TRUE(rig_.run_until([&] { return rig_.context().is_broken(); }));
  EXPECT_EQ(rig_.context().times_broken(), 1u);
}

TEST_F(FsDeviceTest, CanBeResetAndActivatedAgain) {
  ASSERT_TRUE(rig_.activate(*device_));
  EXPECT_EQ(ask(request(FUSE_INIT, 0, init())).error, 0);
  rig_.reset();
  ASSERT_TRUE(rig_.activate(*device_));
  EXPECT_EQ(ask(request(FUSE_INIT, 0, init())).error, 0);
}

TEST_F(FsDeviceTest, AQueueTheDriverLeftDisabledIsRefused) {
  EXPECT_FALSE(rig_.activate(*device_, {.disabled = {1}}));
}

TEST_F(FsDeviceTest, ABrokenRingBreaksTheDeviceOnce) {
  rig_.prepare(*device_, {});
  ASSERT_TRUE(rig_.activate_prepared());
  rig_.ring(1).publish(static_cast<uint16_t>(rig_.ring(1).size() + 1));
  rig_.kick(1);
  ASSERT_TRUE(rig_.run_until([&] { return rig_.context().is_broken(); }));
  EXPECT_EQ(rig_.context().times_broken(), 1u);
}

TEST_F(FsDeviceTest, WallsAreRaisedOnTheThreadThatServes) {
  std::thread::id prepared;
  ASSERT_TRUE(device_->prepare([&] {
    prepared = std::this_thread::get_id();
    return Result<>();
  }));
  EXPECT_NE(prepared, std::this_thread::get_id());
  auto refused = device_->prepare([] { return Result<>(fail(ErrorKind::io, "no wall")); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "no wall");
}

TEST_F(FsDeviceTest, ALentThreadServesUntilTheDeviceGoes) {
  std::promise<std::function<void()>> lent;
  std::thread lender([work = lent.get_future()]() mutable { work.get()(); });
  std::thread::id serving;
  {
    VirtioFs::Options options{.tag = "work", .lend_thread = [&](std::function<void()> work) { lent.set_value(work); }};
    auto device = make(directory_.path(), std::move(options));
    ASSERT_TRUE(device->prepare([&] {
      serving = std::this_thread::get_id();
      return Result<>();
    }));
    EXPECT_EQ(serving, lender.get_id());
  }
  lender.join();
}

TEST_F(FsDeviceTest, ATagMustFit) {
  for (const std::string& tag : {std::string(), std::string(37, 't')}) {
    EXPECT_FALSE(VirtioFs::create(server_for(directory_.path()), {.tag = tag})) << tag;
  }
}

}  // namespace
}  // namespace msb::virtio
