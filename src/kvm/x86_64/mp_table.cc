#include "kvm/x86_64/mp_table.h"

#include <string_view>

#include "kvm/x86_64/layout.h"

namespace msb::kvm {
namespace {

constexpr uint8_t kVersion14 = 4;
constexpr uint8_t kProcessor = 0, kBus = 1, kApic = 2, kInterrupt = 3, kLocalInterrupt = 4;  // entry types, 4.3
constexpr uint8_t kEnabled = 1, kBootProcessor = 2;
constexpr uint8_t kVectored = 0, kNonMaskable = 1, kExternal = 3;  // interrupt types, table 4-11
constexpr uint8_t kLocalApicVersion = 0x14, kIoApicVersion = 0x11;
constexpr uint8_t kIsaBus = 0, kAllApics = 0xff;
constexpr size_t kPointerSize = 16;
constexpr size_t kChecksumInPointer = 10, kLengthInTable = 4, kChecksumInTable = 7, kCountInTable = 34;

class Writer {
 public:
  template <class... Parts>
  void bytes(Parts... values) {
    (out.push_back(static_cast<uint8_t>(values)), ...);
  }
  void word(uint16_t value) { bytes(value, value >> 8); }
  void dword(uint32_t value) { bytes(value, value >> 8, value >> 16, value >> 24); }
  void text(std::string_view value) { out.insert(out.end(), value.begin(), value.end()); }
  Bytes out;
};

// The byte that makes the sum of all zero.
uint8_t checksum(ByteView bytes) {
  uint8_t sum = 0;
  for (uint8_t byte : bytes) sum = static_cast<uint8_t>(sum + byte);
  return static_cast<uint8_t>(-sum);
}

Bytes pointer_to(uint64_t table) {
  Writer pointer;
  pointer.text("_MP_");
  pointer.dword(static_cast<uint32_t>(table));
  pointer.bytes(1, kVersion14, 0, 0, 0, 0, 0, 0);  // length in 16 bytes, version, checksum, five feature bytes
  pointer.out[kChecksumInPointer] = checksum(pointer.out);
  return std::move(pointer.out);
}

}  // namespace

Bytes mp_table(uint64_t address, uint32_t vcpus) {
  Writer table;
  uint16_t entries = 0;
  table.text("PCMP");
  table.word(0);  // length
  table.bytes(kVersion14, 0);
  table.text("MSB     ");
  table.text("SANDBOX     ");
  table.dword(0);  // no table of the maker's
  table.word(0);
  table.word(0);  // number of entries
  table.dword(kLocalApic);
  table.dword(0);  // no extended table

  for (uint32_t id = 0; id < vcpus; ++id, ++entries) {
    table.bytes(kProcessor, id, kLocalApicVersion, kEnabled | (id == 0 ? kBootProcessor : 0));
    table.dword(0);  // signature and features: kernels ask CPUID
    table.dword(0);
    table.dword(0);
    table.dword(0);
  }
  table.bytes(kBus, kIsaBus);
  table.text("ISA   ");
  ++entries;
  auto io_apic_id = static_cast<uint8_t>(vcpus);
  table.bytes(kApic, io_apic_id, kIoApicVersion, kEnabled);
  table.dword(kIoApic);
  ++entries;
  // Polarity and trigger as is usual for the bus: high, edge.
  for (uint32_t pin = 0; pin < kIoApicPins; ++pin, ++entries)
    table.bytes(kInterrupt, kVectored, 0, 0, kIsaBus, pin, io_apic_id, pin);
  table.bytes(kLocalInterrupt, kExternal, 0, 0, kIsaBus, 0, 0, 0);
  table.bytes(kLocalInterrupt, kNonMaskable, 0, 0, kIsaBus, 0, kAllApics, 1);
  entries += 2;

  store_le<uint16_t>(table.out.data() + kLengthInTable, static_cast<uint16_t>(table.out.size()));
  store_le<uint16_t>(table.out.data() + kCountInTable, entries);
  table.out[kChecksumInTable] = checksum(table.out);

  Bytes all = pointer_to(address + kPointerSize);
  all.insert(all.end(), table.out.begin(), table.out.end());
  return all;
}

}  // namespace msb::kvm
