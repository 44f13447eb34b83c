#include "virtio/fs_device.h"

#include <pthread.h>

#include <future>
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

  std::promise<Result<>> started;
  try {
    device->thread_ = std::thread([self = device.get(), start = std::move(options.thread_start), &started] {
      (void)::pthread_setname_np(::pthread_self(), "share");
      bool told = false;
      auto ended = self->run_thread(start, [&](Result<> how) {
        told = true;
        started.set_value(std::move(how));
      });
      if (!told) started.set_value(std::move(ended));
    });
  } catch (const std::system_error& error) {
    return fail_errno("start the thread of a share", error.code().value());
  }
  MSB_CHECK(started.get_future().get());
  device->running_ = true;
  return device;
}

Result<> VirtioFs::run_thread(const std::function<Result<>()>& start, const std::function<void(Result<>)>& started) {
  MSB_TRY(reactor_, Reactor::create());
  MSB_TRY(mailbox_, Mailbox::create(*reactor_));
  MSB_CHECK(start());
  started({});
  return reactor_->run();
}

VirtioFs::~VirtioFs() {
  if (running_) {
    reset();
    mailbox_->run([this] { reactor_->stop(); });
  }
  if (thread_.joinable()) thread_.join();
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
  const uint32_t written = server_->answer(chain.readable(), chain.writable());
  return queues_[queue]->complete(std::move(chain), written);
}

}  // namespace msb::virtio
