#include "agent/oom_watch.h"

#include "agent/text.h"
#include "base/fd.h"

namespace msb::agent {

bool OomWatch::killed_since_last_time() {
  auto text = read_file(vmstat_, 64 * 1024);
  if (!text) return false;
  for (auto line : split(*text, '\n')) {
    constexpr std::string_view kKey = "oom_kill ";
    if (!line.starts_with(kKey)) continue;
    uint64_t now = parse_number<uint64_t>(line.substr(kKey.size())).value_or(0);
    return now > std::exchange(seen_, now);
  }
  return false;
}

}  // namespace msb::agent
