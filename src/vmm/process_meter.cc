#include "vmm/process_meter.h"

#include <unistd.h>

#include <array>
#include <charconv>

namespace msb::vmm {

Result<ProcessMeter> ProcessMeter::open(pid_t pid) {
  clockid_t clock{};
  if (int error = ::clock_getcpuclockid(pid, &clock); error != 0)
    return fail_errno(cat("find the clock of process ", pid), error);
  auto statm = open_file(cat("/proc/", pid, "/statm"));
  return ProcessMeter(clock, statm ? std::move(*statm) : Fd());
}

Result<uint64_t> ProcessMeter::cpu_time_ns() const {
  timespec time{};
  if (::clock_gettime(clock_, &time) < 0) return fail_errno("read the clock of the machine's process");
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

std::optional<uint64_t> ProcessMeter::resident_bytes() const {
  std::array<char, 256> text;
  const ssize_t size = statm_ ? ::pread(statm_.get(), text.data(), text.size(), 0) : -1;
  if (size <= 0) return std::nullopt;
  return parse_statm({text.data(), static_cast<size_t>(size)}, static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)));
}

std::optional<uint64_t> parse_statm(std::string_view text, uint64_t page_size) {
  const size_t space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  text.remove_prefix(space + 1);
  uint64_t pages = 0;
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), pages);
  if (error != std::errc() || rest == text.data() + text.size() || *rest != ' ') return std::nullopt;
  // A process that has ended has no memory left to tell of.
  if (pages == 0 || pages > UINT64_MAX / page_size) return std::nullopt;
  return pages * page_size;
}

}  // namespace msb::vmm
