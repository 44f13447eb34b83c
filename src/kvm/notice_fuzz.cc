// What a hostile msb-kvm may say on its control socket.
#include <cstdlib>

#include "kvm/kvm_process.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto notice = msb::kvm::parse_notice({data, size});
  if (!notice) return 0;
  auto clean = [](const std::string& text, bool lines) {
    for (char c : text)
      if ((c < ' ' || c > '~') && !(lines && c == '\n')) std::abort();
  };
  clean(notice->message, false);
  clean(notice->hint, false);
  clean(notice->error, false);
  clean(notice->registers, true);
  for (const auto& wall : notice->walls) clean(wall, false);
  return 0;
}
