// A driver of virtio-mmio devices that does what it is told, right or wrong. Slots number the devices, as in their
// windows.
#pragma once

#include "hardware.h"

#ifdef __cplusplus
extern "C" {
#endif

// FILE_ID: defined by each file of scenarios before its includes.
#define CHECK(world, condition) check(world, (condition), FILE_ID, __LINE__)
void check(struct world* world, bool condition, uint32_t file, uint32_t line);

enum {  // registers
  MAGIC = 0x00,
  DEVICE_ID = 0x08,
  DEVICE_FEATURES = 0x10,
  DEVICE_FEATURES_SELECT = 0x14,
  DRIVER_FEATURES = 0x20,
  DRIVER_FEATURES_SELECT = 0x24,
  QUEUE_SELECT = 0x30,
  QUEUE_SIZE_MAX = 0x34,
  QUEUE_SIZE = 0x38,
  QUEUE_READY = 0x44,
  QUEUE_NOTIFY = 0x50,
  INTERRUPT_STATUS = 0x60,
  INTERRUPT_ACK = 0x64,
  STATUS = 0x70,
  QUEUE_DESCRIPTORS = 0x80,
  QUEUE_DRIVER = 0x90,
  QUEUE_DEVICE = 0xa0,
  CONFIG_GENERATION = 0xfc,
  CONFIG = 0x100,
};
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64, FAILED = 128 };
enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };  // flags of a descriptor
enum { BLOCK = 2, CONSOLE = 3, ENTROPY = 4, BALLOON = 5, SHARE = 26 };
enum { MAX_QUEUES = 8, RING = 16 };  // at most so many queues are set up; entries of each

struct queue {
  uint32_t index;
  uint16_t size;
  uint64_t descriptors, available, used;
  uint16_t next_available, next_used;
};
struct device {
  uint32_t slot, type, queues;
  struct queue queue[MAX_QUEUES];
};

uint64_t room(struct world* world, uint32_t size);  // memory of the arena, 64-aligned, whatever it holds
uint64_t take(struct world* world, uint32_t size);  // zeroed: where a processor is slow, only for what needs it
uint32_t random32(struct world* world);

uint32_t get(struct world* world, uint32_t slot, uint32_t offset);
void set(struct world* world, uint32_t slot, uint32_t offset, uint32_t value);
void set64(struct world* world, uint32_t slot, uint32_t offset, uint64_t value);
uint16_t load16(struct world* world, uint64_t address);
void store16(struct world* world, uint64_t address, uint16_t value);
void store32(struct world* world, uint64_t address, uint32_t value);
void store64(struct world* world, uint64_t address, uint64_t value);

// From reset to FEATURES_OK, with all features but those of `without`, and rings for all queues made in a fresh arena
// (not yet told the device).
void negotiate(struct world* world, uint32_t slot, struct device* device, uint64_t without);
void tell_queue(struct world* world, const struct device* device, const struct queue* queue);
// All of it, up to DRIVER_OK. Whether the device is fine then.
bool start(struct world* world, uint32_t slot, struct device* device);
bool start_without(struct world* world, uint32_t slot, struct device* device, uint64_t without_features);
void reset(struct world* world, uint32_t slot);

void descriptor(struct world* world, const struct queue* queue, uint16_t index, uint64_t address, uint32_t length,
                uint16_t flags, uint16_t next);
void publish(struct world* world, struct queue* queue, uint16_t head);
void kick(struct world* world, const struct device* device, const struct queue* queue);
// Until the device gives something back (true) or breaks (false). Both fail the scenario when it does neither for long.
bool wait_used(struct world* world, const struct device* device, struct queue* queue);
void wait_broken(struct world* world, const struct device* device);

// The queue whose requests the device looks at as soon as it is kicked.
struct queue* request_queue(struct device* device);
// One request as an honest driver makes it, published but not kicked, whose answer can be judged by request_fine().
struct request {
  uint64_t data, status;
};
struct request honest_request(struct world* world, struct device* device);
bool request_fine(struct world* world, const struct device* device, const struct request* request);
// Reset, start, one honest request and its answer, reset.
void healthy(struct world* world, uint32_t slot);
void all_healthy(struct world* world);

#ifdef __cplusplus
}
#endif
