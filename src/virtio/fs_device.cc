#include "virtio/fs_device.h"

#include <pthread.h>

#include <memory>
#include <system_error>

#include "virtio/config_space.h"

namespace msb::virtio {
namespace {

constexpr uint16_t kQueueSizes[] = {VirtioFs::kQueueSize, VirtioFs::kQueueSize};

}  // namespace

Result<std::unique_ptr<VirtioFs>> VirtioFs::create(std::unique_ptr<fs::ShareServer> server, Options options) {
  if (options.tag.empty() || options.tag.size() > kMaxTag)
    return fail(ErrorKind::invalid_config, cat("a share's tag has 1 to ", kMaxTag, " bytes, not ", options.tag.size()));
  std::unique_ptr<VirtioFs> device(new VirtioFs(std::move(server)));
  // struct virtio_fs_config (5.11.4): tag, number of request queues.
  std::copy(options.tag.begin(), options.tag.end(), device->config_.begin());
  store_le<uint32_t>(&device->config_[kMaxTag], 1);

  MSB_CHECK(device->start(options));
  return device;
}

Result<> VirtioFs::start(const Options& options) {
  struct Promises {
    std::promise<Result<>> started;
    std::promise<void> ended;
  };
  auto promises = std::make_shared<Promises>();
  auto work = [this, promises] {
    bool told = false;
    auto how = run_thread([&](Result<> ready) {
      told = true;
      promises->started.set_value(std::move(ready));
    });
    // What it has open may be known to this thread alone.
    queues_ = {};
    server_.reset();
    if (!told) promises->started.set_value(std::move(how));
    promises->ended.set_value();
  };
  try {
    if (options.lend_thread)
      options.lend_thread(work);
    else
      thread_ = std::thread([work] {
        (void)::pthread_setname_np(::pthread_self(), "share");
        work();
      });
  } catch (const std::system_error& error) {
    return fail_errno("start the thread of a share", error.code().value());
  }
  ended_ = promises->ended.get_future();
  MSB_CHECK(promises->started.get_future().get());
  running_ = true;
  return {};
}

Result<> VirtioFs::run_thread(const std::function<void(Result<>)>& started) {
  MSB_TRY(reactor_, Reactor::create());
  MSB_TRY(mailbox_, Mailbox::create(*reactor_));
  started({});
  return reactor_->run();
}

VirtioFs::~VirtioFs() {
  if (running_) {
    reset();
    mailbox_->run([this] { reactor_->stop(); });
  }
  if (ended_.valid()) ended_.wait();
  if (thread_.joinable()) thread_.join();
}

Result<> VirtioFs::prepare(const std::function<Result<>()>& step) {
  Result<> done;
  mailbox_->run([&] { done = step(); });
  return done;
}

std::span<const uint16_t> VirtioFs::queue_sizes() const {
  return kQueueSizes;
}

void VirtioFs::read_config(uint32_t offset, MutableByteView out) const {
  copy_config(config_, offset, out);
}

Result<> VirtioFs::activate(Activation activation) {
  Result<> done;
  mailbox_->run([&] { done = serve(std::move(activation)); });
  if (!done) reset();
  return done;
}

void VirtioFs::reset() {
  mailbox_->run([this] { queues_ = {}; });
}

Result<> VirtioFs::serve(Activation activation) {
  activation.queues.resize(kQueueCount);
  DeviceContext* context = activation.context;
  for (Index index : {kHighPriority, kRequests}) {
    MSB_TRY(queues_[index],
            ServedQueue::create(*reactor_, *context, index, std::move(activation.queues[index]),
                                {.request = [this, index](Chain chain) { return answer(index, std::move(chain)); },
                                 .broken =
                                     [this, context](const Error& what) {
                                       queues_ = {};
                                       context->broken(what);
                                     }}));
  }
  return {};
}

Result<> VirtioFs::answer(Index queue, Chain chain) {
  // Our guests' kernel lets a FORGET wait for the next request, instead of kicking for it.
  if (queue == kRequests) MSB_CHECK(queues_[kHighPriority]->look());
  const uint32_t written = server_->answer(chain.readable(), chain.writable());
  return queues_[queue]->complete(std::move(chain), written);
}

}  // namespace msb::virtio
