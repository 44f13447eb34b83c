// Block requests from a stranger, on a sound ring: the input is a list of requests, each with its readable bytes and
// the sizes of its writable buffers. All must be answered or break the device, and nothing outside the buffers and the
// disk be touched.
#include <cstdlib>

#include "virtio/block_request.h"
#include "virtio/testing/ring_builder.h"

namespace {

using namespace msb;
using namespace msb::virtio;
using virtio::testing::Buffer;
using virtio::testing::GuestRam;
using virtio::testing::RingBuilder;

void require(bool condition) {
  if (!condition) std::abort();
}

// One to three buffers of lengths from the input.
void add_request(RingBuilder& ring, ByteReader& reader) {
  std::vector<Buffer> buffers;
  const uint8_t shape = *reader.le<uint8_t>();
  for (int i = 0; i <= (shape & 3); ++i) {
    const size_t length = std::min<size_t>(reader.le<uint8_t>().value_or(0), reader.remaining());
    if (length > 0) buffers.push_back(ring.out(*reader.take(length)));
  }
  for (int i = 0; i < ((shape >> 2) & 3); ++i)
    buffers.push_back(ring.in(1 + uint32_t{reader.le<uint16_t>().value_or(0)} % 5000));
  if (!buffers.empty()) shape & 16 ? ring.add_indirect(buffers) : ring.add(buffers);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteReader reader({data, size});
  const uint8_t flags = reader.le<uint8_t>().value_or(0);
  GuestRam ram(uint64_t{4} << 20);
  RingBuilder ring(ram, 64);
  auto queue = Queue::activate(ram.memory(), ring.layout(), 64, ring.features()).value();
  disk::MemoryDisk disk(Bytes(64 << 10, 0x5a), flags & 1 ? disk::Access::read_only : disk::Access::read_write);
  BlockExecutor executor(disk, [](const Error&) {});
  const auto cache = flags & 2 ? BlockExecutor::Cache::write_through : BlockExecutor::Cache::write_back;

  for (int requests = 0; requests < 100 && reader.remaining() > 0; ++requests) {
    add_request(ring, reader);
    auto chain = queue.pop();
    require(chain.has_value());
    if (!*chain) continue;
    const auto writable = static_cast<uint32_t>((*chain)->writable_bytes());
    auto request = BlockRequest::parse(std::move(**chain));
    require(request.has_value() == (writable > 0));
    if (!request) break;
    auto status = executor.execute_now(*request, "fuzz");
    if (!status) status = executor.execute(*request, cache);
    request->put_status(*status);
    require(queue.complete(std::move(request->chain), writable).has_value());
    require(ring.take_used().has_value());
  }
  // A read-only disk is as it was.
  if (flags & 1) require(disk.bytes() == Bytes(64 << 10, 0x5a));
  return 0;
}
