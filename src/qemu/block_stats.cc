#include "qemu/block_stats.h"

namespace msb::qemu {
namespace {

Result<uint64_t> counter(const nlohmann::json& stats, const char* key) {
  auto found = stats.find(key);
  if (found == stats.end() || !found->is_number_unsigned())
    return fail(ErrorKind::protocol, cat("QEMU counts no ", key, " of a disk"));
  return found->get<uint64_t>();
}

}  // namespace

Result<disk::DiskTraffic> parse_block_stats(const nlohmann::json& answer) {
  if (!answer.is_array()) return fail(ErrorKind::protocol, "QEMU's answer about its disks is no list");
  disk::DiskTraffic sum;
  for (const auto& disk : answer) {
    auto stats = disk.is_object() ? disk.find("stats") : disk.end();
    if (stats == disk.end() || !stats->is_object())
      return fail(ErrorKind::protocol, "QEMU tells of a disk without stats");
    MSB_TRY(uint64_t read, counter(*stats, "rd_bytes"));
    MSB_TRY(uint64_t written, counter(*stats, "wr_bytes"));
    sum.read_bytes += read;
    sum.written_bytes += written;
  }
  return sum;
}

}  // namespace msb::qemu
