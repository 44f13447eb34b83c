// BlockWorker: the thread of one disk, which carries out requests one after the other, so that nobody else waits for
// the host's disk. In order: a flush comes after every write that was submitted before it.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "virtio/block_request.h"

namespace msb::virtio {

class BlockWorker {
 public:
  struct Hooks {
    // First on the new thread: raises its walls.
    std::function<Result<>()> start = [] { return Result<>(); };
    // On the worker's thread: the list of finished requests is not empty any more.
    std::function<void()> finished;
    // Last on it, when the worker is being destroyed: closes the disk, which may mean writing to it.
    std::function<void()> end = [] {};
  };

  // Returns when the thread has started. Failures: io (no more threads), that of Hooks::start.
  static Result<std::unique_ptr<BlockWorker>> create(disk::BlockDevice& disk, Hooks hooks);
  ~BlockWorker();  // drops what is not finished

  void submit(BlockRequest request, BlockExecutor::Cache cache);
  // Swaps the finished requests, which have their status, for `out`, which must be empty. The first error of the disk
  // since the last call comes with them.
  std::optional<Error> take_finished(std::vector<BlockRequest>& out);
  // Forgets all requests. When it returns, none is being carried out.
  void drop();

 private:
  struct Job {
    BlockRequest request;
    BlockExecutor::Cache cache;
  };
  BlockWorker(disk::BlockDevice& disk, Hooks hooks);
  void run();

  Hooks hooks_;
  BlockExecutor executor_;  // the worker's

  std::mutex mutex_;              // guards all below
  std::condition_variable wake_;  // the worker: there is work, or stop_
  std::condition_variable rest_;  // the others: working_ is false
  std::vector<Job> jobs_;         // those before next_ have been taken
  size_t next_ = 0;
  std::vector<BlockRequest> finished_;
  std::optional<Error> error_;
  bool waiting_ = false;  // in wake_, and nobody has notified it yet
  bool working_ = false;
  bool dropped_ = false;  // what it is working on is not wanted any more
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace msb::virtio
