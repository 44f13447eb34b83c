#include "qemu/tsc.h"

#include <charconv>
#include <ctime>
#include <string>

#include "base/fd.h"

namespace msb::qemu {
namespace {

#if defined(__x86_64__)
uint64_t read_counter() {
  return __builtin_ia32_rdtsc();
}

int64_t raw_nanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Good to about 0.01 %: enough to tell whether the kernel's own figure is about this counter.
uint64_t measure_khz() {
  constexpr int64_t kWindow = 10'000'000;
  int64_t start = raw_nanoseconds();
  uint64_t first = read_counter();
  int64_t now = start;
  while (now - start < kWindow) now = raw_nanoseconds();
  uint64_t ticks = read_counter() - first;
  return ticks * 1'000'000 / static_cast<uint64_t>(now - start);
}
#endif

}  // namespace

uint64_t tsc_khz_from_cpuinfo(std::string_view cpuinfo) {
  size_t at = cpuinfo.find("bogomips");
  if (at == std::string_view::npos) return 0;
  at = cpuinfo.find(':', at);
  if (at == std::string_view::npos) return 0;
  ++at;
  while (at < cpuinfo.size() && cpuinfo[at] == ' ') ++at;
  double bogomips = 0;
  auto [end, error] = std::from_chars(cpuinfo.data() + at, cpuinfo.data() + cpuinfo.size(), bogomips);
  if (error != std::errc() || bogomips <= 0 || bogomips > 1e6) return 0;
  // Linux prints two loops a TSC tick: 4890.85 is 2 445 425 kHz, exact to 5 kHz.
  return static_cast<uint64_t>(bogomips * 500 + 0.5);
}

uint64_t host_tsc_khz() {
#if defined(__x86_64__)
  uint64_t measured = measure_khz();
  char text[4096];  // the first processor is enough, and asking for all of them is slow on large hosts
  auto file = open_file("/proc/cpuinfo");
  auto count = file ? read_some(file->get(), {reinterpret_cast<uint8_t*>(text), sizeof(text)}) : Result<size_t>(0);
  uint64_t stated = count ? tsc_khz_from_cpuinfo({text, *count}) : 0;
  uint64_t difference = stated > measured ? stated - measured : measured - stated;
  return stated != 0 && difference < measured / 200 ? stated : measured;
#elif defined(__aarch64__)
  uint64_t frequency;
  asm volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
  return frequency / 1000;
#else
  return 0;
#endif
}

}  // namespace msb::qemu
