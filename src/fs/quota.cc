#include "fs/quota.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

namespace msb::fs {
namespace {

// Waits for it; belongs to the open file, so a process that dies gives it back.
void lock_turn(int record, short type) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = kTurnByte;
  lock.l_len = 1;
  while (::fcntl(record, F_OFD_SETLKW, &lock) < 0 && errno == EINTR) {
  }
}

int64_t load(int64_t& value) {
  return std::atomic_ref(value).load(std::memory_order_relaxed);
}

// Another user may have written anything into the record: no sum may overflow.
void add_to(int64_t& value, int64_t change) {
  int64_t sum = 0;
  if (__builtin_add_overflow(load(value), change, &sum)) sum = change > 0 ? INT64_MAX : INT64_MIN;
  std::atomic_ref(value).store(sum, std::memory_order_relaxed);
}

}  // namespace

std::unique_ptr<Quota> Quota::of_growth(uint64_t limit) {
  return std::unique_ptr<Quota>(new Quota(limit));
}

Result<std::unique_ptr<Quota>> Quota::of_volume(uint64_t limit, Fd record) {
  std::unique_ptr<Quota> quota(new Quota(limit));
  MSB_TRY(quota->mapping_, Mmap::shared(record.get(), sizeof(UsageRecord)));
  quota->usage_ = reinterpret_cast<UsageRecord*>(quota->mapping_.data());
  quota->record_ = std::move(record);
  return quota;
}

uint64_t Quota::used() const {
  return static_cast<uint64_t>(std::max<int64_t>(load(usage_->used), 0));
}

uint64_t Quota::left() const {
  return limit_ - std::min(used(), limit_);
}

Quota::Turn::Turn(Quota* quota) : quota_(quota) {
  if (!quota_ || !quota_->record_) return;
  lock_turn(quota_->record_.get(), F_WRLCK);
  std::atomic_ref(quota_->usage_->in_turn).store(1, std::memory_order_relaxed);
}

Quota::Turn::~Turn() {
  if (!quota_ || !quota_->record_) return;
  std::atomic_ref(quota_->usage_->in_turn).store(0, std::memory_order_relaxed);
  lock_turn(quota_->record_.get(), F_UNLCK);
}

bool Quota::Turn::fits(uint64_t growth) const {
  if (!quota_ || growth == 0) return true;
  const int64_t used = load(quota_->usage_->used);
  int64_t sum = 0;
  if (growth > INT64_MAX || __builtin_add_overflow(used, static_cast<int64_t>(growth), &sum)) return false;
  return sum <= 0 || static_cast<uint64_t>(sum) <= quota_->limit_;
}

void Quota::Turn::add(int64_t change) {
  if (quota_) add_to(quota_->usage_->used, change);
}

void Quota::Turn::add_nameless(int64_t change) {
  if (quota_) add_to(quota_->usage_->nameless, change);
}

}  // namespace msb::fs
