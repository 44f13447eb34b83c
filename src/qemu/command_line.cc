#include "qemu/command_line.h"

#include <nlohmann/json.hpp>
#include <set>

#include "qemu/kernel_words.h"
#include "qemu/vmdk.h"
#include "state/machine_check.h"

namespace msb::qemu {
namespace {

using nlohmann::ordered_json;
using state::DiskSpec;

// The translation cache holds the guest's code as host code. QEMU's own choice (a quarter of the guest's memory, at
// most 1 GiB) is far too much for many small sandboxes; figures in docs/performance.md.
uint32_t default_tb_size_mib(uint32_t memory_mib) {
  return memory_mib >= 2048 ? 128 : 64;
}

constexpr unsigned kShareQueueSize = 1024;  // virtio::VirtioFs::kQueueSize

constexpr uint64_t kGuestHz = 100;  // CONFIG_HZ of the guest kernel: lpj is loops per tick

std::string directory_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

void replace(std::string& text, std::string_view from, std::string_view to) {
  if (size_t at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
}

class Builder {
 public:
  explicit Builder(const CommandInput& input) : input_(input) {}

  Result<QemuCommand> build() {
    MSB_CHECK(check());
    program();
    machine();
    channels();
    for (size_t i = 0; i < input_.spec.disks.size(); ++i) disk(i);
    if (has_shares()) shares();
    if (input_.spec.network) network(*input_.spec.network);
    add({"-kernel", input_.spec.kernel, "-initrd", input_.spec.initramfs, "-append", kernel_words(input_)});
    files();
    return std::move(command_);
  }

 private:
  Result<> check() const {
    const auto& spec = input_.spec;
    const size_t most = kMaxDisks - (has_shares() ? 1 : 0) - (spec.network ? 1 : 0);
    if (spec.disks.size() > most) {
      std::string beside = has_shares() ? " beside shares" : "";
      if (spec.network) beside += has_shares() ? " and a network" : " beside a network";
      Error error(ErrorKind::invalid_config,
                  cat("the portable machine has at most ", most, " disks", beside, ", not ", spec.disks.size()));
      if (spec.network) error.hint("without a network (--no-net) there is room for one more");
      return fail(std::move(error));
    }
    return state::check_shape(spec, input_.disk_sizes);
  }

  bool has_shares() const { return !input_.spec.shares.empty(); }

  void add(std::initializer_list<std::string> words) {
    command_.argv.insert(command_.argv.end(), words.begin(), words.end());
  }
  void add_json(const char* option, const ordered_json& value) { add({option, value.dump()}); }

  void program() {
    const QemuProgram& qemu = input_.program;
    add({qemu.binary.path, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-L",
         qemu.firmware_dir});
    if (qemu.has_sandbox) add({"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"});
    command_.env = qemu_environment(qemu);
  }

  void machine() {
    const auto& spec = input_.spec;
    uint32_t tb_size = input_.tb_size_mib ? input_.tb_size_mib : default_tb_size_mib(spec.memory_mib);
    // With ACPI the virtio-mmio devices would not be on the kernel command line. Without the real-time clock the guest
    // waits a second for it; the interval timer and the old interrupt controller are not needed by our kernel.
    std::string machine =
        "microvm,acpi=off,x-option-roms=off,pit=off,pic=off,rtc=on,isa-serial=on,dump-guest-core=off,mem-merge=off";
    if (has_shares()) {
      // The share device's back end reads and writes the guest's memory; sealed, it cannot be cut off under its hands.
      add({"-object", cat("memory-backend-memfd,id=memory,size=", spec.memory_mib, "M,share=on,seal=on")});
      machine += ",memory-backend=memory";
    }
    add({"-machine", machine, "-accel", cat("tcg,thread=", spec.vcpus > 1 ? "multi" : "single", ",tb-size=", tb_size),
         "-cpu", "max", "-smp", cat(spec.vcpus), "-m", cat(spec.memory_mib, "M"), "-global",
         "virtio-mmio.force-legacy=false"});
  }

  std::string socket(const char* id, int fd) { return cat("socket,id=", id, ",fd=", fd); }

  void channels() {
    add({"-chardev", socket("qmp", kQmpFd), "-mon", "chardev=qmp,mode=control"});
    add({"-chardev", socket("console", kConsoleFd), "-serial", "chardev:console"});
    add({"-chardev", socket("agent", kAgentFd), "-device", "virtio-serial-device,bus=virtio-mmio-bus.0,max_ports=2",
         "-device", "virtserialport,chardev=agent,name=agent,nr=1"});
    add({"-object", "rng-builtin,id=rng", "-device", "virtio-rng-device,rng=rng,bus=virtio-mmio-bus.1"});
    add({"-device", "virtio-balloon-device,bus=virtio-mmio-bus.2,free-page-reporting=on"});
  }

  // Gives QEMU a descriptor as /dev/fdset/N and returns that name. N is the descriptor's number.
  std::string pass(DiskFile file) {
    file.number = next_fd_++;
    add({"-add-fd", cat("fd=", file.number, ",set=", file.number)});
    command_.disk_files.push_back(std::move(file));
    return cat("/dev/fdset/", next_fd_ - 1);
  }

  void disk(size_t index) {
    const DiskSpec& disk = input_.spec.disks[index];
    auto access = disk.read_only ? DiskFile::Access::read_only : DiskFile::Access::read_write;
    std::string name = cat("disk", index);
    std::string file;
    if (disk.format == DiskSpec::Format::concat) {
      std::vector<VmdkExtent> extents;
      for (size_t i = 0; i < disk.files.size(); ++i)
        extents.push_back({pass({0, disk.files[i], access, {}}), input_.disk_sizes[index][i]});
      file = pass({0, {}, access, vmdk_descriptor(extents)});
    } else {
      file = pass({0, disk.files[0], access, {}});
    }
    ordered_json node = {{"node-name", name}, {"read-only", disk.read_only}, {"discard", "unmap"}};
    // The drivers are always named: nothing is guessed from what the guest wrote.
    switch (disk.format) {
      case DiskSpec::Format::raw:
        node["driver"] = "raw";
        break;
      case DiskSpec::Format::qcow2:
        node["driver"] = "qcow2";
        node["backing"] = nullptr;
        break;
      case DiskSpec::Format::concat:
        node["driver"] = "vmdk";
        break;
    }
    // Writes are acknowledged from the host's page cache; the guest's flush is an fdatasync, except on a scratch disk.
    node["file"] = {{"driver", "file"},   {"filename", file},
                    {"aio", "threads"},   {"locking", "off"},
                    {"discard", "unmap"}, {"cache", {{"direct", false}, {"no-flush", disk.scratch}}}};
    add_json("-blockdev", node);
    // QEMU lists the slots to the kernel from the last to the first: the first disk, /dev/vda, has the last slot.
    // A host's disk that is full is an error for the guest; QEMU would stop the machine until somebody makes space.
    add({"-device", cat("virtio-blk-device,drive=", name, ",werror=report,bus=virtio-mmio-bus.", 7 - index)});
  }

  // The device's queues are our process's; here is only its transport.
  void shares() {
    command_.share_fd = next_fd_++;
    add({"-chardev", socket("shares", *command_.share_fd), "-device",
         cat("vhost-user-fs-device,chardev=shares,tag=", state::kShareTag, ",queue-size=", kShareQueueSize,
             ",num-request-queues=1,bus=", next_bus())});
  }

  // What the guest sends goes through the socket frame by frame. QEMU's own card knows nothing of large segments then:
  // the guest has large frames instead (state::NetworkSpec::mtu).
  void network(const state::NetworkSpec& spec) {
    command_.network_fd = next_fd_++;
    add({"-netdev", cat("dgram,id=net,local.type=fd,local.str=", *command_.network_fd), "-device",
         cat("virtio-net-device,netdev=net,mac=", spec.guest_mac,
             ",ctrl_vq=off,ctrl_rx=off,ctrl_vlan=off,ctrl_rx_extra=off,ctrl_mac_addr=off,ctrl_guest_offloads=off,"
             "guest_announce=off,bus=",
             next_bus())});
  }

  // The first slots are those of the channels, the last ones the disks'.
  std::string next_bus() { return cat("virtio-mmio-bus.", next_bus_++); }

  void files() {
    auto& files = command_.files;
    files = qemu_files(input_.program);
    files.push_back({input_.spec.kernel});
    files.push_back({input_.spec.initramfs});
  }

  const CommandInput& input_;
  QemuCommand command_;
  int next_fd_ = kFirstDiskFd;
  int next_bus_ = 3;
};

}  // namespace

std::vector<std::string> qemu_environment(const QemuProgram& program) {
  // The root has no loader cache, and QEMU may live anywhere.
  std::set<std::string> directories;
  for (const auto& library : program.libraries) directories.insert(directory_of(library.path));
  std::string path;
  for (const auto& directory : directories) path += (path.empty() ? "" : ":") + directory;
  // The vcpu thread's own arena would grow by one page and one system call at a time, a thousand times a boot.
  std::vector<std::string> environment = {
      "GLIBC_TUNABLES=glibc.malloc.arena_max=1:glibc.malloc.top_pad=4194304:glibc.malloc.hugetlb=1"};
  if (!path.empty()) environment.push_back("LD_LIBRARY_PATH=" + path);
  if (!program.module_dir.empty()) environment.push_back("QEMU_MODULE_DIR=" + program.module_dir);
  return environment;
}

std::vector<fence::FenceFile> qemu_files(const QemuProgram& program) {
  std::vector<fence::FenceFile> files = {{program.binary.path, fence::FenceFile::Use::execute}};
  if (!program.interpreter.empty()) files.push_back({program.interpreter, fence::FenceFile::Use::execute});
  for (const auto* list : {&program.libraries, &program.firmware})
    for (const auto& file : *list) files.push_back({file.path});
  return files;
}

std::string kernel_words(const CommandInput& input) {
  std::string words = kPortableKernelWords;
  uint64_t khz = input.program.tsc_khz;
  if (khz != 0) {
    replace(words, "@TSC_KHZ@", cat(khz));
    replace(words, "@LPJ@", cat(khz * 1000 / kGuestHz));
  } else {
    for (std::string_view word : {" tsc_early_khz=@TSC_KHZ@", " tsc=reliable", " lpj=@LPJ@"}) replace(words, word, "");
  }
  if (input.guest_log) replace(words, " quiet", "");
  if (!input.extra_kernel_words.empty()) words += " " + input.extra_kernel_words;
  return words;
}

Result<QemuCommand> build_command(const CommandInput& input) {
  return Builder(input).build();
}

}  // namespace msb::qemu
