#include "kvm/testing/tiny_guest.h"

#include "kvm/x86_64/cpuid.h"
#include "kvm/x86_64/layout.h"

namespace msb::kvm::testing {

std::string why_no_kvm() {
  auto device = open_file("/dev/kvm", O_RDWR);
  return device ? "" : device.error().to_string();
}

Result<std::unique_ptr<TinyGuest>> TinyGuest::create(const Bytes& code, uint32_t vcpus, uint64_t memory) {
  std::unique_ptr<TinyGuest> guest(new TinyGuest());
  MSB_TRY(Fd device, open_file("/dev/kvm", O_RDWR));
  MSB_TRY(Kvm kvm, Kvm::adopt(std::move(device)));
  MSB_TRY(guest->ram_, GuestRam::create(memory));
  MSB_TRY(Vm vm, kvm.create_vm());
  guest->vm_ = std::make_unique<Vm>(std::move(vm));
  MSB_CHECK(guest->vm_->set_identity_map_address(kIdentityMap));
  MSB_CHECK(guest->vm_->set_tss_address(kTaskState));
  MSB_CHECK(guest->vm_->create_irqchip());
  MSB_CHECK(guest->ram_->attach(*guest->vm_));
  if (!guest->ram_->memory().write(virtio::GuestAddress{kCode}, code))
    return fail(ErrorKind::internal, "the code does not fit");
  MSB_TRY(auto supported, kvm.supported_cpuid());
  for (uint32_t index = 0; index < vcpus; ++index) {
    MSB_TRY(VcpuFd fd, guest->vm_->create_vcpu(index));
    MSB_CHECK(fd.set_cpuid(guest_cpuid(supported, {vcpus, true}, index)));
    if (index == 0) {
      kvm_sregs special{};
      MSB_CHECK(fd.get(KVM_GET_SREGS, special, "read special registers"));
      special.cs.base = 0;
      special.cs.selector = 0;
      MSB_CHECK(fd.set(KVM_SET_SREGS, special, "set special registers"));
      kvm_regs regs{};
      regs.rip = kCode;
      regs.rsp = 0x8000;
      regs.rflags = 2;
      MSB_CHECK(fd.set(KVM_SET_REGS, regs, "set registers"));
    }
    MSB_TRY(auto vcpu, Vcpu::create(std::move(fd), index, {guest->ports, guest->windows}));
    guest->vcpus_.push_back(std::move(vcpu));
  }
  return guest;
}

TinyGuest::~TinyGuest() {
  stop();
}

Result<> TinyGuest::start() {
  for (auto& vcpu : vcpus_) {
    Vcpu::Events events;
    events.rested = [this] {
      std::lock_guard lock(mutex_);
      ++resting_;
      changed_.notify_all();
    };
    events.ended = [this](VcpuEnd end) {
      std::lock_guard lock(mutex_);
      ends_.push_back(std::move(end));
      changed_.notify_all();
    };
    MSB_CHECK(vcpu->start(std::move(events)));
  }
  wait_until_resting();
  return {};
}

void TinyGuest::wait_until_resting() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return resting_ == vcpus_.size(); });
}

void TinyGuest::resume() {
  {
    std::lock_guard lock(mutex_);
    resting_ = 0;
  }
  for (auto& vcpu : vcpus_) vcpu->resume();
}

void TinyGuest::pause() {
  for (auto& vcpu : vcpus_) vcpu->pause();
  wait_until_resting();
}

VcpuEnd TinyGuest::wait_for_end() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !ends_.empty(); });
  VcpuEnd end = ends_.front();
  lock.unlock();
  stop();
  return end;
}

void TinyGuest::stop() {
  for (auto& vcpu : vcpus_) vcpu->stop();
  for (auto& vcpu : vcpus_) vcpu->join();
}

uint32_t TinyGuest::word(uint64_t address) const {
  return ram_->memory().load<uint32_t>(virtio::GuestAddress{address}).value_or(0);
}

}  // namespace msb::kvm::testing
