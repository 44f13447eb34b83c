// The program msb-kvm itself, with all its jails, under a hostile guest: it must end because the guest did, whatever
// that tried before, and never because a system call was one its role may not make.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/child.h"
#include "base/temp_dir.h"
#include "kvm/control.h"
#include "kvm/machine_config.h"
#include "scenarios.h"
#include "shared_files.h"

namespace msb::hostile {
namespace {

constexpr const char* kDevices[] = {"console", "entropy", "balloon",
                                    "disk",    "layer",   "share"};  // in the order of the machine

struct Outcome {
  ExitStatus status;
  kvm::Notice end;
  std::string console;
  bool files_contained = false;
};

Result<Fd> disk_file(const TempDir& folder, const std::string& name) {
  Bytes disk(size_t{DISK_SECTORS} * 512);
  std::memcpy(disk.data() + size_t{MARK_SECTOR} * 512, "disk", 4);
  MSB_CHECK(write_file_atomic(folder.path() + "/" + name, as_text(disk)));
  return open_file(folder.path() + "/" + name, O_RDWR);
}

// Notices until the program has closed its end; the last one.
kvm::Notice last_notice(int control) {
  kvm::Notice last;
  Bytes packet(kvm::kMaxControlMessage);
  while (true) {
    const ssize_t size = ::recv(control, packet.data(), packet.size(), 0);
    if (size <= 0) return last;
    auto notice = wire::decode<kvm::Notice>(ByteView(packet).first(static_cast<size_t>(size)));
    if (!notice) return last;
    last = std::move(*notice);
  }
}

Result<Outcome> run_program(uint32_t scenario, uint32_t victim) {
  MSB_TRY(TempDir folder, TempDir::create());
  kvm::MachineConfig config;
  config.memory_mib = RAM_SIZE >> 20;
  config.kernel_words = cat("scenario=", scenario, " victim=", victim, " devices=", std::size(kDevices));
  SpawnOptions options;
  // Where its fence has it begin when there are shares.
  options.argv = {"env", "-C", "/proc/self/fd", MSB_KVM_PATH};
  std::vector<Fd> ours;
  const auto give = [&](Fd fd) {
    const int number = kvm::kFirstFreeFd + static_cast<int>(options.fds.size());
    options.fds.emplace_back(fd.get(), number);
    ours.push_back(std::move(fd));
    return number;
  };
  MSB_TRY(Fd device, open_file("/dev/kvm", O_RDWR));
  config.kvm_fd = give(std::move(device));
  MSB_TRY(Fd kernel, open_file(HOSTILE_KERNEL_PATH));
  config.kernel_fd = give(std::move(kernel));
  MSB_TRY(Fd initramfs, make_memfd("initramfs", Bytes(16)));
  config.initramfs_fd = give(std::move(initramfs));
  MSB_TRY(SocketPair agent, make_socket_pair());
  config.agent_fd = give(std::move(agent.first));
  MSB_TRY(SocketPair console, make_socket_pair());
  config.console_fd = give(std::move(console.first));
  int control[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0) return fail_errno("make a control socket");
  Fd host_control(control[0]);
  config.control_fd = give(Fd(control[1]));
  for (bool read_only : {false, true}) {
    MSB_TRY(Fd disk, disk_file(folder, read_only ? "layer" : "disk"));
    config.disks.push_back({.format = "raw", .fds = {give(std::move(disk))}, .read_only = read_only});
  }
  MSB_TRY(SharedFiles files, SharedFiles::create());
  for (const char* name : {"rw", "ro"}) {
    MSB_TRY(Fd directory, files.open(name));
    config.shares.push_back({.name = name, .fd = give(std::move(directory)), .read_only = name == std::string("ro")});
  }
  MSB_TRY(Fd config_file, make_memfd("config", wire::encode(config)));
  options.fds.emplace_back(config_file.get(), kvm::kConfigFd);

  MSB_TRY(Child program, Child::spawn(options));
  ours.clear();
  Outcome outcome;
  outcome.end = last_notice(host_control.get());
  MSB_TRY(outcome.status, program.wait());
  MSB_TRY(Bytes text, read_all(console.second.get(), size_t{1} << 20));
  outcome.console = std::string(as_text(text));
  outcome.files_contained = files.are_contained();
  return outcome;
}

struct Case {
  uint32_t scenario;
  uint32_t victim;
};
class HostileProgram : public ::testing::TestWithParam<Case> {};

TEST_P(HostileProgram, ends_because_the_guest_did) {
  if (auto device = open_file("/dev/kvm", O_RDWR); !device) GTEST_SKIP() << device.error().to_string();
  auto outcome = run_program(GetParam().scenario, GetParam().victim);
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcome->status.code, 0);
  EXPECT_EQ(outcome->end.kind, "ended");
  EXPECT_EQ(outcome->end.cause, "guest") << outcome->end.message << "\n" << outcome->end.registers;
  EXPECT_THAT(outcome->console, ::testing::HasSubstr("failed 0:0\n"));
  EXPECT_TRUE(outcome->files_contained);
}

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (uint32_t scenario = 0; scenario < scenario_count; ++scenario)
    for (uint32_t victim = 0; victim < (scenarios[scenario].scope == ONCE ? 1 : std::size(kDevices)); ++victim)
      all.push_back({scenario, victim});
  return all;
}
std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  const auto& scenario = scenarios[info.param.scenario];
  return scenario.scope == ONCE ? scenario.name
                                : cat(scenario.name, "_", std::string_view(kDevices[info.param.victim]));
}
INSTANTIATE_TEST_SUITE_P(After, HostileProgram, ::testing::ValuesIn(all_cases()), name_of);

}  // namespace
}  // namespace msb::hostile
