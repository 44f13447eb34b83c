#include "kvm_guest.h"

#include "kvm/x86_64/boot.h"
#include "kvm/x86_64/cpuid.h"
#include "kvm/x86_64/elf_kernel.h"
#include "kvm/x86_64/layout.h"

namespace msb::hostile {

Result<std::unique_ptr<KvmGuest>> KvmGuest::create(HostileBed& bed, const std::string& kernel) {
  MSB_TRY(Fd file, open_file(kernel));
  MSB_TRY(auto elf, kvm::ElfKernel::parse(file.get()));
  for (const auto& segment : elf.segments) {
    // The bed's memory is not the machine's: copied, where that maps.
    auto place = bed.memory().slice(virtio::GuestAddress{segment.address}, segment.size);
    if (!place || segment.file_size > segment.size)
      return fail(ErrorKind::invalid_config, "the test kernel does not fit");
    MSB_CHECK(pread_full(file.get(), place->first(segment.file_size), segment.file_offset));
  }

  MSB_TRY(Fd device, open_file("/dev/kvm", O_RDWR));
  MSB_TRY(auto kvm, kvm::Kvm::adopt(std::move(device)));
  MSB_TRY(auto vm, kvm.create_vm());
  std::unique_ptr<KvmGuest> guest(new KvmGuest(std::move(vm)));
  MSB_CHECK(guest->vm_.set_identity_map_address(kvm::kIdentityMap));
  MSB_CHECK(guest->vm_.set_tss_address(kvm::kTaskState));
  MSB_CHECK(guest->vm_.create_irqchip());
  uint32_t memory_slot = 0;
  for (const auto& region : bed.memory().regions())
    MSB_CHECK(guest->vm_.set_memory(memory_slot++, region.base, {region.host, region.size}));
  for (size_t slot = 0; slot < bed.devices(); ++slot) {
    const uint64_t window = DEVICE_WINDOWS + slot * WINDOW;
    MSB_CHECK(guest->vm_.add_irqfd(bed.interrupt_fd(slot), kvm::kFirstDeviceIrq + static_cast<uint32_t>(slot)));
    for (uint16_t queue = 0; queue < bed.transport(slot).queue_count(); ++queue)
      MSB_CHECK(guest->vm_.add_ioeventfd(bed.transport(slot).kick_fd(queue), window + virtio::kQueueNotify, queue));
  }

  MSB_TRY(auto supported, kvm.supported_cpuid());
  MSB_TRY(auto fd, guest->vm_.create_vcpu(0));
  MSB_CHECK(fd.set_cpuid(kvm::guest_cpuid(supported, {}, 0)));
  kvm_regs regs{};
  kvm_sregs special{};
  MSB_CHECK(fd.get(KVM_GET_SREGS, special, "read special registers"));
  kvm::set_pvh_entry(elf.entry, regs, special);
  MSB_CHECK(fd.set(KVM_SET_SREGS, special, "set special registers"));
  MSB_CHECK(fd.set(KVM_SET_REGS, regs, "set registers"));
  MSB_TRY(guest->vcpu_, kvm::Vcpu::create(std::move(fd), 0, {bed.ports(), bed.windows()}));
  return guest;
}

Result<kvm::VcpuEnd> KvmGuest::run() {
  kvm::Vcpu::Events events;
  events.rested = [this] {
    std::lock_guard lock(mutex_);
    rested_ = true;
    changed_.notify_all();
  };
  events.ended = [this](kvm::VcpuEnd end) {
    std::lock_guard lock(mutex_);
    end_ = std::move(end);
    changed_.notify_all();
  };
  MSB_CHECK(vcpu_->start(std::move(events)));
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return rested_ || end_; });
  vcpu_->resume();
  changed_.wait(lock, [&] { return end_.has_value(); });
  lock.unlock();
  vcpu_->stop();
  vcpu_->join();
  return *end_;
}

}  // namespace msb::hostile
