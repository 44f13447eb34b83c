// What the portable machine costs: the fence, the way to PID 1, memory.
//
//   qemu_boot [runs] [memory MiB] [translation cache MiB]
//
// MSB_KERNEL_PATH or kernel/build gives the kernel, MSB_QEMU_PATH chooses a QEMU. Times are milliseconds from the call
// of PortableMachine::start; the fastest and the median of the runs.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "base/temp_dir.h"
#include "fence/fence.h"
#include "qemu/portable_machine.h"
#include "qemu/system_calls.h"
#include "qemu/testing/guest.h"

namespace {

using namespace msb;
using namespace msb::qemu;
using namespace msb::fence;

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::cerr << "qemu_boot: " << result.error().to_string() << "\n";
  std::exit(1);
}

class Stopwatch {
 public:
  double milliseconds() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void show(const char* what, std::vector<double> values, const char* unit) {
  std::sort(values.begin(), values.end());
  std::printf("%-34s min %8.1f  median %8.1f %s\n", what, values.front(), values[values.size() / 2], unit);
}

// The time until a fenced program that ends at once has ended.
double fence_once(const QemuProgram& qemu, const std::vector<Wall>& without) {
  auto null = must(open_file("/dev/null", O_RDWR));
  FencedCommand command;
  command.argv = {FENCE_PROBE_PATH};
  command.files = {{FENCE_PROBE_PATH, FenceFile::Use::execute}};
  for (const auto& library : qemu.libraries) command.files.push_back({library.path});
  command.fds = {{null.get(), 0}, {null.get(), 1}, {null.get(), 2}};
  command.without = without;
  Stopwatch watch;
  command.seccomp = must(build_seccomp_filter(system_call_policy()));
  FencedChild child = must(start_fenced(command));
  (void)child.child.wait();
  return watch.milliseconds();
}

struct Boot {
  double started = 0, first_output = 0, pid_one = 0, ready = 0;
  double processor = 0, resident = 0, proportional = 0;
};

double memory_of(pid_t pid, const char* key) {
  auto text = read_file(cat("/proc/", pid, "/smaps_rollup"), 65536);
  size_t at = text ? text->find(key) : std::string::npos;
  return at == std::string::npos ? 0 : std::atof(text->c_str() + at + std::string_view(key).size()) / 1024;
}

// What a busy host does not blur: milliseconds of processor time that QEMU has used.
double processor_time(pid_t pid) {
  clockid_t clock;
  timespec used{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return 0;
  return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6;
}

Boot boot_once(const state::MachineSpec& spec, const QemuProgram& qemu, uint32_t tb_size_mib) {
  auto reactor = must(Reactor::create());
  MachineOptions options;
  options.tb_size_mib = tb_size_mib;
  Boot boot;
  Stopwatch watch;
  auto machine = must(PortableMachine::start(*reactor, spec, qemu,
                                             {.on_exit =
                                                  [&](const MachineExit& exit) {
                                                    std::cerr << exit.to_error().message() << "\n";
                                                    std::exit(1);
                                                  }},
                                             options));
  boot.started = watch.milliseconds();
  char buffer[4096];
  auto console = must(reactor->watch(machine->console_fd(), EPOLLIN, [&](uint32_t) {
    ssize_t count = ::read(machine->console_fd(), buffer, sizeof(buffer));
    if (count > 0 && boot.first_output == 0) boot.first_output = watch.milliseconds();
    if (count > 0 && boot.pid_one == 0 &&
        std::string_view(buffer, static_cast<size_t>(count)).find('P') != std::string_view::npos)
      boot.pid_one = watch.milliseconds();
  }));
  auto agent = must(reactor->watch(machine->agent_fd(), EPOLLIN, [&](uint32_t) {
    boot.ready = watch.milliseconds();
    reactor->stop();
  }));
  (void)must(reactor->run().map([] { return 0; }));
  boot.processor = processor_time(machine->pid());
  boot.resident = memory_of(machine->pid(), "Rss:");
  boot.proportional = memory_of(machine->pid(), "Pss:");
  return boot;
}

}  // namespace

int main(int count, char** words) {
  int runs = count > 1 ? std::atoi(words[1]) : 9;
  uint32_t memory = count > 2 ? static_cast<uint32_t>(std::atoi(words[2])) : 512;
  uint32_t tb_size = count > 3 ? static_cast<uint32_t>(std::atoi(words[3])) : 0;
  TempDir dir = must(TempDir::create());
  QemuSearch search{dir.path() + "/qemu.json", {}};
  (void)must(find_qemu(search));
  Stopwatch lookup;
  QemuProgram qemu = must(find_qemu(search));
  double warm = lookup.milliseconds();
  state::MachineSpec spec;
  spec.kernel = must(testing::test_kernel());
  spec.initramfs = dir.path() + "/initramfs.cpio";
  spec.memory_mib = memory;
  (void)must(testing::write_initramfs(spec.initramfs, GUEST_INIT_PATH).map([] { return 0; }));
  std::printf("QEMU %s, %u MiB\n", qemu.version.to_string().c_str(), memory);
  show("find QEMU, warm cache", {warm}, "ms");

  std::vector<Wall> all;
  for (int wall = 0; wall <= static_cast<int>(Wall::unprivileged_user); ++wall) all.push_back(static_cast<Wall>(wall));
  std::vector<double> open, fenced;
  for (int i = 0; i < 2 * runs; ++i) {
    open.push_back(fence_once(qemu, all));
    fenced.push_back(fence_once(qemu, {}));
  }
  show("start and end, no wall", open, "ms");
  show("start and end, every wall", fenced, "ms");

  std::vector<double> started, first, pid_one, ready, processor, resident, proportional;
  for (int i = 0; i < runs; ++i) {
    Boot boot = boot_once(spec, qemu, tb_size);
    started.push_back(boot.started);
    if (boot.first_output != 0) first.push_back(boot.first_output);
    if (boot.pid_one != 0) pid_one.push_back(boot.pid_one);
    ready.push_back(boot.ready);
    processor.push_back(boot.processor);
    resident.push_back(boot.resident);
    proportional.push_back(boot.proportional);
  }
  show("start() returned (QEMU executed)", started, "ms");
  if (!first.empty()) show("first byte on the console", first, "ms");
  if (!pid_one.empty()) show("PID 1 on the console", pid_one, "ms");
  show("PID 1 on the agent channel", ready, "ms");
  show("processor time of QEMU until then", processor, "ms");
  show("resident memory of QEMU", resident, "MiB");
  show("proportional share of it", proportional, "MiB");
}
