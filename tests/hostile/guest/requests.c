// What the requests themselves say: fields out of range, pieces missing, pieces cut at odd places.
#define FILE_ID 5
#include "driver.h"
#include "scenarios.h"

// Whatever becomes of it, the device answers or breaks, and comes back by reset.
static void outcome(struct world* world, struct device* device, struct queue* queue) {
  publish(world, queue, 0);
  kick(world, device, queue);
  (void)wait_used(world, device, queue);
  reset(world, device->slot);
}

static void block_request(struct world* world, uint32_t slot, uint32_t type, uint64_t sector, uint32_t header_length,
                          uint32_t data_length, uint16_t data_flags, uint32_t status_length) {
  struct device device;
  CHECK(world, start(world, slot, &device));
  struct queue* queue = request_queue(&device);
  const uint64_t header = take(world, 16);
  store32(world, header, type);
  store64(world, header + 8, sector);
  descriptor(world, queue, 0, header, header_length, NEXT, 1);
  descriptor(world, queue, 1, room(world, 4096), data_length, (uint16_t)(data_flags | (status_length ? NEXT : 0)), 2);
  descriptor(world, queue, 2, take(world, 64), status_length, WRITE, 0);
  outcome(world, &device, queue);
}

static void bad_block_requests(struct world* world, uint32_t slot) {
  static const uint32_t kTypes[] = {0, 1, 4, 8, 11, 13, 14, 0x7fffffff, 0xffffffff};
  static const uint64_t kSectors[] = {0,
                                      DISK_SECTORS - 1,
                                      DISK_SECTORS,
                                      0x7fffffffffffffffull,
                                      0x007fffffffffffffull,  // times 512 is almost 2^64
                                      0x0080000000000000ull,  // times 512 is 0
                                      0xffffffffffffffffull};
  for (uint32_t type = 0; type < sizeof(kTypes) / sizeof(kTypes[0]); ++type) {
    for (uint32_t sector = 0; sector < sizeof(kSectors) / sizeof(kSectors[0]); ++sector) {
      block_request(world, slot, kTypes[type], kSectors[sector], 16, 1024, WRITE, 1);
      block_request(world, slot, kTypes[type], kSectors[sector], 16, 1024, 0, 1);
    }
    const uint64_t somewhere = 8;
    block_request(world, slot, kTypes[type], somewhere, 15, 512, WRITE, 1);  // header too short
    block_request(world, slot, kTypes[type], somewhere, 1, 512, 0, 1);
    block_request(world, slot, kTypes[type], somewhere, 16, 511, WRITE, 1);  // not whole sectors
    block_request(world, slot, kTypes[type], somewhere, 16, 513, 0, 1);
    block_request(world, slot, kTypes[type], somewhere, 16, 0, 0, 1);    // no data
    block_request(world, slot, kTypes[type], somewhere, 16, 512, 0, 0);  // no status
    block_request(world, slot, kTypes[type], somewhere, 16, 512, WRITE, 0);
    block_request(world, slot, kTypes[type], somewhere, 16, 512, WRITE, 2);  // more status than there is
    block_request(world, slot, kTypes[type], somewhere, 16, 0x100000, WRITE, 1);
  }
}

// Device-readable bytes to a queue, cut into pieces of one byte: no device may rely on a field being in one piece.
static void say(struct world* world, uint32_t slot, uint32_t queue_index, const uint32_t* words, uint32_t length) {
  struct device device;
  CHECK(world, start(world, slot, &device));
  if (queue_index >= device.queues) return reset(world, slot);
  struct queue* queue = &device.queue[queue_index];
  const uint64_t data = take(world, 64);
  for (uint32_t i = 0; i * 4 < length; ++i) store32(world, data + i * 4, words[i]);
  const uint64_t table = take(world, 64 * 16);
  const struct queue fake = {.descriptors = table};
  for (uint32_t i = 0; i < length; ++i)
    descriptor(world, &fake, (uint16_t)i, data + i, 1, i + 1 < length ? NEXT : 0, (uint16_t)(i + 1));
  descriptor(world, queue, 0, table, length * 16, INDIRECT, 0);
  outcome(world, &device, queue);
}

static void bad_console_messages(struct world* world, uint32_t slot) {
  static const uint32_t kPorts[] = {0, 1, 2, 0x7fffffff, 0xffffffff};
  for (uint32_t port = 0; port < 5; ++port) {
    for (uint32_t event = 0; event < 10; ++event) {
      const uint32_t words[] = {kPorts[port], (event == 9 ? 0xffff : event) | 0xffff0000u};
      say(world, slot, 3, words, 8);
    }
  }
  const uint32_t words[] = {0, 0, 0, 0};
  for (uint32_t length = 1; length <= 16; ++length) say(world, slot, 3, words, length);
}

static void bad_balloon_pages(struct world* world, uint32_t slot) {
  static const uint32_t kPages[] = {RAM_SIZE / 4096, 0xfffff, 0x100010, 0x7fffffff, 0xffffffff, DEVICE_WINDOWS >> 12};
  for (uint32_t queue = 0; queue < 4; ++queue) {
    if (queue == 2) continue;  // statistics stay with the device until it asks
    for (uint32_t i = 0; i < 6; ++i) {
      const uint32_t words[] = {kPages[i], kPages[5 - i], kPages[i] + 1};
      for (uint32_t length = 1; length <= 12; length += i + 1) say(world, slot, queue, words, length);
    }
  }
}

void bad_requests(struct world* world, uint32_t victim) {
  const uint32_t type = get(world, victim, DEVICE_ID);
  if (type == BLOCK) bad_block_requests(world, victim);
  if (type == CONSOLE) bad_console_messages(world, victim);
  if (type == BALLOON) bad_balloon_pages(world, victim);
  all_healthy(world);
}

// Descriptors of chance, mostly in memory, to all queues.
void random_requests(struct world* world, uint32_t victim) {
  for (uint32_t round = 0; round < 12; ++round) {
    struct device device;
    CHECK(world, start(world, victim, &device));
    const uint64_t area = take(world, 8192);  // zeros: small numbers only, also as page numbers
    for (uint32_t q = 0; q < device.queues; ++q) {
      struct queue* queue = &device.queue[q];
      for (uint16_t i = 0; i < queue->size; ++i) {
        const uint32_t choice = random32(world);
        uint64_t address = area + (random32(world) & 0xfff);
        if ((choice & 0xff) == 0) address = random32(world) | RAM_SIZE;  // not there
        if ((choice & 0xff) == 1) address = HIGH_RAM + (random32(world) & 0x1ffff);
        descriptor(world, queue, i, address, choice >> 8 & (choice & 0x80 ? 15 : 1023),
                   (uint16_t)(choice >> 20 & (NEXT | WRITE)), (uint16_t)(choice >> 24) % queue->size);
      }
      for (uint32_t i = 0; i < 64; ++i) store32(world, area + (random32(world) & 0xffc), random32(world) & 0x1f);
      for (uint32_t i = 0; i < 8; ++i) publish(world, queue, (uint16_t)(random32(world) % queue->size));
      kick(world, &device, queue);
    }
    reset(world, victim);
  }
  all_healthy(world);
}
