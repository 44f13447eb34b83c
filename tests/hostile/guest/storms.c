#define FILE_ID 4
#include "driver.h"
#include "scenarios.h"

void notify_storm(struct world* world, uint32_t victim) {
  struct device device;
  reset(world, victim);
  for (uint32_t i = 0; i < 200; ++i) set(world, victim, QUEUE_NOTIFY, i & 15);  // nobody listens yet
  CHECK(world, start(world, victim, &device));
  for (uint32_t i = 0; i < 400; ++i) set(world, victim, QUEUE_NOTIFY, i & 15);
  set(world, victim, QUEUE_NOTIFY, 0x10000);
  set(world, victim, QUEUE_NOTIFY, 0xffffffff);
  // In the middle of it a request, which is answered, and another device, which answers too.
  const struct request request = honest_request(world, &device);
  for (uint32_t i = 0; i < 400; ++i) set(world, victim, QUEUE_NOTIFY, i % device.queues);
  CHECK(world, wait_used(world, &device, request_queue(&device)));
  CHECK(world, request_fine(world, &device, &request));
  world->kept = world->arena - ARENA_START;  // a share has a thread of its own, which is not to race with others'
  all_healthy(world);
  world->kept = 0;
  for (uint32_t i = 0; i < 200; ++i) set(world, victim, QUEUE_NOTIFY, i & 15);  // after a reset
  all_healthy(world);
}

void reset_storm(struct world* world, uint32_t victim) {
  struct device device;
  for (uint32_t i = 0; i < 30; ++i) {
    CHECK(world, start(world, victim, &device));
    reset(world, victim);
    reset(world, victim);
  }
  all_healthy(world);
}

// As many requests as fit, of the kind the device takes longest for.
static void fill(struct world* world, struct device* device, uint64_t data, uint64_t status, uint64_t header) {
  struct queue* queue = request_queue(device);
  if (device->type == BLOCK) {
    descriptor(world, queue, 0, header, 16, NEXT, 1);
    descriptor(world, queue, 1, data, 16384, NEXT | WRITE, 2);
    descriptor(world, queue, 2, status, 1, WRITE, 0);
  } else if (device->type == ENTROPY) {
    descriptor(world, queue, 0, data, 16384, WRITE, 0);
  } else {
    descriptor(world, queue, 0, header, 8, 0, 0);
  }
  for (uint16_t i = 0; i < queue->size; ++i) publish(world, queue, 0);
}

// When the reset has returned the device has let go of memory: whatever the guest puts there stays.
void reset_in_flight(struct world* world, uint32_t victim) {
  struct device device;
  for (uint32_t round = 0; round < 6; ++round) {
    CHECK(world, start(world, victim, &device));
    const uint64_t data = room(world, 16384);
    const uint64_t status = take(world, 64);
    const uint64_t header = take(world, 64);
    fill(world, &device, data, status, header);
    kick(world, &device, request_queue(&device));
    for (uint32_t i = 0; i < 2 * round; ++i) world->hardware->yield(world->hardware->self);
    reset(world, victim);
    const uint64_t used = request_queue(&device)->used;
    for (uint32_t i = 0; i < 128; ++i) store32(world, data + i * 128, 0x5a5a5a5a);
    store32(world, status, 0x5a5a5a5a);
    store32(world, used, 0x5a5a5a5a);
    for (uint32_t i = 0; i < 50; ++i) world->hardware->yield(world->hardware->self);
    for (uint32_t i = 0; i < 128; ++i)
      CHECK(world, load16(world, data + i * 128) == 0x5a5a && load16(world, data + i * 128 + 2) == 0x5a5a);
    CHECK(world, load16(world, status) == 0x5a5a);
    CHECK(world, load16(world, used) == 0x5a5a && load16(world, used + 2) == 0x5a5a);
  }
  all_healthy(world);
}

// Rings that change while the device reads them: what was judged must be what is used.
void changed_meanwhile(struct world* world, uint32_t victim) {
  const struct hardware* hardware = world->hardware;
  for (uint32_t round = 0; round < 20; ++round) {
    struct device device;
    CHECK(world, start(world, victim, &device));
    struct queue* queue = request_queue(&device);
    const uint64_t header = take(world, 64);
    const uint64_t data = room(world, 16384);
    fill(world, &device, data, header + 32, header);
    hardware->start_scribbling(hardware->self);
    for (uint32_t i = 0; i < 40; ++i) {
      store16(world, queue->available + 2, (uint16_t)(load16(world, queue->used + 2) + 1 + i % queue->size));
      kick(world, &device, queue);
      if (i % 8 == 0) hardware->yield(hardware->self);
    }
    reset(world, victim);
    hardware->stop_scribbling(hardware->self);
  }
  all_healthy(world);
}

void scribble(uint8_t* ram, const uint32_t* stop) {
  // What turns a good descriptor into a bad one, or a short buffer into a long one, at the right moment.
  static const uint32_t kValues[] = {0,          1,           16,           512,      0x7fffffff,
                                     0xffffffff, ARENA_START, RAM_SIZE - 4, RAM_SIZE, 0xd0000000};
  uint32_t random = 88172645;
  while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE)) {
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    // Most writes put back what was there: rings that are wrong all the time are found wrong at once.
    volatile uint32_t* at = (volatile uint32_t*)(ram + ARENA_START + (random % SCRIBBLED & ~3u));
    const uint32_t before = *at;
    *at = kValues[(random >> 16) % (sizeof(kValues) / sizeof(kValues[0]))];
    *at = before;
  }
}

// The machine ends (a triple fault, for the kernel) with requests under way at this device and idle ones at the rest.
void end_in_flight(struct world* world, uint32_t victim) {
  struct device device;
  all_healthy(world);
  CHECK(world, start(world, victim, &device));
  fill(world, &device, room(world, 16384), take(world, 64), take(world, 64));
  kick(world, &device, request_queue(&device));
}
