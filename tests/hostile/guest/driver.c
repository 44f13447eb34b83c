#define FILE_ID 1
#include "driver.h"

void check(struct world* world, bool condition, uint32_t file, uint32_t line) {
  ++world->order->checks;
  if (condition || world->order->failed_line) return;
  world->order->failed_file = file;
  world->order->failed_line = line;
}

uint32_t random32(struct world* world) {  // xorshift
  uint32_t x = world->random ? world->random : 0x2545f491;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return world->random = x;
}

static volatile uint8_t* at(struct world* world, uint64_t address) {
  return world->hardware->ram + (uintptr_t)address;
}

uint64_t room(struct world* world, uint32_t size) {
  const uint32_t address = world->arena;
  const uint32_t next = (address + size + 63) & ~63u;
  if (next > ARENA_END) {
    CHECK(world, false);
    return ARENA_START;
  }
  world->arena = next;
  return address;
}

uint64_t take(struct world* world, uint32_t size) {
  const uint64_t address = room(world, size);
  for (uint32_t i = 0; i < size; i += 4) *(volatile uint32_t*)at(world, address + i) = 0;
  return address;
}

uint32_t get(struct world* world, uint32_t slot, uint32_t offset) {
  return world->hardware->read(world->hardware->self, DEVICE_WINDOWS + slot * WINDOW + offset, 4);
}
void set(struct world* world, uint32_t slot, uint32_t offset, uint32_t value) {
  world->hardware->write(world->hardware->self, DEVICE_WINDOWS + slot * WINDOW + offset, 4, value);
}
void set64(struct world* world, uint32_t slot, uint32_t offset, uint64_t value) {
  set(world, slot, offset, (uint32_t)value);
  set(world, slot, offset + 4, (uint32_t)(value >> 32));
}
uint16_t load16(struct world* world, uint64_t address) {
  const uint16_t value = *(volatile uint16_t*)at(world, address);
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  return value;
}
void store16(struct world* world, uint64_t address, uint16_t value) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  *(volatile uint16_t*)at(world, address) = value;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
void store32(struct world* world, uint64_t address, uint32_t value) {
  *(volatile uint32_t*)at(world, address) = value;
}
void store64(struct world* world, uint64_t address, uint64_t value) {
  store32(world, address, (uint32_t)value);
  store32(world, address + 4, (uint32_t)(value >> 32));
}

void reset(struct world* world, uint32_t slot) {
  set(world, slot, STATUS, 0);
  CHECK(world, get(world, slot, STATUS) == 0);
}

static void make_queue(struct world* world, struct queue* queue, uint32_t index, uint16_t size) {
  queue->index = index;
  queue->size = size;
  queue->descriptors = take(world, size * 16u);
  queue->available = take(world, 6u + size * 2u);
  queue->used = take(world, 6u + size * 8u);
  queue->next_available = queue->next_used = 0;
}

void negotiate(struct world* world, uint32_t slot, struct device* device, uint64_t without) {
  world->arena = ARENA_START + world->kept;
  device->slot = slot;
  device->type = get(world, slot, DEVICE_ID);
  device->queues = 0;
  reset(world, slot);
  set(world, slot, STATUS, ACKNOWLEDGE);
  set(world, slot, STATUS, ACKNOWLEDGE | DRIVER);
  for (uint32_t half = 0; half < 2; ++half) {
    set(world, slot, DEVICE_FEATURES_SELECT, half);
    set(world, slot, DRIVER_FEATURES_SELECT, half);
    set(world, slot, DRIVER_FEATURES, get(world, slot, DEVICE_FEATURES) & ~(uint32_t)(without >> (32 * half)));
  }
  set(world, slot, STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
  CHECK(world, get(world, slot, STATUS) == (ACKNOWLEDGE | DRIVER | FEATURES_OK));
  for (uint32_t i = 0; i < MAX_QUEUES; ++i) {
    set(world, slot, QUEUE_SELECT, i);
    const uint32_t most = get(world, slot, QUEUE_SIZE_MAX);
    if (most == 0) break;
    make_queue(world, &device->queue[i], i, most < RING ? (uint16_t)most : RING);
    ++device->queues;
  }
}

void tell_queue(struct world* world, const struct device* device, const struct queue* queue) {
  set(world, device->slot, QUEUE_SELECT, queue->index);
  set(world, device->slot, QUEUE_READY, 0);
  set(world, device->slot, QUEUE_SIZE, queue->size);
  set64(world, device->slot, QUEUE_DESCRIPTORS, queue->descriptors);
  set64(world, device->slot, QUEUE_DRIVER, queue->available);
  set64(world, device->slot, QUEUE_DEVICE, queue->used);
  set(world, device->slot, QUEUE_READY, 1);
}

bool start_without(struct world* world, uint32_t slot, struct device* device, uint64_t without_features) {
  negotiate(world, slot, device, without_features);
  for (uint32_t i = 0; i < device->queues; ++i) tell_queue(world, device, &device->queue[i]);
  set(world, slot, STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
  return get(world, slot, STATUS) == (ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

bool start(struct world* world, uint32_t slot, struct device* device) {
  return start_without(world, slot, device, 0);
}

void descriptor(struct world* world, const struct queue* queue, uint16_t index, uint64_t address, uint32_t length,
                uint16_t flags, uint16_t next) {
  const uint64_t entry = queue->descriptors + index * 16u;
  store64(world, entry, address);
  store32(world, entry + 8, length);
  store32(world, entry + 12, flags | (uint32_t)next << 16);
}

void publish(struct world* world, struct queue* queue, uint16_t head) {
  store16(world, queue->available + 4 + (queue->next_available % queue->size) * 2u, head);
  store16(world, queue->available + 2, ++queue->next_available);
}

void kick(struct world* world, const struct device* device, const struct queue* queue) {
  set(world, device->slot, QUEUE_NOTIFY, queue->index);
}

// One turn of waiting. A device that does nothing more fails the scenario; turns, for there is no clock: seconds where
// a turn is short, and more where the host is busy.
static bool wait_on(struct world* world, uint32_t* turns) {
  const uint32_t most = 10000000;
  if (++*turns > most) {
    CHECK(world, false);
    return false;
  }
  world->hardware->yield(world->hardware->self);
  return true;
}

bool wait_used(struct world* world, const struct device* device, struct queue* queue) {
  uint32_t turns = 0;
  while (load16(world, queue->used + 2) == queue->next_used) {
    if (get(world, device->slot, STATUS) & NEEDS_RESET) return false;
    if (!wait_on(world, &turns)) return false;
  }
  ++queue->next_used;
  return true;
}

void wait_broken(struct world* world, const struct device* device) {
  uint32_t turns = 0;
  while (!(get(world, device->slot, STATUS) & NEEDS_RESET) && wait_on(world, &turns)) {
  }
}

struct queue* request_queue(struct device* device) {
  return &device->queue[device->type == CONSOLE ? 3 : device->type == SHARE ? 1 : 0];
}

struct request honest_request(struct world* world, struct device* device) {
  struct queue* queue = request_queue(device);
  struct request request = {room(world, 512), take(world, 16)};
  const uint64_t header = take(world, 16), share_header = room(world, 128);
  store32(world, request.status, 0xff);
  switch (device->type) {
    case BLOCK:  // read the sector with the mark
      store32(world, header + 8, MARK_SECTOR);
      store32(world, request.data, 0);
      descriptor(world, queue, 0, header, 16, NEXT, 1);
      descriptor(world, queue, 1, request.data, 512, NEXT | WRITE, 2);
      descriptor(world, queue, 2, request.status, 1, WRITE, 0);
      break;
    case CONSOLE:  // "the driver is ready", with room for what the device says to that
      for (uint16_t i = 0; i < device->queue[2].size; ++i) {
        descriptor(world, &device->queue[2], i, room(world, 64), 64, WRITE, 0);
        publish(world, &device->queue[2], i);
      }
      store32(world, header + 4, 1u << 16);  // id 0, event DEVICE_READY, value 1
      descriptor(world, queue, 0, header, 8, 0, 0);
      break;
    case BALLOON:  // one page of the arena's end
      store32(world, header, (ARENA_END - 4096) / 4096);
      descriptor(world, queue, 0, header, 4, 0, 0);
      break;
    case SHARE:  // FUSE_INIT (26) of protocol 7.31; its id is a mark
      store32(world, request.data, 0);
      store32(world, request.data + 4, 0xff);
      for (uint32_t i = 0; i < 104; i += 4) store32(world, share_header + i, 0);
      store32(world, share_header, 104);
      store32(world, share_header + 4, 26);
      store32(world, share_header + 8, MARK_SECTOR);
      store32(world, share_header + 40, 7);
      store32(world, share_header + 44, 31);
      descriptor(world, queue, 0, share_header, 104, NEXT, 1);
      descriptor(world, queue, 1, request.data, 512, WRITE, 0);
      break;
    default:
      for (uint32_t i = 0; i < 64; i += 4) store32(world, request.data + i, 0);
      descriptor(world, queue, 0, request.data, 64, WRITE, 0);
  }
  publish(world, queue, 0);
  return request;
}

bool request_fine(struct world* world, const struct device* device, const struct request* request) {
  if (device->type == BLOCK) {
    return *at(world, request->status) == 0 && *at(world, request->data) == 'd' && *at(world, request->data + 3) == 'k';
  }
  if (device->type == SHARE)  // an answer of its length, no error, to this request
    return *at(world, request->data) == 80 && *at(world, request->data + 4) == 0 &&
           load16(world, request->data + 8) == MARK_SECTOR;
  if (device->type != ENTROPY) return true;
  uint8_t any = 0;
  for (uint32_t i = 0; i < 64; ++i) any |= *at(world, request->data + i);
  return any != 0;
}

void healthy(struct world* world, uint32_t slot) {
  struct device device;
  CHECK(world, start(world, slot, &device));
  const struct request request = honest_request(world, &device);
  kick(world, &device, request_queue(&device));
  CHECK(world, wait_used(world, &device, request_queue(&device)));
  CHECK(world, request_fine(world, &device, &request));
  reset(world, slot);
}

void all_healthy(struct world* world) {
  for (uint32_t slot = 0; slot < world->order->devices; ++slot) healthy(world, slot);
}
