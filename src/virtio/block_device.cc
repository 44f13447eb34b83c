#include "virtio/block_device.h"

#include "virtio/config_space.h"

namespace msb::virtio {
namespace {

constexpr uint16_t kQueueSizes[] = {VirtioBlock::kQueueSize};

// Features (5.2.3). SIZE_MAX is not among them: a buffer may be as long as a chain.
constexpr uint64_t kSegMax = uint64_t{1} << 2;
constexpr uint64_t kReadOnly = uint64_t{1} << 5;
constexpr uint64_t kBlkSize = uint64_t{1} << 6;
constexpr uint64_t kFlush = uint64_t{1} << 9;
constexpr uint64_t kDiscard = uint64_t{1} << 13;
constexpr uint64_t kWriteZeroes = uint64_t{1} << 14;

// struct virtio_blk_config (5.2.4).
std::array<uint8_t, 60> make_config(const disk::BlockDevice& disk) {
  std::array<uint8_t, 60> config{};
  store_le<uint64_t>(&config[0], disk.size() / kBlockSector);
  store_le<uint32_t>(&config[12], VirtioBlock::kMaxSegments);
  store_le<uint32_t>(&config[20], kBlockSector);
  if (disk.read_only()) return config;
  store_le<uint32_t>(&config[36], kMaxDiscardSectors);
  store_le<uint32_t>(&config[40], kMaxBlockRanges);
  store_le<uint32_t>(&config[44], disk.granularity() / kBlockSector);
  store_le<uint32_t>(&config[48], kMaxWriteZeroesSectors);
  store_le<uint32_t>(&config[52], kMaxBlockRanges);
  config[56] = 1;  // writing zeroes may give space back
  return config;
}

}  // namespace

Result<std::unique_ptr<VirtioBlock>> VirtioBlock::create(Reactor& reactor, Mailbox& mailbox,
                                                         std::unique_ptr<disk::BlockDevice> disk, Options options) {
  std::unique_ptr<VirtioBlock> device(new VirtioBlock(reactor, mailbox, std::move(disk), std::move(options)));
  BlockWorker::Hooks hooks;
  hooks.start = device->options_.worker_start;
  hooks.finished = [&mailbox, weak = std::weak_ptr(device->self_)] {
    mailbox.post([weak] {
      if (auto self = weak.lock()) (*self)->deliver_finished();
    });
  };
  // A disk's last writes are its thread's, too: no other has the system calls for them.
  hooks.end = [self = device.get()] { self->disk_.reset(); };
  MSB_TRY(device->worker_, BlockWorker::create(*device->disk_, std::move(hooks)));
  return device;
}

VirtioBlock::VirtioBlock(Reactor& reactor, Mailbox& mailbox, std::unique_ptr<disk::BlockDevice> disk, Options options)
    : reactor_(reactor),
      mailbox_(mailbox),
      options_(std::move(options)),
      disk_(std::move(disk)),
      config_(make_config(*disk_)),
      executor_(*disk_, {}),
      self_(std::make_shared<VirtioBlock*>(this)) {}

VirtioBlock::~VirtioBlock() {
  reset();
}

uint64_t VirtioBlock::features() const {
  constexpr uint64_t kAlways = kSegMax | kBlkSize;
  return kAlways | (disk_->read_only() ? kReadOnly : kFlush | kDiscard | kWriteZeroes);
}

std::span<const uint16_t> VirtioBlock::queue_sizes() const {
  return kQueueSizes;
}

void VirtioBlock::read_config(uint32_t offset, MutableByteView out) const {
  copy_config(config_, offset, out);
}

Result<> VirtioBlock::activate(Activation activation) {
  reset();
  activation.queues.resize(1);
  context_ = activation.context;
  // 5.2.6.2: who does not know how to flush has what it writes flushed for it.
  cache_ = activation.features & kFlush ? BlockExecutor::Cache::write_back : BlockExecutor::Cache::write_through;
  queue_size_ = activation.queues[0] ? activation.queues[0]->queue.size() : 0;
  MSB_TRY(requests_, ServedQueue::create(reactor_, *context_, 0, std::move(activation.queues[0]),
                                         {.request = [this](Chain chain) { return take(std::move(chain)); },
                                          .broken = [this](const Error& what) { break_down(what); }}));
  return {};
}

void VirtioBlock::reset() {
  requests_.reset();
  if (worker_) worker_->drop();
  context_ = nullptr;
  in_flight_ = 0;
  reported_ = false;
}

void VirtioBlock::break_down(const Error& what) {
  DeviceContext* context = context_;
  reset();
  context->broken(what);
}

Result<> VirtioBlock::take(Chain chain) {
  // A driver that publishes a descriptor again before it has it back could make us hold requests without end.
  if (in_flight_ >= queue_size_) return fail(ErrorKind::protocol, "more block requests than the queue is long");
  MSB_TRY(auto request, BlockRequest::parse(std::move(chain)));
  ++in_flight_;
  if (auto status = executor_.execute_now(request, options_.id)) {
    request.put_status(*status);
    return give_back(std::move(request));
  }
  worker_->submit(std::move(request), cache_);
  return {};
}

Result<> VirtioBlock::give_back(BlockRequest request) {
  --in_flight_;
  if (request.status == BlockStatus::ok)
    (request.type == BlockRequestType::in ? traffic_.read_bytes : traffic_.written_bytes) += request.data_bytes();
  const auto writable = static_cast<uint32_t>(request.chain.writable_bytes());
  return requests_->complete(std::move(request.chain), writable);
}

void VirtioBlock::deliver_finished() {
  finished_.clear();
  auto error = worker_->take_finished(finished_);
  if (!requests_) return;  // reset meanwhile; the list is empty then
  if (error && !std::exchange(reported_, true)) options_.report(*error);
  Result<> done;
  for (BlockRequest& request : finished_)
    if (done) done = give_back(std::move(request));
  finished_.clear();
  if (done) done = requests_->tell();
  if (!done) break_down(done.error());
}

}  // namespace msb::virtio
