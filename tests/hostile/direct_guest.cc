#include "direct_guest.h"

#include <sched.h>

namespace msb::hostile {
namespace {

DirectGuest& guest(void* self) {
  return *static_cast<DirectGuest*>(self);
}

uint32_t read(const kvm::IoBus& bus, uint64_t address, unsigned width) {
  uint8_t bytes[4] = {};
  bus.read(address, MutableByteView(bytes, width));
  return load_le<uint32_t>(bytes);
}

void write(const kvm::IoBus& bus, uint64_t address, unsigned width, uint32_t value) {
  uint8_t bytes[4];
  store_le<uint32_t>(bytes, value);
  bus.write(address, ByteView(bytes, width));
}

}  // namespace

DirectGuest::DirectGuest(HostileBed& host) : bed_(host) {
  hardware_.self = this;
  hardware_.ram = host.ram();
  hardware_.read = [](void* self, uint64_t address, unsigned width) {
    return read(guest(self).bed().windows(), address, width);
  };
  hardware_.write = [](void* self, uint64_t address, unsigned width, uint32_t value) {
    write(guest(self).bed().windows(), address, width, value);
  };
  hardware_.port_read = [](void* self, uint16_t port, unsigned width) {
    return read(guest(self).bed().ports(), port, width);
  };
  hardware_.port_write = [](void* self, uint16_t port, unsigned width, uint32_t value) {
    write(guest(self).bed().ports(), port, width, value);
  };
  hardware_.port_read_string = [](void* self, uint16_t port, unsigned width, void* to, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i)
      guest(self).bed().ports().read(port, MutableByteView(static_cast<uint8_t*>(to) + i * width, width));
  };
  hardware_.port_write_string = [](void* self, uint16_t port, unsigned width, const void* from, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i)
      guest(self).bed().ports().write(port, ByteView(static_cast<const uint8_t*>(from) + i * width, width));
  };
  hardware_.yield = [](void*) { ::sched_yield(); };
  hardware_.start_scribbling = [](void* self) {
    auto& me = guest(self);
    __atomic_store_n(&me.stop_scribbling_, 0, __ATOMIC_RELEASE);
    me.second_ = std::thread([&me] { scribble(me.bed_.ram(), &me.stop_scribbling_); });
  };
  hardware_.stop_scribbling = [](void* self) {
    auto& me = guest(self);
    __atomic_store_n(&me.stop_scribbling_, 1, __ATOMIC_RELEASE);
    me.second_.join();
  };
}

}  // namespace msb::hostile
