#define FILE_ID 3
#include "driver.h"
#include "scenarios.h"

enum { READY = ACKNOWLEDGE | DRIVER | FEATURES_OK, ALL = READY | DRIVER_OK };

// DRIVER_OK on queues that cannot work: the device is broken from the start and nothing was touched.
static void expect_refused(struct world* world, struct device* device) {
  set(world, device->slot, STATUS, ALL);
  CHECK(world, get(world, device->slot, STATUS) == (ALL | NEEDS_RESET));
  for (uint32_t i = 0; i < 8; ++i) set(world, device->slot, QUEUE_NOTIFY, i);
  reset(world, device->slot);
}

void half_initialised(struct world* world, uint32_t victim) {
  struct device device;
  // Steps left out, doubled and in the wrong order.
  static const uint8_t kOrders[][4] = {{DRIVER_OK, 0, 0, 0},
                                       {FEATURES_OK | DRIVER_OK, 0, 0, 0},
                                       {ALL, 0, 0, 0},
                                       {ACKNOWLEDGE, ACKNOWLEDGE | DRIVER_OK, 0, 0},
                                       {ACKNOWLEDGE, ACKNOWLEDGE | DRIVER, ACKNOWLEDGE | DRIVER | DRIVER_OK, 0},
                                       {FAILED, ACKNOWLEDGE | FAILED, ALL | FAILED, 0},
                                       {0x10, 0x20, NEEDS_RESET, 0xff}};
  for (uint32_t i = 0; i < sizeof(kOrders) / sizeof(kOrders[0]); ++i) {
    reset(world, victim);
    for (uint32_t step = 0; step < 4; ++step)
      if (kOrders[i][step]) set(world, victim, STATUS, kOrders[i][step]);
    CHECK(world, (get(world, victim, STATUS) & (DRIVER_OK | NEEDS_RESET)) == 0);
    for (uint32_t queue = 0; queue < 8; ++queue) set(world, victim, QUEUE_NOTIFY, queue);
  }
  // Started with none of its queues, or with one only: whether the device minds is its own affair.
  for (uint32_t only = 0; only <= MAX_QUEUES; ++only) {
    negotiate(world, victim, &device, 0);
    if (only < device.queues) tell_queue(world, &device, &device.queue[only]);
    set(world, victim, STATUS, ALL);
    CHECK(world, (get(world, victim, STATUS) & DRIVER_OK) != 0);
    for (uint32_t queue = 0; queue < 8; ++queue) set(world, victim, QUEUE_NOTIFY, queue);
    reset(world, victim);
  }
  // Ready without size, without addresses, with sizes that cannot be.
  static const uint32_t kSizes[] = {0, 3, 12, 0x8000, 0xffff, 0x10000, 0x10010, 0xffffffff};
  for (uint32_t i = 0; i < sizeof(kSizes) / sizeof(kSizes[0]); ++i) {
    negotiate(world, victim, &device, 0);
    for (uint32_t queue = 0; queue < device.queues; ++queue) {
      tell_queue(world, &device, &device.queue[queue]);
      set(world, victim, QUEUE_READY, 0);
      set(world, victim, QUEUE_SIZE, kSizes[i]);
      set(world, victim, QUEUE_READY, 1);
    }
    expect_refused(world, &device);
  }
  all_healthy(world);
}

void rings_outside_memory(struct world* world, uint32_t victim) {
  static const uint64_t kPlaces[] = {RAM_SIZE,   RAM_SIZE - 4,          DEVICE_WINDOWS,        0xc0000000,
                                     0xfee00000, HIGH_RAM - 16,         HIGH_RAM + 0xfffc,     HIGH_RAM + 0x10000,
                                     1ull << 63, 0xfffffffffffffff0ull, 0xffffffff00000000ull, ARENA_START + 1};
  struct device device;
  for (uint32_t i = 0; i < sizeof(kPlaces) / sizeof(kPlaces[0]); ++i) {
    for (uint32_t which = 0; which < 3; ++which) {
      negotiate(world, victim, &device, 0);
      struct queue* queue = request_queue(&device);
      if (which == 0) queue->descriptors = kPlaces[i];
      if (which == 1) queue->available = kPlaces[i];
      if (which == 2) queue->used = kPlaces[i];
      for (uint32_t q = 0; q < device.queues; ++q) tell_queue(world, &device, &device.queue[q]);
      expect_refused(world, &device);
    }
  }
  all_healthy(world);
}

void changes_after_activation(struct world* world, uint32_t victim) {
  struct device device;
  CHECK(world, start(world, victim, &device));
  const struct request request = honest_request(world, &device);
  for (uint32_t q = 0; q < device.queues; ++q) {
    struct queue other = device.queue[q];
    other.size = 0x4000;
    other.descriptors = other.available = other.used = 0xfffffffffffffff0ull;
    tell_queue(world, &device, &other);
    CHECK(world, get(world, victim, QUEUE_READY) == 1);
  }
  set(world, victim, DRIVER_FEATURES_SELECT, 1);
  set(world, victim, DRIVER_FEATURES, 0);
  set(world, victim, STATUS, ACKNOWLEDGE | DRIVER);  // bits do not go away but by reset
  CHECK(world, get(world, victim, STATUS) == ALL);
  kick(world, &device, request_queue(&device));
  CHECK(world, wait_used(world, &device, request_queue(&device)));
  CHECK(world, request_fine(world, &device, &request));
  reset(world, victim);
  // In the arena nothing of the old rings counts any more.
  for (uint32_t q = 0; q < device.queues; ++q) publish(world, &device.queue[q], 0xffff);
  all_healthy(world);
}

void bad_features(struct world* world, uint32_t victim) {
  for (uint32_t bit = 0; bit < 96; ++bit) {
    reset(world, victim);
    set(world, victim, STATUS, ACKNOWLEDGE | DRIVER);
    set(world, victim, DEVICE_FEATURES_SELECT, bit / 32);
    const uint32_t offered = get(world, victim, DEVICE_FEATURES);
    if (offered >> (bit % 32) & 1) continue;
    set(world, victim, DRIVER_FEATURES_SELECT, 1);
    set(world, victim, DRIVER_FEATURES, 1);  // VERSION_1
    set(world, victim, DRIVER_FEATURES_SELECT, bit / 32);
    set(world, victim, DRIVER_FEATURES, 1u << (bit % 32) | (bit / 32 == 1));
    set(world, victim, STATUS, READY);
    CHECK(world, get(world, victim, STATUS) == (ACKNOWLEDGE | DRIVER));
    set(world, victim, STATUS, ALL);
    CHECK(world, get(world, victim, STATUS) == (ACKNOWLEDGE | DRIVER));
  }
  all_healthy(world);
}

void config_abuse(struct world* world, uint32_t victim) {
  const struct hardware* hardware = world->hardware;
  const uint64_t window = DEVICE_WINDOWS + victim * WINDOW;
  struct device device;
  for (uint32_t round = 0; round < 2; ++round) {
    reset(world, victim);
    if (round == 1) CHECK(world, start(world, victim, &device));
    for (uint32_t width = 1; width <= 4; width *= 2) {
      for (uint32_t offset = 0xf8; offset < 0x180; ++offset) {
        hardware->write(hardware->self, window + offset, width, 0xffffffff);
        (void)hardware->read(hardware->self, window + offset, width);
      }
      for (uint32_t offset = WINDOW - 6; offset < WINDOW + 2; ++offset) {  // and over the edge
        hardware->write(hardware->self, window + offset, width, 0xffffffff);
        (void)hardware->read(hardware->self, window + offset, width);
      }
    }
    CHECK(world, get(world, victim, MAGIC) == 0x74726976);
  }
  // Beyond every configuration there is: zeros.
  CHECK(world, hardware->read(hardware->self, window + WINDOW - 4, 4) == 0);
  reset(world, victim);
  all_healthy(world);
}

// Anything anywhere in the windows, of all devices at once.
void register_noise(struct world* world, uint32_t victim) {
  const struct hardware* hardware = world->hardware;
  (void)victim;
  for (uint32_t i = 0; i < 1000; ++i) {
    const uint32_t choice = random32(world);
    const uint32_t slot = choice % world->order->devices;
    static const uint8_t kUsual[] = {ACKNOWLEDGE, ACKNOWLEDGE | DRIVER, READY, ALL};
    switch (choice >> 8 & 7) {
      case 0:
        set(world, slot, STATUS, kUsual[choice >> 12 & 3]);
        break;
      case 1:
        set(world, slot, (choice >> 12 & 0x3f) * 4, random32(world));
        break;
      case 2:
        hardware->write(hardware->self, DEVICE_WINDOWS + (choice >> 12) % (6 * WINDOW), 1u << (choice & 1),
                        random32(world));
        break;
      case 3:
        set64(world, slot, QUEUE_DESCRIPTORS + (choice >> 12 & 3) * 16, ARENA_START + (random32(world) & 0xffff0));
        break;
      case 4: {
        struct device device;
        (void)start(world, slot, &device);
        break;
      }
      case 5:
        set(world, slot, QUEUE_NOTIFY, choice >> 12 & 7);
        break;
      case 6:
        store32(world, ARENA_START + (choice >> 12), random32(world));
        break;
      default:
        (void)hardware->read(hardware->self, DEVICE_WINDOWS + (choice >> 12) % (6 * WINDOW), 1u << (choice & 1));
    }
  }
  // Some run still, on memory that others are about to get.
  for (uint32_t slot = 0; slot < world->order->devices; ++slot) reset(world, slot);
  all_healthy(world);
}
