#include "kvm/kvm_api.h"

#include <cstring>

#include "base/cat.h"
#include "kvm/ioctl.h"
#include "kvm/requirements.h"

namespace msb::kvm {
namespace {

// More than any KVM has ever answered with (about 100 and 400); a larger answer is an error of ours to look at.
constexpr uint32_t kMaxCpuidEntries = 512;
constexpr uint32_t kMaxMsrs = 4096;

// KVM's variable-length structures: a count, sometimes padding, and entries. Spelled out here, as are the numbers of
// the requests with them: in C++ the kernel's own declarations have another size than in C (a flexible array hidden
// behind an empty structure, which is not empty in C++), and the size is part of the number.
struct CountOnly {
  uint32_t count;
};
struct CountAndPadding {
  uint32_t count;
  uint32_t padding;
};
constexpr unsigned long kGetMsrIndexList = _IOWR(KVMIO, 0x02, CountOnly);
constexpr unsigned long kGetSupportedCpuid = _IOWR(KVMIO, 0x05, CountAndPadding);
constexpr unsigned long kGetMsrs = _IOWR(KVMIO, 0x88, CountAndPadding);
constexpr unsigned long kSetMsrs = _IOW(KVMIO, 0x89, CountAndPadding);
constexpr unsigned long kSetCpuid = _IOW(KVMIO, 0x90, CountAndPadding);

template <class Header, class Entry>
class WithEntries {
 public:
  explicit WithEntries(size_t count) : words_((sizeof(Header) + count * sizeof(Entry) + 7) / 8) {
    get()->count = static_cast<uint32_t>(count);
  }
  WithEntries(std::span<const Entry> entries) : WithEntries(entries.size()) {
    std::copy(entries.begin(), entries.end(), this->entries());
  }
  Header* get() { return reinterpret_cast<Header*>(words_.data()); }
  Entry* entries() { return reinterpret_cast<Entry*>(reinterpret_cast<uint8_t*>(words_.data()) + sizeof(Header)); }

 private:
  std::vector<uint64_t> words_;
};
using CpuidList = WithEntries<CountAndPadding, kvm_cpuid_entry2>;
using MsrList = WithEntries<CountAndPadding, kvm_msr_entry>;

}  // namespace

Result<Kvm> Kvm::adopt(Fd fd) {
  auto version = request(fd.get(), KVM_GET_API_VERSION, uintptr_t{0}, "ask KVM for its version");
  if (!version)
    return fail(Error(ErrorKind::unsupported, "the descriptor that should be /dev/kvm does not answer as KVM does")
                    .context(version.error().message()));
  if (*version != KVM_API_VERSION)
    return fail(ErrorKind::unsupported,
                cat("this host's KVM has interface version ", *version, ", not ", KVM_API_VERSION));
  auto lacking =
      lacking_requirements([&](int extension) { return ::ioctl(fd.get(), KVM_CHECK_EXTENSION, extension) > 0; });
  if (!lacking.empty())
    return fail(Error(ErrorKind::unsupported, cat("this host's KVM has no ", lacking))
                    .hint("A newer Linux kernel on the host has it; the portable machine does without."));
  MSB_TRY(int window_size,
          request(fd.get(), KVM_GET_VCPU_MMAP_SIZE, uintptr_t{0}, "ask KVM for the size of a processor's window"));
  if (static_cast<size_t>(window_size) < sizeof(kvm_run))
    return fail(ErrorKind::unsupported, cat("this host's KVM has too small a processor window: ", window_size));
  return Kvm(std::move(fd), static_cast<size_t>(window_size));
}

Result<Vm> Kvm::create_vm() const {
  MSB_TRY(int fd, request(fd_.get(), KVM_CREATE_VM, uintptr_t{0}, "create a virtual machine"));
  return Vm(Fd(fd), window_size_);
}

Result<std::vector<kvm_cpuid_entry2>> Kvm::supported_cpuid() const {
  CpuidList list(kMaxCpuidEntries);
  MSB_CHECK(request(fd_.get(), kGetSupportedCpuid, list.get(), "ask KVM for the processor's features"));
  uint32_t count = std::min(list.get()->count, kMaxCpuidEntries);
  return std::vector<kvm_cpuid_entry2>(list.entries(), list.entries() + count);
}

Result<std::vector<uint32_t>> Kvm::msr_indices() const {
  WithEntries<CountOnly, uint32_t> list(kMaxMsrs);
  MSB_CHECK(request(fd_.get(), kGetMsrIndexList, list.get(), "ask KVM for its model-specific registers"));
  uint32_t count = std::min(list.get()->count, kMaxMsrs);
  return std::vector<uint32_t>(list.entries(), list.entries() + count);
}

int Kvm::check_extension(int extension) const {
  return std::max(0, ::ioctl(fd_.get(), KVM_CHECK_EXTENSION, extension));
}

int Kvm::max_vcpus() const {
  int limit = check_extension(KVM_CAP_MAX_VCPUS);
  return limit > 0 ? limit : 4;  // Documentation/virt/kvm/api.rst, 4.7
}

int Vm::check_extension(int extension) const {
  return std::max(0, ::ioctl(fd_.get(), KVM_CHECK_EXTENSION, extension));
}

Result<> Vm::set_tss_address(uint64_t address) const {
  MSB_CHECK(request(fd_.get(), KVM_SET_TSS_ADDR, static_cast<uintptr_t>(address), "place the task state segment"));
  return {};
}

Result<> Vm::set_identity_map_address(uint64_t address) const {
  MSB_CHECK(request(fd_.get(), KVM_SET_IDENTITY_MAP_ADDR, &address, "place the identity map"));
  return {};
}

Result<> Vm::create_irqchip() const {
  MSB_CHECK(request(fd_.get(), KVM_CREATE_IRQCHIP, uintptr_t{0}, "create the interrupt controllers"));
  return {};
}

Result<> Vm::enable_capability(uint32_t capability, uint64_t argument) const {
  kvm_enable_cap enable{};
  enable.cap = capability;
  enable.args[0] = argument;
  MSB_CHECK(request(fd_.get(), KVM_ENABLE_CAP, &enable, cat("enable KVM's capability ", capability)));
  return {};
}

Result<> Vm::set_memory(uint32_t slot, uint64_t guest_address, MutableByteView host) const {
  kvm_userspace_memory_region region{};
  region.slot = slot;
  region.guest_phys_addr = guest_address;
  region.memory_size = host.size();
  region.userspace_addr = reinterpret_cast<uintptr_t>(host.data());
  MSB_CHECK(request(fd_.get(), KVM_SET_USER_MEMORY_REGION, &region, "give the virtual machine its memory"));
  return {};
}

Result<VcpuFd> Vm::create_vcpu(uint32_t id) const {
  MSB_TRY(int number,
          request(fd_.get(), KVM_CREATE_VCPU, static_cast<uintptr_t>(id), cat("create virtual processor ", id)));
  Fd fd(number);
  MSB_TRY(Mmap window, Mmap::shared(fd.get(), window_size_));
  return VcpuFd(std::move(fd), std::move(window));
}

void Vm::pulse(uint32_t gsi) const {
  kvm_irq_level line{};
  line.irq = gsi;
  for (uint32_t level : {1u, 0u}) {
    line.level = level;
    (void)::ioctl(fd_.get(), KVM_IRQ_LINE, &line);
  }
}

Result<> Vm::add_irqfd(int eventfd, uint32_t gsi) const {
  kvm_irqfd irqfd{};
  irqfd.fd = static_cast<uint32_t>(eventfd);
  irqfd.gsi = gsi;
  MSB_CHECK(request(fd_.get(), KVM_IRQFD, &irqfd, cat("connect an eventfd to interrupt ", gsi)));
  return {};
}

Result<> Vm::add_ioeventfd(int eventfd, uint64_t address, uint32_t value) const {
  kvm_ioeventfd event{};
  event.fd = eventfd;
  event.addr = address;
  event.len = sizeof(value);
  event.datamatch = value;
  event.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
  MSB_CHECK(request(fd_.get(), KVM_IOEVENTFD, &event, "connect a device register to an eventfd"));
  return {};
}

Result<> Vm::call(unsigned long number, void* argument, std::string_view what) const {
  MSB_CHECK(request(fd_.get(), number, argument, what));
  return {};
}

Result<> VcpuFd::call(unsigned long number, std::string_view what) const {
  MSB_CHECK(request(fd_.get(), number, uintptr_t{0}, what));
  return {};
}

Result<> VcpuFd::call(unsigned long number, void* argument, std::string_view what) const {
  MSB_CHECK(request(fd_.get(), number, argument, what));
  return {};
}

Result<> VcpuFd::set_cpuid(std::span<const kvm_cpuid_entry2> entries) const {
  CpuidList list(entries);
  MSB_CHECK(request(fd_.get(), kSetCpuid, list.get(), "set a virtual processor's features"));
  return {};
}

Result<> VcpuFd::get_msrs(std::vector<kvm_msr_entry>& entries) const {
  std::vector<kvm_msr_entry> found;
  std::span<const kvm_msr_entry> rest = entries;
  while (!rest.empty()) {
    MsrList list(rest);
    // KVM stops at the first that it cannot read and says how many it has read.
    MSB_TRY(int done, request(fd_.get(), kGetMsrs, list.get(), "read a virtual processor's registers"));
    size_t count = std::min(static_cast<size_t>(done), rest.size());
    found.insert(found.end(), list.entries(), list.entries() + count);
    rest = rest.subspan(std::min(count + 1, rest.size()));
  }
  entries = std::move(found);
  return {};
}

Result<> VcpuFd::set_msrs(std::span<const kvm_msr_entry> entries) const {
  MsrList list(entries);
  MSB_TRY(int done, request(fd_.get(), kSetMsrs, list.get(), "set a virtual processor's registers"));
  if (static_cast<size_t>(done) < entries.size())
    return fail(ErrorKind::io, cat("KVM refuses the value of model-specific register number ",
                                   entries[static_cast<size_t>(done)].index));
  return {};
}

}  // namespace msb::kvm
