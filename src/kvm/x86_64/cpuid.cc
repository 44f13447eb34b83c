#include "kvm/x86_64/cpuid.h"

#include <algorithm>
#include <bit>

namespace msb::kvm {
namespace {

// Leaves (Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E).
enum Leaf : uint32_t {
  kFeatures = 0x1,
  kIntelCaches = 0x4,
  kPerformance = 0xa,
  kTopology = 0xb,
  kSgx = 0x12,
  kTrace = 0x14,
  kTopologyV2 = 0x1f,
  kExtendedFeatures = 0x80000001,
  kAddressSizes = 0x80000008,
  kNestedVirtualisation = 0x8000000a,
  kAmdCaches = 0x8000001d,
  kAmdTopology = 0x8000001e,
  kEncryptedMemory = 0x8000001f,
  kAmdPerformance = 0x80000022,
};

constexpr uint32_t bit(unsigned number) {
  return uint32_t{1} << number;
}
void set(uint32_t& word, uint32_t bits, bool on) {
  word = on ? word | bits : word & ~bits;
}
// Replaces the field [low, low + width).
void put(uint32_t& word, unsigned low, unsigned width, uint32_t value) {
  uint32_t mask = (bit(width) - 1) << low;
  word = (word & ~mask) | ((value << low) & mask);
}

constexpr unsigned kVmx = 5, kDebugStore = 2, kMonitor = 3, kPerfCapabilities = 15, kTscDeadline = 24, kHypervisor = 31;
constexpr unsigned kHyperThreading = 28;  // "more than one logical processor in this package"
constexpr unsigned kCmpLegacy = 1, kSvm = 2, kPerfCore = 23, kPerfNorthbridge = 24, kPerfTsc = 27, kPerfL2 = 28;

bool is_left_out(uint32_t leaf) {
  switch (leaf) {
    case kPerformance:
    case kSgx:
    case kTrace:
    case kTopology:    // written anew
    case kTopologyV2:  // says the same where it exists
    case kNestedVirtualisation:
    case kEncryptedMemory:
    case kAmdPerformance:
      return true;
    default:
      return false;
  }
}

// Levels 1 and 2 belong to a core, level 3 to the package.
uint32_t sharers(uint32_t cache_level, uint32_t vcpus) {
  return cache_level >= 3 ? vcpus : 1;
}

void adjust(kvm_cpuid_entry2& entry, const CpuTopology& topology, uint32_t vcpu) {
  uint32_t vcpus = topology.vcpus;
  auto id_bits = static_cast<uint32_t>(std::bit_width(vcpus - 1));
  switch (entry.function) {
    case kFeatures:
      put(entry.ebx, 16, 8, vcpus);
      put(entry.ebx, 24, 8, vcpu);
      set(entry.ecx, bit(kVmx) | bit(kDebugStore) | bit(kMonitor) | bit(kPerfCapabilities), false);
      set(entry.ecx, bit(kTscDeadline), topology.tsc_deadline_timer);
      set(entry.ecx, bit(kHypervisor), true);
      set(entry.edx, bit(kHyperThreading), vcpus > 1);
      break;
    case kIntelCaches: {
      bool is_cache = (entry.eax & 0x1f) != 0;
      if (!is_cache) break;
      put(entry.eax, 14, 12, sharers((entry.eax >> 5) & 7, vcpus) - 1);
      put(entry.eax, 26, 6, vcpus - 1);
      break;
    }
    case kExtendedFeatures:
      set(entry.ecx, bit(kSvm) | bit(kPerfCore) | bit(kPerfNorthbridge) | bit(kPerfTsc) | bit(kPerfL2), false);
      set(entry.ecx, bit(kCmpLegacy), vcpus > 1);
      break;
    case kAddressSizes:
      // On Intel these fields are reserved.
      if (entry.ecx != 0 || vcpus > 1) {
        put(entry.ecx, 0, 8, vcpus - 1);
        put(entry.ecx, 12, 4, id_bits);
      }
      break;
    case kAmdCaches: {
      bool is_cache = (entry.eax & 0x1f) != 0;
      if (is_cache) put(entry.eax, 14, 12, sharers((entry.eax >> 5) & 7, vcpus) - 1);
      break;
    }
    case kAmdTopology:
      entry.eax = vcpu;
      entry.ebx = vcpu;  // core id; one thread a core
      entry.ecx = 0;     // node 0 of 1
      break;
    default:
      break;
  }
}

// Leaf 0xb: threads of a core (one), then cores of the package, then the end.
void add_topology(std::vector<kvm_cpuid_entry2>& table, const CpuTopology& topology, uint32_t vcpu) {
  constexpr uint32_t kThreads = 1, kCores = 2;
  auto add = [&](uint32_t index, uint32_t shift, uint32_t count, uint32_t type) {
    kvm_cpuid_entry2 entry{};
    entry.function = kTopology;
    entry.index = index;
    entry.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
    entry.eax = shift;
    entry.ebx = count;
    entry.ecx = index | (type << 8);
    entry.edx = vcpu;
    table.push_back(entry);
  };
  add(0, 0, 1, kThreads);
  add(1, static_cast<uint32_t>(std::bit_width(topology.vcpus - 1)), topology.vcpus, kCores);
  add(2, 0, 0, 0);
}

}  // namespace

std::vector<kvm_cpuid_entry2> guest_cpuid(const std::vector<kvm_cpuid_entry2>& supported, const CpuTopology& topology,
                                          uint32_t vcpu) {
  std::vector<kvm_cpuid_entry2> table;
  bool knows_topology = false;
  for (kvm_cpuid_entry2 entry : supported) {
    knows_topology = knows_topology || (entry.function == 0 && entry.eax >= kTopology);
    if (is_left_out(entry.function)) continue;
    adjust(entry, topology, vcpu);
    table.push_back(entry);
  }
  if (knows_topology) add_topology(table, topology, vcpu);
  return table;
}

uint32_t physical_address_bits(const std::vector<kvm_cpuid_entry2>& supported) {
  for (const auto& entry : supported)
    if (entry.function == kAddressSizes && (entry.eax & 0xff) != 0) return entry.eax & 0xff;
  return 36;
}

}  // namespace msb::kvm
