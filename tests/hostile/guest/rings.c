#define FILE_ID 2
#include "driver.h"
#include "scenarios.h"

// What one round of a scenario does to a started device, before the kick.
typedef void (*spoil)(struct world* world, struct device* device, struct queue* queue, uint32_t number);

// The device must see it and stop, until it is reset; the others must not care.
static void expect_broken(struct world* world, uint32_t slot, spoil spoil, uint32_t number) {
  struct device device;
  CHECK(world, start(world, slot, &device));
  struct queue* queue = request_queue(&device);
  spoil(world, &device, queue, number);
  kick(world, &device, queue);
  wait_broken(world, &device);
  // Broken is broken: more kicks and status bits change nothing.
  kick(world, &device, queue);
  set(world, slot, STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
  CHECK(world, (get(world, slot, STATUS) & (NEEDS_RESET | DRIVER_OK)) == (NEEDS_RESET | DRIVER_OK));
  const uint16_t given_back = load16(world, queue->used + 2);
  reset(world, slot);
  CHECK(world, load16(world, queue->used + 2) == given_back);
}

static const struct {
  uint64_t address;
  uint32_t length;
} kOutside[] = {
    {RAM_SIZE, 1},
    {RAM_SIZE - 1, 2},
    {RAM_SIZE - 0x1000, 0xfffff001},  // the end is 1 in 32 bits
    {DEVICE_WINDOWS, 4},
    {0xc0000000, 16},
    {0xfec00000, 16},
    {0xfee00000, 16},
    {HIGH_RAM - 8, 16},
    {HIGH_RAM + HIGH_RAM_SIZE - 8, 16},
    {HIGH_RAM + HIGH_RAM_SIZE, 1},
    {0x8000000000000000ull, 16},
    {0xffffffffffffffffull, 1},
    {0xfffffffffffffff8ull, 8},  // the end is 0 in 64 bits
    {0xfffffffffffffff8ull, 0x1000},
    {0, 0xffffffff},
    {ARENA_START, 0xffffffff},
};
enum { OUTSIDE = sizeof(kOutside) / sizeof(kOutside[0]) };

static void point_outside(struct world* world, struct device* device, struct queue* queue, uint32_t number) {
  (void)device;
  const uint16_t flags = number & 1 ? WRITE : 0;
  descriptor(world, queue, 0, kOutside[number / 2].address, kOutside[number / 2].length, flags, 0);
  publish(world, queue, 0);
}
static void table_outside(struct world* world, struct device* device, struct queue* queue, uint32_t number) {
  (void)device;
  descriptor(world, queue, 0, kOutside[number].address, (kOutside[number].length + 15) & ~15u, INDIRECT, 0);
  publish(world, queue, 0);
}

void bad_addresses(struct world* world, uint32_t victim) {
  for (uint32_t i = 0; i < 2 * OUTSIDE; ++i) expect_broken(world, victim, point_outside, i);
  for (uint32_t i = 0; i < OUTSIDE; ++i) expect_broken(world, victim, table_outside, i);
  all_healthy(world);
}

static void entry(struct world* world, uint64_t table, uint32_t index, uint64_t address, uint32_t length,
                  uint16_t flags, uint16_t next) {
  const struct queue fake = {.descriptors = table};
  descriptor(world, &fake, (uint16_t)index, address, length, flags, next);
}

static void bad_chain(struct world* world, struct device* device, struct queue* queue, uint32_t number) {
  (void)device;
  const uint64_t data = take(world, 64);
  const uint64_t table = room(world, 16 * 1152);
  switch (number) {
    case 0:  // a descriptor that follows itself
      descriptor(world, queue, 0, data, 8, NEXT, 0);
      break;
    case 1:  // a loop of two, without a byte
      descriptor(world, queue, 0, data, 0, NEXT, 1);
      descriptor(world, queue, 1, data, 0, NEXT, 0);
      break;
    case 2:  // through all of the queue
      for (uint16_t i = 0; i < queue->size; ++i)
        descriptor(world, queue, i, data, 1, NEXT, (uint16_t)((i + 1) % queue->size));
      break;
    case 3:  // a next one that is none
      descriptor(world, queue, 0, data, 8, NEXT, queue->size);
      break;
    case 4:
      descriptor(world, queue, 0, data, 8, NEXT, 0xffff);
      break;
    case 5:  // read after write
      descriptor(world, queue, 0, data, 8, NEXT | WRITE, 1);
      descriptor(world, queue, 1, data, 8, 0, 0);
      break;
    case 6:  // a loop inside a table
      entry(world, table, 0, data, 1, NEXT, 1);
      entry(world, table, 1, data, 1, NEXT, 0);
      descriptor(world, queue, 0, table, 32, INDIRECT, 0);
      break;
    case 7:  // a table inside a table
      entry(world, table, 0, table + 16, 16, INDIRECT, 0);
      descriptor(world, queue, 0, table, 32, INDIRECT, 0);
      break;
    case 8:  // a table that is its own entry
      entry(world, table, 0, table, 16, INDIRECT, 0);
      descriptor(world, queue, 0, table, 16, INDIRECT, 0);
      break;
    case 9:  // a table and then more
      entry(world, table, 0, data, 8, 0, 0);
      descriptor(world, queue, 0, table, 16, INDIRECT | NEXT, 1);
      descriptor(world, queue, 1, data, 8, 0, 0);
      break;
    case 10:  // tables of no or odd length
      descriptor(world, queue, 0, table, 0, INDIRECT, 0);
      break;
    case 11:
      descriptor(world, queue, 0, table, 24, INDIRECT, 0);
      break;
    case 12:  // beyond the table
      entry(world, table, 0, data, 8, NEXT, 2);
      descriptor(world, queue, 0, table, 32, INDIRECT, 0);
      break;
    case 13:  // 4 GiB of buffers, all of them in memory
      for (uint32_t i = 0; i < 1024; ++i) entry(world, table, i, 0, RAM_SIZE, i < 1023 ? NEXT : 0, (uint16_t)(i + 1));
      descriptor(world, queue, 0, table, 1024 * 16, INDIRECT, 0);
      break;
    default:  // more than 1024 entries
      for (uint32_t i = 0; i < 1100; ++i) entry(world, table, i, data, 1, NEXT, (uint16_t)(i + 1));
      entry(world, table, 1100, data, 1, 0, 0);
      descriptor(world, queue, 0, table, 1101 * 16, INDIRECT, 0);
  }
  publish(world, queue, 0);
}

void bad_chains(struct world* world, uint32_t victim) {
  for (uint32_t i = 0; i <= 14; ++i) expect_broken(world, victim, bad_chain, i);
  // Indirect where that was not agreed on.
  struct device device;
  CHECK(world, start_without(world, victim, &device, 1ull << 28));
  const uint64_t table = take(world, 16);
  entry(world, table, 0, take(world, 64), 64, 0, 0);
  descriptor(world, request_queue(&device), 0, table, 16, INDIRECT, 0);
  publish(world, request_queue(&device), 0);
  kick(world, &device, request_queue(&device));
  wait_broken(world, &device);
  all_healthy(world);
}

static void bad_index(struct world* world, struct device* device, struct queue* queue, uint32_t number) {
  const uint16_t indices[] = {(uint16_t)(queue->size + 1), 0x7fff, 0x8000, 0xffff};
  const uint16_t heads[] = {queue->size, 0x7fff, 0x8000, 0xffff};
  (void)device;
  if (number < 4)
    store16(world, queue->available + 2, indices[number]);
  else
    publish(world, queue, heads[number - 4]);
}

void bad_indices(struct world* world, uint32_t victim) {
  for (uint32_t i = 0; i < 8; ++i) expect_broken(world, victim, bad_index, i);
  all_healthy(world);
}

// The device may do what it likes with the rings it is made to overwrite, but with nothing else.
void buffers_over_rings(struct world* world, uint32_t victim) {
  for (uint32_t i = 0; i < 4; ++i) {
    struct device device;
    CHECK(world, start(world, victim, &device));
    struct queue* queue = request_queue(&device);
    const uint64_t targets[] = {queue->descriptors, queue->available, queue->used, queue->used - 32};
    for (uint16_t entry_index = 0; entry_index < queue->size; ++entry_index) {
      descriptor(world, queue, entry_index, targets[i], 64, WRITE, 0);
      publish(world, queue, entry_index);
    }
    kick(world, &device, queue);
    reset(world, victim);
  }
  all_healthy(world);
}

void rings_over_rings(struct world* world, uint32_t victim) {
  for (uint32_t i = 0; i < 3; ++i) {
    struct device device;
    negotiate(world, victim, &device, 0);
    struct queue* queue = request_queue(&device);
    if (i != 0) queue->used = queue->descriptors;
    if (i != 1) queue->available = queue->descriptors;
    for (uint32_t q = 0; q < device.queues; ++q) tell_queue(world, &device, &device.queue[q]);
    set(world, victim, STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    descriptor(world, queue, 0, take(world, 64), 64, WRITE, 0);
    publish(world, queue, 0);
    kick(world, &device, queue);
    reset(world, victim);
  }
  all_healthy(world);
}

// All queues of the device, also those it looks at only when it has something to say.
void all_queues_at_once(struct world* world, uint32_t victim) {
  for (uint32_t i = 0; i < OUTSIDE; ++i) {
    struct device device;
    CHECK(world, start(world, victim, &device));
    for (uint32_t q = 0; q < device.queues; ++q) {
      descriptor(world, &device.queue[q], 0, kOutside[i].address, kOutside[i].length, WRITE, 0);
      publish(world, &device.queue[q], 0);
    }
    for (uint32_t q = device.queues; q-- > 0;) kick(world, &device, &device.queue[q]);
    wait_broken(world, &device);
    reset(world, victim);
  }
  all_healthy(world);
}
