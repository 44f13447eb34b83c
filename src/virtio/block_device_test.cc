#include "virtio/block_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "base/temp_dir.h"
#include "disk/raw_disk.h"
#include "virtio/testing/device_rig.h"

namespace msb::virtio {
namespace {

using ::testing::HasSubstr;
using virtio::testing::Buffer;
using virtio::testing::DeviceRig;
using virtio::testing::RingBuilder;

constexpr uint64_t kDiskSize = 64 << 10;

// A disk whose doings the test sees and steers.
struct Doings {
  std::atomic<int> reads = 0;
  std::atomic<int> flushes = 0;
  std::atomic<bool> failing = false;
  std::atomic<bool> cached = false;  // whether read_now() works
  // Reads announce themselves, then wait here.
  std::promise<void>* entered = nullptr;
  std::shared_future<void> gate;
  std::function<void()> on_read_now = [] {};
};
class SteeredDisk final : public disk::BlockDevice {
 public:
  SteeredDisk(Doings& doings, disk::Access access)
      : doings_(doings), memory_(Bytes(kDiskSize), disk::Access::read_write), access_(access) {}
  uint64_t size() const override { return memory_.size(); }
  bool read_only() const override { return access_ == disk::Access::read_only; }
  uint32_t granularity() const override { return 4096; }
  Result<> readv(uint64_t offset, disk::Buffers out) override {
    if (++doings_.reads == 1 && doings_.entered) doings_.entered->set_value();
    if (doings_.gate.valid()) doings_.gate.wait();
    return attempt([&] { return memory_.readv(offset, out); });
  }
  Result<> writev(uint64_t offset, disk::Buffers in) override {
    return attempt([&] { return memory_.writev(offset, in); });
  }
  Result<> flush() override {
    ++doings_.flushes;
    return attempt([] { return Result<>(); });
  }
  Result<> discard(uint64_t offset, uint64_t length) override { return memory_.discard(offset, length); }
  Result<> write_zeroes(uint64_t offset, uint64_t length, disk::Unmap unmap) override {
    return memory_.write_zeroes(offset, length, unmap);
  }
  bool read_now(uint64_t offset, disk::Buffers out) override {
    doings_.on_read_now();
    return doings_.cached && memory_.readv(offset, out).has_value();
  }

 private:
  template <class Work>
  Result<> attempt(Work work) {
    return doings_.failing ? Result<>(fail(ErrorKind::io, "the disk is on fire")) : work();
  }
  Doings& doings_;
  disk::MemoryDisk memory_;
  disk::Access access_;
};

class BlockDeviceTest : public ::testing::Test {
 protected:
  void start(disk::Access access = disk::Access::read_write, DeviceRig::Options options = {}) {
    start(std::make_unique<SteeredDisk>(doings_, access), std::move(options));
  }
  void start(std::unique_ptr<disk::BlockDevice> disk, DeviceRig::Options options = {}) {
    VirtioBlock::Options block;
    block.id = "a disk";
    block.report = [this](const Error& error) { reports_.push_back(error.to_string()); };
    auto device = VirtioBlock::create(rig_.reactor(), rig_.mailbox(), std::move(disk), std::move(block));
    ASSERT_TRUE(device) << device.error().to_string();
    device_ = std::move(*device);
    ASSERT_TRUE(rig_.activate(*device_, options));
  }

  struct Request {
    Buffer in, status;
  };
  static Bytes header(uint32_t type, uint64_t sector) {
    Bytes bytes(16);
    store_le<uint32_t>(&bytes[0], type);
    store_le<uint64_t>(&bytes[8], sector);
    return bytes;
  }
  static Bytes range(uint64_t sector, uint32_t sectors, uint32_t flags = 0) {
    Bytes bytes(16);
    store_le<uint64_t>(&bytes[0], sector);
    store_le<uint32_t>(&bytes[8], sectors);
    store_le<uint32_t>(&bytes[12], flags);
    return bytes;
  }
  Request add(BlockRequestType type, uint64_t sector, ByteView out, uint32_t in) {
    RingBuilder& ring = rig_.ring(0);
    std::vector<Buffer> buffers = {ring.out(header(static_cast<uint32_t>(type), sector))};
    if (!out.empty()) buffers.push_back(ring.out(out));
    Request request{};
    if (in > 0) buffers.push_back(request.in = ring.in(in));
    buffers.push_back(request.status = ring.in(1));
    rig_.ram().put(request.status.address, Bytes(1, 0xee));
    ring.add(buffers);
    return request;
  }
  // Kicks and waits for all requests; the status of the last.
  int finish(const Request& request) {
    rig_.kick(0);
    EXPECT_TRUE(rig_.run_until([&] { return used() == rig_.ring(0).in_flight() || rig_.context().is_broken(); }));
    while (rig_.ring(0).take_used()) {
    }
    return status_of(request);
  }
  uint16_t used() {
    return static_cast<uint16_t>(rig_.ring(0).used_index() -
                                 static_cast<uint16_t>(rig_.ring(0).available_index() - rig_.ring(0).in_flight()));
  }
  int status_of(const Request& request) { return rig_.ram().get(request.status.address, 1)[0]; }
  Bytes data_of(const Request& request) { return rig_.ram().get(request.in.address, request.in.length); }
  int ask(BlockRequestType type, uint64_t sector, ByteView out = {}, uint32_t in = 0) {
    return finish(add(type, sector, out, in));
  }
  Bytes read_sectors(uint64_t sector, uint32_t sectors) {
    Request request = add(BlockRequestType::in, sector, {}, sectors * 512);
    EXPECT_EQ(finish(request), 0);
    return data_of(request);
  }
  template <class T>
  T config(uint32_t offset) {
    std::array<uint8_t, sizeof(T)> bytes;
    device_->read_config(offset, bytes);
    return load_le<T>(bytes.data());
  }

  static constexpr int kOk = 0, kIoError = 1, kUnsupported = 2;
  Doings doings_;
  std::vector<std::string> reports_;
  DeviceRig rig_;
  std::unique_ptr<VirtioBlock> device_;
};

TEST_F(BlockDeviceTest, the_configuration_describes_the_disk) {
  start();
  EXPECT_EQ(config<uint64_t>(0), kDiskSize / 512);
  EXPECT_EQ(config<uint32_t>(12), 126u);
  EXPECT_EQ(config<uint32_t>(20), 512u);
  EXPECT_EQ(config<uint32_t>(36), kMaxDiscardSectors);
  EXPECT_EQ(config<uint32_t>(44), 8u);
  EXPECT_EQ(config<uint32_t>(48), kMaxWriteZeroesSectors);
  EXPECT_EQ(config<uint8_t>(56), 1);
  EXPECT_EQ(config<uint64_t>(58), 0u);
  EXPECT_EQ(device_->features(), 1u << 2 | 1u << 6 | 1u << 9 | 1u << 13 | 1u << 14);
}

TEST_F(BlockDeviceTest, a_read_only_disk_says_so_and_refuses_changes) {
  start(disk::Access::read_only);
  EXPECT_EQ(device_->features(), 1u << 2 | 1u << 5 | 1u << 6);
  EXPECT_EQ(ask(BlockRequestType::out, 0, Bytes(512, 1)), kIoError);
  EXPECT_EQ(ask(BlockRequestType::discard, 0, range(0, 1)), kIoError);
  EXPECT_EQ(ask(BlockRequestType::write_zeroes, 0, range(0, 1)), kIoError);
  EXPECT_EQ(ask(BlockRequestType::flush, 0), kOk);
  EXPECT_EQ(read_sectors(0, 1), Bytes(512));
}

TEST_F(BlockDeviceTest, what_was_written_is_read) {
  start();
  Bytes data(3 * 512);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint8_t>(i * 7);
  EXPECT_EQ(ask(BlockRequestType::out, 5, data), kOk);
  EXPECT_EQ(read_sectors(5, 3), data);
  EXPECT_EQ(read_sectors(8, 1), Bytes(512));
}

TEST_F(BlockDeviceTest, bytes_are_counted_when_they_have_been_moved) {
  start();
  EXPECT_EQ(ask(BlockRequestType::out, 5, Bytes(3 * 512, 1)), kOk);
  EXPECT_EQ(ask(BlockRequestType::flush, 0), kOk);
  EXPECT_EQ(ask(BlockRequestType::write_zeroes, 0, range(0, 8)), kOk);
  EXPECT_EQ(ask(BlockRequestType::out, kDiskSize / 512, Bytes(512, 1)), kIoError);
  read_sectors(5, 2);
  doings_.cached = true;
  read_sectors(0, 1);
  EXPECT_EQ(device_->traffic().written_bytes, 3u * 512);
  EXPECT_EQ(device_->traffic().read_bytes, 3u * 512);
  rig_.reset();
  EXPECT_EQ(device_->traffic().read_bytes, 3u * 512);
}

TEST_F(BlockDeviceTest, the_last_sector_can_be_used_and_none_after_it) {
  start();
  const uint64_t last = kDiskSize / 512 - 1;
  EXPECT_EQ(ask(BlockRequestType::out, last, Bytes(512, 3)), kOk);
  EXPECT_EQ(read_sectors(last, 1), Bytes(512, 3));
  EXPECT_EQ(ask(BlockRequestType::in, last, {}, 1024), kIoError);
  EXPECT_EQ(ask(BlockRequestType::in, last + 1, {}, 512), kIoError);
  EXPECT_EQ(ask(BlockRequestType::out, last, Bytes(1024)), kIoError);
  EXPECT_EQ(ask(BlockRequestType::in, ~uint64_t{0}, {}, 512), kIoError);
  EXPECT_EQ(ask(BlockRequestType::in, ~uint64_t{0} / 512 + 1, {}, 512), kIoError);  // overflows as bytes
}

TEST_F(BlockDeviceTest, data_of_no_whole_sectors_is_an_error) {
  start();
  EXPECT_EQ(ask(BlockRequestType::in, 0, {}, 511), kIoError);
  EXPECT_EQ(ask(BlockRequestType::out, 0, Bytes(513)), kIoError);
}

TEST_F(BlockDeviceTest, pieces_of_any_size_in_an_indirect_table) {
  start();
  RingBuilder& ring = rig_.ring(0);
  Bytes head = header(1, 2);
  Buffer status = ring.in(1);
  ring.add_indirect({ring.out(ByteView(head).first(3)), ring.out(ByteView(head).subspan(3)),
                     ring.out(std::string(100, 'a')), ring.out(std::string(412, 'b')), status});
  rig_.kick(0);
  ASSERT_TRUE(rig_.run_until([&] { return ring.has_used(); }));
  EXPECT_EQ(ring.take_used()->length, 1u);
  EXPECT_EQ(rig_.ram().get(status.address, 1)[0], kOk);
  EXPECT_EQ(as_text(read_sectors(2, 1)), std::string(100, 'a') + std::string(412, 'b'));
}

TEST_F(BlockDeviceTest, the_status_may_share_a_buffer_with_the_data) {
  start();
  RingBuilder& ring = rig_.ring(0);
  Buffer all = ring.in(513);
  rig_.ram().put(all.address, Bytes(513, 0xee));
  ring.add({ring.out(header(0, 0)), all});
  rig_.kick(0);
  ASSERT_TRUE(rig_.run_until([&] { return ring.has_used(); }));
  EXPECT_EQ(ring.take_used()->length, 513u);
  EXPECT_EQ(rig_.ram().get(all.address, 513), Bytes(513));
}

TEST_F(BlockDeviceTest, flush_reaches_the_disk) {
  start();
  EXPECT_EQ(ask(BlockRequestType::out, 0, Bytes(512, 1)), kOk);
  EXPECT_EQ(doings_.flushes, 0);
  EXPECT_EQ(ask(BlockRequestType::flush, 0), kOk);
  EXPECT_EQ(doings_.flushes, 1);
}

TEST_F(BlockDeviceTest, a_driver_that_cannot_flush_has_each_write_flushed) {
  DeviceRig::Options options;
  options.features = ~(uint64_t{1} << 9);
  start(disk::Access::read_write, options);
  EXPECT_EQ(ask(BlockRequestType::out, 0, Bytes(512, 1)), kOk);
  EXPECT_EQ(doings_.flushes, 1);
  EXPECT_EQ(read_sectors(0, 1), Bytes(512, 1));
  EXPECT_EQ(doings_.flushes, 1);
}

TEST_F(BlockDeviceTest, the_identity_is_padded_with_zeros) {
  start();
  Request request = add(BlockRequestType::get_id, 0, {}, 20);
  EXPECT_EQ(finish(request), kOk);
  EXPECT_EQ(as_text(data_of(request)), std::string("a disk") + std::string(14, '\0'));
  EXPECT_EQ(ask(BlockRequestType::get_id, 0, {}, 19), kIoError);
}

TEST_F(BlockDeviceTest, ranges_are_zeroed_and_discarded) {
  start();
  ASSERT_EQ(ask(BlockRequestType::out, 0, Bytes(kDiskSize, 9)), kOk);
  Bytes ranges = range(1, 1);
  Bytes second = range(3, 2, 1);
  ranges.insert(ranges.end(), second.begin(), second.end());
  EXPECT_EQ(ask(BlockRequestType::write_zeroes, 0, ranges), kOk);
  Bytes expected(6 * 512, 9);
  std::fill_n(expected.begin() + 512, 512, 0);
  std::fill_n(expected.begin() + 3 * 512, 1024, 0);
  EXPECT_EQ(read_sectors(0, 6), expected);
  EXPECT_EQ(ask(BlockRequestType::discard, 0, range(8, 8)), kOk);
  EXPECT_EQ(read_sectors(8, 8), Bytes(4096));
}

TEST_F(BlockDeviceTest, one_unsound_range_spoils_all) {
  start();
  ASSERT_EQ(ask(BlockRequestType::out, 0, Bytes(512, 9)), kOk);
  for (const Bytes& bad : {range(128, 1), range(~uint64_t{0}, 2), range(0, kMaxDiscardSectors + 1)}) {
    Bytes ranges = range(0, 1);
    ranges.insert(ranges.end(), bad.begin(), bad.end());
    EXPECT_EQ(ask(BlockRequestType::discard, 0, ranges), kIoError);
    EXPECT_EQ(ask(BlockRequestType::write_zeroes, 0, ranges), kIoError);
  }
  EXPECT_EQ(read_sectors(0, 1), Bytes(512, 9));
}

TEST_F(BlockDeviceTest, ranges_with_flags_we_do_not_know_are_unsupported) {
  start();
  EXPECT_EQ(ask(BlockRequestType::discard, 0, range(0, 1, 1)), kUnsupported);
  EXPECT_EQ(ask(BlockRequestType::discard, 0, range(0, 1, 2)), kUnsupported);
  EXPECT_EQ(ask(BlockRequestType::write_zeroes, 0, range(0, 1, 2)), kUnsupported);
}

TEST_F(BlockDeviceTest, no_ranges_half_ranges_and_too_many_are_errors) {
  start();
  EXPECT_EQ(ask(BlockRequestType::discard, 0), kIoError);
  EXPECT_EQ(ask(BlockRequestType::discard, 0, Bytes(15)), kIoError);
  EXPECT_EQ(ask(BlockRequestType::write_zeroes, 0, Bytes(16 * 16)), kOk);
  EXPECT_EQ(ask(BlockRequestType::write_zeroes, 0, Bytes(16 * 17)), kIoError);
}

TEST_F(BlockDeviceTest, requests_we_do_not_know_are_unsupported) {
  start();
  EXPECT_EQ(ask(BlockRequestType{99}, 0), kUnsupported);
  EXPECT_EQ(ask(BlockRequestType{0xffffffff}, 0), kUnsupported);
}

TEST_F(BlockDeviceTest, a_header_cut_short_is_an_error) {
  start();
  RingBuilder& ring = rig_.ring(0);
  Buffer status = ring.in(1);
  ring.add({ring.out(Bytes(15)), status});
  ring.add({status});
  rig_.kick(0);
  ASSERT_TRUE(rig_.run_until([&] { return ring.used_index() == 2; }));
  EXPECT_EQ(rig_.ram().get(status.address, 1)[0], kIoError);
  EXPECT_FALSE(rig_.context().is_broken());
}

TEST_F(BlockDeviceTest, no_room_for_a_status_breaks_the_device) {
  start();
  rig_.ring(0).add({rig_.ring(0).out(header(1, 0)), rig_.ring(0).out(Bytes(512))});
  rig_.kick(0);
  ASSERT_TRUE(rig_.run_until([&] { return rig_.context().is_broken(); }));
  EXPECT_THAT(rig_.context().broken_because(), HasSubstr("status"));
  rig_.reset();
  ASSERT_TRUE(rig_.activate(*device_));
  EXPECT_EQ(read_sectors(0, 1), Bytes(512));
}

TEST_F(BlockDeviceTest, an_error_of_the_disk_is_told_to_the_guest_and_once_to_the_host) {
  start();
  doings_.failing = true;
  EXPECT_EQ(ask(BlockRequestType::in, 0, {}, 512), kIoError);
  EXPECT_EQ(ask(BlockRequestType::out, 0, Bytes(512)), kIoError);
  EXPECT_EQ(ask(BlockRequestType::flush, 0), kIoError);
  EXPECT_THAT(reports_, ::testing::ElementsAre("the disk is on fire"));
  doings_.failing = false;
  EXPECT_EQ(ask(BlockRequestType::flush, 0), kOk);
}

TEST_F(BlockDeviceTest, reads_from_the_cache_do_not_go_to_the_worker) {
  start();
  doings_.cached = true;
  EXPECT_EQ(read_sectors(0, 8), Bytes(4096));
  EXPECT_EQ(doings_.reads, 0);
}

TEST_F(BlockDeviceTest, many_requests_at_once_are_all_answered) {
  start();
  std::vector<Request> requests;
  for (uint8_t round = 0; round < 4; ++round) {
    for (uint8_t i = 0; i < 20; ++i) requests.push_back(add(BlockRequestType::out, i, Bytes(512, round * 20 + i), 0));
    EXPECT_EQ(finish(requests.back()), kOk);
  }
  for (const Request& request : requests) EXPECT_EQ(status_of(request), kOk);
  EXPECT_EQ(read_sectors(7, 1), Bytes(512, 67));
  EXPECT_LE(rig_.context().interrupts(0), 81u);
}

TEST_F(BlockDeviceTest, reset_drops_requests_and_leaves_memory_alone_afterwards) {
  std::promise<void> entered, gate;
  doings_.entered = &entered;
  doings_.gate = gate.get_future().share();
  start();
  std::vector<Request> requests;
  for (int i = 0; i < 3; ++i) requests.push_back(add(BlockRequestType::in, 0, {}, 512));
  rig_.kick(0);
  rig_.settle();
  entered.get_future().wait();
  auto opener = std::async(std::launch::async, [&] { gate.set_value(); });
  rig_.reset();
  const int reads = doings_.reads;
  for (const Request& request : requests) rig_.ram().put(request.in.address, Bytes(512, 0xdd));
  rig_.settle();
  EXPECT_EQ(doings_.reads, reads);
  for (const Request& request : requests) EXPECT_EQ(data_of(request), Bytes(512, 0xdd));
  EXPECT_EQ(rig_.ring(0).used_index(), 0);
  EXPECT_EQ(rig_.context().interrupts(0), 0u);

  ASSERT_TRUE(rig_.activate(*device_));
  EXPECT_EQ(read_sectors(0, 1), Bytes(512));
}

TEST_F(BlockDeviceTest, a_disk_may_go_while_answers_are_on_their_way) {
  start();
  for (int i = 0; i < 8; ++i) add(BlockRequestType::flush, 0, {}, 0);
  rig_.kick(0);
  ASSERT_TRUE(rig_.reactor().run_once());
  device_.reset();
  rig_.settle();
}

TEST_F(BlockDeviceTest, a_driver_that_publishes_the_same_request_without_end_breaks_the_device) {
  // The disk hangs until 64 requests, a queue full, are under way: none is finished before that.
  std::promise<void> gate;
  doings_.gate = gate.get_future().share();
  int under_way = 0;
  doings_.on_read_now = [&] {
    if (++under_way == 64) gate.set_value();
  };
  start();
  add(BlockRequestType::in, 0, {}, 512);
  for (int i = 1; i < 40; ++i) rig_.ring(0).publish(0);
  rig_.kick(0);
  ASSERT_TRUE(rig_.run_until([&] { return under_way == 40; }));
  for (int i = 0; i < 40; ++i) rig_.ring(0).publish(0);
  rig_.kick(0);
  EXPECT_TRUE(rig_.run_until([&] { return rig_.context().is_broken(); }));
  EXPECT_THAT(rig_.context().broken_because(), HasSubstr("more block requests"));
}

TEST_F(BlockDeviceTest, walls_that_do_not_rise_stop_the_disk) {
  VirtioBlock::Options options;
  options.worker_start = [] { return Result<>(fail(ErrorKind::io, "no wall")); };
  auto device = VirtioBlock::create(rig_.reactor(), rig_.mailbox(),
                                    std::make_unique<SteeredDisk>(doings_, disk::Access::read_only), options);
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().to_string(), "no wall");
}

TEST_F(BlockDeviceTest, a_real_file_keeps_what_the_guest_flushed) {
  TempDir dir = TempDir::create().value();
  std::string path = dir.path() + "/disk";
  ASSERT_TRUE(write_file_atomic(path, std::string(kDiskSize, '\0')));
  start(disk::RawDisk::open(path, disk::Access::read_write).value());
  EXPECT_EQ(ask(BlockRequestType::out, 3, Bytes(512, 'x')), kOk);
  EXPECT_EQ(ask(BlockRequestType::flush, 0), kOk);
  EXPECT_EQ(read_sectors(3, 1), Bytes(512, 'x'));
  EXPECT_EQ(read_file(path).value().substr(3 * 512, 512), std::string(512, 'x'));
}

}  // namespace
}  // namespace msb::virtio
