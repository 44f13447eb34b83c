// Requests of the block device (virtio 1.2, 5.2.6): what the guest asks for, judged and carried out on a disk.
//
// Data goes straight between guest memory and the disk. All numbers of the guest's are copied before they are judged.
#pragma once

#include <optional>
#include <vector>

#include "disk/block_device.h"
#include "virtio/chain.h"

namespace msb::virtio {

enum class BlockRequestType : uint32_t { in = 0, out = 1, flush = 4, get_id = 8, discard = 11, write_zeroes = 13 };
enum class BlockStatus : uint8_t { ok = 0, io_error = 1, unsupported = 2 };

inline constexpr uint32_t kBlockSector = 512;
// Of one request to discard or to write zeroes. Such a request is not interrupted, so they bound how long a reset
// takes: zeros may have to be written one by one.
inline constexpr uint32_t kMaxBlockRanges = 16;
inline constexpr uint32_t kMaxDiscardSectors = (uint32_t{1} << 30) / kBlockSector;
inline constexpr uint32_t kMaxWriteZeroesSectors = (uint32_t{64} << 20) / kBlockSector;
inline constexpr size_t kBlockIdBytes = 20;

struct BlockRequest {
  Chain chain;
  BlockRequestType type;  // any number
  uint64_t sector;
  BlockStatus status = BlockStatus::io_error;  // until put_status()

  // Failure: protocol (not even room for a status). A header cut short makes a request that is answered with an error.
  static Result<BlockRequest> parse(Chain chain);
  // Writes the status, the last byte there is, and keeps it.
  void put_status(BlockStatus how);
  // Of the guest's data, to be read or written; 0 of requests that carry none.
  uint64_t data_bytes() const;
};

// One for each thread that carries out requests: it keeps memory from one to the next.
class BlockExecutor {
 public:
  // `report` hears of errors of the disk's, not of the guest's.
  BlockExecutor(disk::BlockDevice& disk, std::function<void(const Error&)> report)
      : disk_(disk), report_(std::move(report)) {}

  // Waits for the host's disk as long as it takes. With `write_through`, what is written is flushed at once.
  enum class Cache { write_back, write_through };
  BlockStatus execute(const BlockRequest& request, Cache cache);
  // Answers requests that need no waiting, which is all that are wrong, and reads from the host's page cache.
  std::optional<BlockStatus> execute_now(const BlockRequest& request, std::string_view id);

 private:
  struct Ranges;
  // Whether the request is sound: io_error or unsupported if not.
  BlockStatus check(const BlockRequest& request) const;
  bool in_disk(uint64_t sector, uint64_t sectors) const;
  Result<> carry_out(const BlockRequest& request, BlockStatus& status);
  BlockStatus read_ranges(const BlockRequest& request, Ranges& ranges) const;
  Result<> change_ranges(const BlockRequest& request, const Ranges& ranges);
  disk::Buffers data_in(const BlockRequest& request);
  disk::Buffers data_out(const BlockRequest& request);

  disk::BlockDevice& disk_;
  std::function<void(const Error&)> report_;
  std::vector<iovec> pieces_;
};

}  // namespace msb::virtio
