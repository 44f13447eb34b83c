// RecordingDisk: a disk in memory that writes down everything done to it, to play power losses afterwards.
#pragma once

#include <random>

#include "disk/block_device.h"

namespace msb::disk::testing {

// What a disk has been through. Copied out, so that it outlives the disk.
struct Recording {
  struct Event {
    enum class Kind { write, flush, grow } kind;
    uint64_t offset = 0;  // grow: the new size
    Bytes bytes = {};
  };
  Bytes start;
  std::vector<Event> events;
};

// Plays a recording up to a power loss, at later and later moments.
class PowerLosses {
 public:
  PowerLosses(const Recording& recording, unsigned seed)
      : events_(recording.events), safe_(recording.start), random_(seed) {}

  // The disk after the power failed just before event number `cut`: all that came before the last flush, and of what
  // came after it some sectors, by chance.
  Bytes at(size_t cut) {
    for (size_t i = played_; i < cut; ++i) {
      if (events_[i].kind != Recording::Event::Kind::flush) continue;
      for (; played_ <= i; ++played_) play(safe_, events_[played_], false);
    }
    Bytes disk = safe_;
    for (size_t i = played_; i < cut; ++i) play(disk, events_[i], true);
    return disk;
  }

 private:
  void play(Bytes& disk, const Recording::Event& event, bool by_chance) {
    if (event.kind == Recording::Event::Kind::grow) disk.resize(event.offset);
    for (size_t at = 0; at < event.bytes.size(); at += 512) {
      if (by_chance && random_() % 2 == 0) continue;
      std::copy_n(event.bytes.begin() + static_cast<ptrdiff_t>(at), std::min<size_t>(512, event.bytes.size() - at),
                  disk.begin() + static_cast<ptrdiff_t>(event.offset + at));
    }
  }

  const std::vector<Recording::Event>& events_;
  Bytes safe_;         // after the last flush before the last cut
  size_t played_ = 0;  // events in safe_
  std::mt19937_64 random_;
};

class RecordingDisk final : public BlockDevice {
 public:
  RecordingDisk(Bytes bytes, Recording& recording) : disk_(bytes, Access::read_write), recording_(recording) {
    recording_.start = std::move(bytes);
  }
  uint64_t size() const override { return disk_.size(); }
  bool read_only() const override { return false; }
  Result<> readv(uint64_t offset, Buffers out) override { return disk_.readv(offset, out); }
  Result<> writev(uint64_t offset, Buffers in) override {
    Bytes bytes(total_bytes(in));
    BufferCursor(in).get(bytes);
    recording_.events.push_back({Recording::Event::Kind::write, offset, std::move(bytes)});
    return disk_.writev(offset, in);
  }
  Result<> flush() override {
    recording_.events.push_back({Recording::Event::Kind::flush});
    return {};
  }
  // Gives the space back to be filled with rubbish: nobody may look at it.
  Result<> discard(uint64_t offset, uint64_t length) override { return write(offset, Bytes(length, 0xdb)); }
  Result<> grow(uint64_t size) override {
    recording_.events.push_back({Recording::Event::Kind::grow, size});
    return disk_.grow(size);
  }

 private:
  MemoryDisk disk_;
  Recording& recording_;
};

}  // namespace msb::disk::testing
