// Any bytes from QEMU's control channel: cut into lines and parsed, answers also as those about its disks.
#include "qemu/block_stats.h"
#include "qemu/qmp.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  msb::qemu::QmpSplitter splitter;
  auto parse = [](std::string_view line) -> msb::Result<> {
    auto message = msb::qemu::parse_qmp(line);
    if (!message) return {};
    if (auto* event = std::get_if<msb::qemu::QmpEvent>(&*message)) (void)event->reason();
    if (auto* answer = std::get_if<msb::qemu::QmpReturn>(&*message)) (void)msb::qemu::parse_block_stats(answer->value);
    return {};
  };
  // In two pieces, so that the place of the cut is fuzzed too.
  size_t cut = size ? data[0] % size : 0;
  if (splitter.feed(input.substr(0, cut), parse)) (void)splitter.feed(input.substr(cut), parse);
  return 0;
}
