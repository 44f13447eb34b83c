#define FILE_ID 6
#include "driver.h"
#include "scenarios.h"

void unmapped_memory(struct world* world, uint32_t victim) {
  static const uint64_t kPlaces[] = {RAM_SIZE,   RAM_SIZE + 0x1234,  0x10000000, 0xbffffff0,
                                     0xc0000000, DEVICE_WINDOWS - 4, 0xd0100000, 0xe0000000};
  const struct hardware* hardware = world->hardware;
  (void)victim;
  for (uint32_t i = 0; i < sizeof(kPlaces) / sizeof(kPlaces[0]); ++i) {
    for (uint32_t width = 1; width <= 4; width *= 2) {
      hardware->write(hardware->self, kPlaces[i], width, 0x12345678);
      const uint32_t ones = width == 4 ? 0xffffffff : (1u << 8 * width) - 1;
      CHECK(world, hardware->read(hardware->self, kPlaces[i], width) == ones);
    }
  }
  // Half inside the first window, half before it; and after the last one.
  (void)hardware->read(hardware->self, DEVICE_WINDOWS - 2, 4);
  hardware->write(hardware->self, DEVICE_WINDOWS - 2, 4, 0xffffffff);
  CHECK(world, hardware->read(hardware->self, DEVICE_WINDOWS + world->order->devices * WINDOW, 4) == 0xffffffff);
  CHECK(world, get(world, 0, MAGIC) == 0x74726976);
  all_healthy(world);
}

void odd_ports(struct world* world, uint32_t victim) {
  static const uint16_t kPorts[] = {0x0,   0x1f0, 0x3f6, 0x3f8, 0x3f9, 0x3fb,  0x3fd,
                                    0x3ff, 0x400, 0x500, 0xcf8, 0xcfc, 0xfff0, 0xffff};
  const struct hardware* hardware = world->hardware;
  uint8_t buffer[256];
  (void)victim;
  for (uint32_t i = 0; i < sizeof(buffer); ++i) buffer[i] = (uint8_t)('a' + i % 26);
  for (uint32_t i = 0; i < sizeof(kPorts) / sizeof(kPorts[0]); ++i) {
    for (uint32_t width = 1; width <= 4; width *= 2) {
      hardware->port_write(hardware->self, kPorts[i], width, 0xffffffff);
      (void)hardware->port_read(hardware->self, kPorts[i], width);
      hardware->port_write_string(hardware->self, kPorts[i], width, buffer, 64 / width);
      hardware->port_read_string(hardware->self, kPorts[i], width, buffer, 64 / width);
      hardware->port_write_string(hardware->self, kPorts[i], width, buffer, 0);
    }
  }
  CHECK(world, hardware->port_read(hardware->self, 0x500, 1) == 0xff);
  CHECK(world, hardware->port_read(hardware->self, 0x500, 2) == 0xffff);
  CHECK(world, hardware->port_read(hardware->self, 0x500, 4) == 0xffffffff);
  all_healthy(world);
}
