#include "virtio/balloon_device.h"

#include <algorithm>
#include <array>

#include "virtio/config_space.h"

namespace msb::virtio {
namespace {

constexpr uint64_t kStatsQueue = uint64_t{1} << 1;
constexpr uint64_t kDeflateOnOom = uint64_t{1} << 2;
constexpr uint64_t kReporting = uint64_t{1} << 5;

// Inflate, deflate, statistics, reporting. The driver has one request under way in each; its reports have up to 32
// blocks, and it insists on as many descriptors.
constexpr uint16_t kQueueSizes[] = {16, 16, 2, 32};
constexpr int kTurn = 8;

// So many pages taken back are a sign that the guest is short: its driver takes 256 at a time then. Fewer may be pages
// that only move (compaction: the new one comes in, then the old one goes out).
constexpr uint64_t kSlack = 128;

// struct virtio_balloon_config (5.5.4): num_pages, actual.
constexpr uint32_t kActualOffset = 4;

// struct virtio_balloon_stat (5.5.6.3): a 16-bit tag and a 64-bit value, packed. Linux sends 16.
constexpr size_t kStatSize = 10;
constexpr size_t kMaxStats = 32;
constexpr uint16_t kStatFree = 4;
constexpr uint16_t kStatTotal = 5;
constexpr uint16_t kStatAvailable = 6;
constexpr uint16_t kStatCaches = 7;

// Joins neighbours, so that a run of pages is one system call.
class Runs {
 public:
  explicit Runs(PageReleaser& releaser) : releaser_(releaser) {}
  ~Runs() { flush(); }
  void add(uint64_t address, uint64_t length) {
    if (length_ > 0 && address == address_ + length_) {
      length_ += length;
      return;
    }
    flush();
    address_ = address;
    length_ = length;
  }

 private:
  void flush() {
    if (length_ > 0) releaser_.release(GuestAddress{address_}, length_);
    length_ = 0;
  }
  PageReleaser& releaser_;
  uint64_t address_ = 0;
  uint64_t length_ = 0;
};

}  // namespace

uint64_t BalloonDevice::features() const {
  // Not MUST_TELL_HOST: a page touched without telling is simply there again. Not PAGE_POISON: our kernel does not
  // poison, and one that does then leaves reporting off.
  return kStatsQueue | kDeflateOnOom | kReporting;
}

std::span<const uint16_t> BalloonDevice::queue_sizes() const {
  return kQueueSizes;
}

void BalloonDevice::read_config(uint32_t offset, MutableByteView out) const {
  std::array<uint8_t, 8> config;
  store_le<uint32_t>(&config[0], target_);
  store_le<uint32_t>(&config[kActualOffset], actual_);
  copy_config(config, offset, out);
}

void BalloonDevice::write_config(uint32_t offset, ByteView bytes) {
  if (offset == kActualOffset && bytes.size() == sizeof(uint32_t)) actual_ = load_le<uint32_t>(bytes.data());
}

void BalloonDevice::set_target(uint32_t pages) {
  pages = std::min(pages, pages_);
  peak_ = in_balloon_;
  if (target_.exchange(pages) != pages && context_) context_->config_changed();
}

Result<> BalloonDevice::activate(Activation activation) {
  auto started = start(std::move(activation));
  if (!started) reset();
  return started;
}

Result<> BalloonDevice::start(Activation activation) {
  memory_ = activation.memory;
  context_ = activation.context;
  auto& queues = activation.queues;
  queues.resize(std::size(kQueueSizes));
  // Numbered by the features taken, one after the other, as Linux does and against the table in 5.5.2.
  uint16_t next = 0;
  auto serve = [&](std::unique_ptr<ServedQueue>& served, std::function<Result<>(Chain)> request) -> Result<> {
    const uint16_t index = next++;
    MSB_TRY(served, ServedQueue::create(
                        reactor_, *context_, index, std::move(queues[index]),
                        {.request = std::move(request), .broken = [this](const Error& what) { broken(what); }}, kTurn));
    return {};
  };
  MSB_CHECK(serve(inflate_, [this](Chain chain) { return move_pages(Direction::inflate, std::move(chain)); }));
  MSB_CHECK(serve(deflate_, [this](Chain chain) { return move_pages(Direction::deflate, std::move(chain)); }));
  if (activation.features & kStatsQueue)
    MSB_CHECK(serve(stats_queue_, [this](Chain chain) { return stats(std::move(chain)); }));
  if (activation.features & kReporting)
    MSB_CHECK(serve(reporting_, [this](Chain chain) { return report(std::move(chain)); }));
  return {};
}

void BalloonDevice::reset() {
  inflate_.reset();
  deflate_.reset();
  stats_queue_.reset();
  reporting_.reset();
  stats_buffer_.reset();
  asked_ = false;
  in_balloon_ = 0;
  peak_ = 0;
  actual_ = 0;
  memory_ = nullptr;
  context_ = nullptr;
}

void BalloonDevice::broken(const Error& what) {
  DeviceContext* context = context_;
  reset();
  context->broken(what);
}

Result<> BalloonDevice::move_pages(Direction direction, Chain chain) {
  const uint64_t bytes = chain.readable_bytes();
  if (bytes % sizeof(uint32_t) != 0 || bytes > kMaxPages * sizeof(uint32_t))
    return fail(ErrorKind::protocol, cat("a balloon request of ", bytes, " bytes"));
  std::array<uint8_t, kMaxPages * sizeof(uint32_t)> raw;
  const size_t count = chain.read(0, MutableByteView(raw.data(), bytes)) / sizeof(uint32_t);
  std::array<uint32_t, kMaxPages> pages;
  for (size_t i = 0; i < count; ++i) pages[i] = load_le<uint32_t>(&raw[i * sizeof(uint32_t)]);

  if (direction == Direction::deflate) {
    // The pages are there again when touched. Only the account is kept.
    in_balloon_ -= std::min<uint64_t>(in_balloon_, count);
  } else {
    std::sort(pages.begin(), pages.begin() + count);
    const size_t different = std::unique(pages.begin(), pages.begin() + count) - pages.begin();
    Runs runs(releaser_);
    for (size_t i = 0; i < different; ++i) {
      const uint64_t address = pages[i] * kPage;
      if (!memory_->slice(GuestAddress{address}, kPage))
        return fail(ErrorKind::protocol, cat("page ", pages[i], " for the balloon is not memory"));
      runs.add(address, kPage);
    }
    in_balloon_ = std::min<uint64_t>(in_balloon_ + count, pages_);
  }

  peak_ = std::max(peak_, in_balloon_);
  const bool pressure = in_balloon_ + kSlack <= std::min<uint64_t>(peak_, target_);
  if (pressure) peak_ = in_balloon_;
  auto& served = direction == Direction::inflate ? inflate_ : deflate_;
  MSB_CHECK(served->complete(std::move(chain), 0));
  if (pressure && pressure_) pressure_();
  return {};
}

Result<> BalloonDevice::report(Chain chain) {
  {
    Runs runs(releaser_);
    for (const MutableByteView block : chain.writable()) {
      for (const GuestMemory::Region& region : memory_->regions()) {
        if (block.data() < region.host || block.data() >= region.host + region.size) continue;
        // Inwards, to whole pages: never more than was said.
        const uint64_t begin = region.base + static_cast<uint64_t>(block.data() - region.host);
        const uint64_t first = (begin + kPage - 1) / kPage * kPage;
        const uint64_t last = (begin + block.size()) / kPage * kPage;
        if (first < last) runs.add(first, last - first);
      }
    }
  }
  // Nothing is written: the length says nothing of the contents (5.5.6.7).
  return reporting_->complete(std::move(chain), 0);
}

void BalloonDevice::request_stats(std::function<void(const Stats&)> answer) {
  answer_ = std::move(answer);
  if (auto asked = ask_for_stats(); !asked) broken(asked.error());
}

Result<> BalloonDevice::ask_for_stats() {
  if (!stats_queue_ || !stats_buffer_ || !answer_ || asked_) return {};
  MSB_CHECK(stats_queue_->complete(std::move(*stats_buffer_), 0));
  stats_buffer_.reset();
  asked_ = true;
  return stats_queue_->tell();
}

Result<> BalloonDevice::stats(Chain chain) {
  // Two buffers at once would let the guest answer before it is asked.
  if (stats_buffer_) return fail(ErrorKind::protocol, "a second buffer of memory statistics");
  std::array<uint8_t, kStatSize * kMaxStats> raw;
  const size_t size = chain.read(0, raw);
  stats_buffer_ = std::move(chain);
  if (!asked_) return ask_for_stats();  // the first buffer; somebody may have asked before

  asked_ = false;
  Stats stats;
  ByteReader reader(ByteView(raw.data(), size));
  while (auto tag = reader.le<uint16_t>()) {
    auto value = reader.le<uint64_t>();
    if (!value) break;
    if (*tag == kStatFree) stats.free = *value;
    if (*tag == kStatTotal) stats.total = *value;
    if (*tag == kStatAvailable) stats.available = *value;
    if (*tag == kStatCaches) stats.caches = *value;
  }
  if (auto answer = std::exchange(answer_, nullptr)) answer(stats);
  return {};
}

}  // namespace msb::virtio
