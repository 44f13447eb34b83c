// What the host's KVM must have for our machine, in one list: the probe asks before anything starts, the machine once
// more for itself.
#pragma once

#include <linux/kvm.h>

#include <string>
#include <string_view>

namespace msb::kvm {

struct Requirement {
  int extension;
  std::string_view name;
};

// All of these are in Linux 4.12.
inline constexpr Requirement kRequirements[] = {
    {KVM_CAP_USER_MEMORY, "memory of user space (KVM_CAP_USER_MEMORY)"},
    {KVM_CAP_IRQCHIP, "interrupt controllers (KVM_CAP_IRQCHIP)"},
    {KVM_CAP_EXT_CPUID, "CPUID tables (KVM_CAP_EXT_CPUID)"},
    {KVM_CAP_IOEVENTFD, "ioeventfd (KVM_CAP_IOEVENTFD)"},
    {KVM_CAP_IRQFD, "irqfd (KVM_CAP_IRQFD)"},
    {KVM_CAP_IMMEDIATE_EXIT, "immediate exit (KVM_CAP_IMMEDIATE_EXIT)"},
    {KVM_CAP_MP_STATE, "processor states (KVM_CAP_MP_STATE)"},
    {KVM_CAP_VCPU_EVENTS, "processor events (KVM_CAP_VCPU_EVENTS)"},
    {KVM_CAP_XSAVE, "extended processor state (KVM_CAP_XSAVE)"},
    {KVM_CAP_XCRS, "extended control registers (KVM_CAP_XCRS)"},
    {KVM_CAP_SET_TSS_ADDR, "a movable task state segment (KVM_CAP_SET_TSS_ADDR)"},
    {KVM_CAP_SET_IDENTITY_MAP_ADDR, "a movable identity map (KVM_CAP_SET_IDENTITY_MAP_ADDR)"},
};

// The names of what `has(extension)` denies, with commas; empty when nothing is lacking.
template <class Has>
std::string lacking_requirements(Has has) {
  std::string names;
  for (const auto& [extension, name] : kRequirements)
    if (!has(extension)) names.append(names.empty() ? "" : ", ").append(name);
  return names;
}

}  // namespace msb::kvm
