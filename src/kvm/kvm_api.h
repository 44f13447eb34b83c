// The three kinds of descriptors of Linux's KVM, owned, with their requests one to one.
//
// Kvm (/dev/kvm) makes a Vm, which makes VcpuFds. Errors are kind io with the errno, but for those of Kvm::adopt(),
// which are unsupported and say what this host's KVM lacks. Structures larger than the stack likes (cpuid, msrs) are
// given as vectors. Nothing here knows a guest, a device or a thread.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/mmap.h"

namespace msb::kvm {

// struct kvm_xsave has another size in C++ than in C (kvm_api.cc tells why), and so have the requests with it.
struct XsaveArea {
  uint32_t words[1024];
};
inline constexpr unsigned long kGetXsave = _IOR(KVMIO, 0xa4, XsaveArea);
inline constexpr unsigned long kSetXsave = _IOW(KVMIO, 0xa5, XsaveArea);
inline constexpr unsigned long kGetXsave2 = _IOR(KVMIO, 0xcf, XsaveArea);

class VcpuFd {
 public:
  int get() const { return fd_.get(); }
  // The page that KVM and user space share for this processor.
  kvm_run& run() const { return *reinterpret_cast<kvm_run*>(window_.data()); }
  // All of it: data of string port accesses follows the structure.
  MutableByteView window() const { return window_.bytes(); }

  // ioctls without an argument or with a plain structure, by request number; `what` completes "cannot ...".
  Result<> call(unsigned long request, std::string_view what) const;
  template <class T>
  Result<> get(unsigned long request, T& out, std::string_view what) const {
    return call(request, &out, what);
  }
  template <class T>
  Result<> set(unsigned long request, const T& value, std::string_view what) const {
    return call(request, const_cast<T*>(&value), what);
  }

  Result<> set_cpuid(std::span<const kvm_cpuid_entry2> entries) const;
  // Reads those of the registers named by index in `entries` that KVM can read, and drops the others.
  Result<> get_msrs(std::vector<kvm_msr_entry>& entries) const;
  // Fails on the first that KVM refuses.
  Result<> set_msrs(std::span<const kvm_msr_entry> entries) const;

 private:
  friend class Vm;
  VcpuFd(Fd fd, Mmap window) : fd_(std::move(fd)), window_(std::move(window)) {}
  Result<> call(unsigned long request, void* argument, std::string_view what) const;
  Fd fd_;
  Mmap window_;
};

class Vm {
 public:
  // 0 when the extension is absent, else its value.
  int check_extension(int extension) const;

  // The task state segment and identity map that Intel's KVM wants to keep out of RAM. Three pages and one.
  Result<> set_tss_address(uint64_t address) const;
  Result<> set_identity_map_address(uint64_t address) const;
  Result<> create_irqchip() const;
  Result<> enable_capability(uint32_t capability, uint64_t argument) const;
  Result<> set_memory(uint32_t slot, uint64_t guest_address, MutableByteView host) const;
  Result<VcpuFd> create_vcpu(uint32_t id) const;

  // ioctls with a plain structure, by request number, as VcpuFd has them.
  template <class T>
  Result<> get(unsigned long request, T& out, std::string_view what) const {
    return call(request, &out, what);
  }
  template <class T>
  Result<> set(unsigned long request, const T& value, std::string_view what) const {
    return call(request, const_cast<T*>(&value), what);
  }

  // The interrupt line `gsi` rises and falls. From any thread that may make ioctls; sooner than by an eventfd, for
  // which the host's kernel has to wake a worker where the line ends in an I/O APIC.
  void pulse(uint32_t gsi) const;
  // The same with each write to the eventfd.
  Result<> add_irqfd(int eventfd, uint32_t gsi) const;
  // Writes of the 32-bit `value` to `address` signal the eventfd and do not leave the guest.
  Result<> add_ioeventfd(int eventfd, uint64_t address, uint32_t value) const;

 private:
  friend class Kvm;
  Vm(Fd fd, size_t window_size) : fd_(std::move(fd)), window_size_(window_size) {}
  Result<> call(unsigned long request, void* argument, std::string_view what) const;
  Fd fd_;
  size_t window_size_;
};

class Kvm {
 public:
  // Takes an open /dev/kvm after checking that it is what we need.
  static Result<Kvm> adopt(Fd fd);
  Result<Vm> create_vm() const;
  Result<std::vector<kvm_cpuid_entry2>> supported_cpuid() const;
  // MSRs that hold guest state.
  Result<std::vector<uint32_t>> msr_indices() const;
  int check_extension(int extension) const;
  int max_vcpus() const;

 private:
  Kvm(Fd fd, size_t window_size) : fd_(std::move(fd)), window_size_(window_size) {}
  Fd fd_;
  size_t window_size_;
};

}  // namespace msb::kvm
