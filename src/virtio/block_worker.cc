#include "virtio/block_worker.h"

#include <pthread.h>

#include <future>
#include <system_error>

namespace msb::virtio {

Result<std::unique_ptr<BlockWorker>> BlockWorker::create(disk::BlockDevice& disk, Hooks hooks) {
  std::unique_ptr<BlockWorker> worker(new BlockWorker(disk, std::move(hooks)));
  std::promise<Result<>> started;
  auto result = started.get_future();
  try {
    worker->thread_ = std::thread([self = worker.get(), &started] {
      (void)::pthread_setname_np(::pthread_self(), "disk");
      auto walls = self->hooks_.start();
      const bool up = walls.has_value();
      started.set_value(std::move(walls));
      if (!up) return;
      self->run();
      self->hooks_.end();
    });
  } catch (const std::system_error& error) {
    return fail_errno("start the thread of a disk", error.code().value());
  }
  MSB_CHECK(result.get());
  return worker;
}

BlockWorker::BlockWorker(disk::BlockDevice& disk, Hooks hooks)
    : hooks_(std::move(hooks)), executor_(disk, [this](const Error& error) {
        std::lock_guard lock(mutex_);
        if (!error_) error_ = error;
      }) {}

BlockWorker::~BlockWorker() {
  {
    std::lock_guard lock(mutex_);
    jobs_.clear();
    next_ = 0;
    stop_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void BlockWorker::submit(BlockRequest request, BlockExecutor::Cache cache) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back({std::move(request), cache});
    wake = std::exchange(waiting_, false);
  }
  if (wake) wake_.notify_one();
}

std::optional<Error> BlockWorker::take_finished(std::vector<BlockRequest>& out) {
  std::lock_guard lock(mutex_);
  finished_.swap(out);
  return std::exchange(error_, std::nullopt);
}

void BlockWorker::drop() {
  std::unique_lock lock(mutex_);
  jobs_.clear();
  next_ = 0;
  dropped_ = working_;
  rest_.wait(lock, [this] { return !working_; });
  finished_.clear();
  error_.reset();
}

void BlockWorker::run() {
  // How many taken jobs may lie in front of those to come before they are moved up.
  constexpr size_t kStale = 64;
  std::unique_lock lock(mutex_);
  while (true) {
    while (!stop_ && next_ == jobs_.size()) {
      waiting_ = true;
      wake_.wait(lock);
    }
    waiting_ = false;
    if (stop_) return;
    Job job = std::move(jobs_[next_++]);
    if (next_ == jobs_.size()) {
      jobs_.clear();  // keeps its memory
      next_ = 0;
    } else if (next_ == kStale) {
      jobs_.erase(jobs_.begin(), jobs_.begin() + kStale);
      next_ = 0;
    }
    working_ = true;
    lock.unlock();
    const BlockStatus status = executor_.execute(job.request, job.cache);
    job.request.put_status(status);
    lock.lock();
    working_ = false;
    rest_.notify_all();
    if (std::exchange(dropped_, false)) continue;
    const bool first = finished_.empty();
    finished_.push_back(std::move(job.request));
    if (first) {
      lock.unlock();
      hooks_.finished();
      lock.lock();
    }
  }
}

}  // namespace msb::virtio
