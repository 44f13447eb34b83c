// What a hostile guest sees of its machine. The scenarios are compiled twice: freestanding, into the test kernel, where
// these are instructions (kernel.c), and for the host, where they are calls of the buses a vCPU would call
// (../direct_guest.h). Nothing here may need a C library.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Where the bed puts things (../hostile_bed.h).
#define DEVICE_WINDOWS 0xd0000000u  // 4 KiB each, in the order of slots
#define WINDOW 0x1000u
#define RAM_SIZE 0x400000u       // from 0
#define HIGH_RAM 0x100000000ull  // a little more from 4 GiB on, out of reach of the guest's own instructions
#define HIGH_RAM_SIZE 0x10000u
#define ORDER_AT 0x30000u      // struct order; no page that a random small number names
#define ARENA_START 0x200000u  // rings and buffers
#define ARENA_END 0x3e0000u
#define SCRIBBLED 0x2000u       // bytes from ARENA_START on: where the first rings of a device lie
#define CANARY_START ARENA_END  // up to the end of RAM: never offered to a device, but by the scenarios that say so
#define SERIAL_PORT 0x3f8u
#define DISK_SECTORS 2048u  // of the block device
// Two shares, "rw" and "ro": each with "file", "dir" and "link", which leads to what lies beside them on the host.
#define MARK_SECTOR 1000u  // begins with "disk"; no scenario writes there

struct hardware {
  void* self;
  uint8_t* ram;  // guest physical 0
  uint32_t (*read)(void* self, uint64_t address, unsigned width);
  void (*write)(void* self, uint64_t address, unsigned width, uint32_t value);
  uint32_t (*port_read)(void* self, uint16_t port, unsigned width);
  void (*port_write)(void* self, uint16_t port, unsigned width, uint32_t value);
  // One string instruction.
  void (*port_read_string)(void* self, uint16_t port, unsigned width, void* to, uint32_t count);
  void (*port_write_string)(void* self, uint16_t port, unsigned width, const void* from, uint32_t count);
  void (*yield)(void* self);  // the device is to get on
  // Another processor that changes the arena's beginning all the while, where there is one.
  void (*start_scribbling)(void* self);
  void (*stop_scribbling)(void* self);
};

// What the kernel is to do, and how it went; the bed writes the first half, the scenario the second.
struct order {
  uint32_t scenario;
  uint32_t victim;                    // slot
  uint32_t devices;                   // how many slots there are
  uint32_t checks;                    // made
  uint32_t failed_file, failed_line;  // of the first check that failed; 0 = none
  uint32_t finished;                  // FINISHED, at the end
};
#define FINISHED 0x600df00du

struct world {
  const struct hardware* hardware;
  struct order* order;
  uint32_t arena;   // free from here
  uint32_t random;  // state of the generator
  uint32_t kept;    // bytes from ARENA_START on that a device still uses while others are started
};

#ifdef __cplusplus
}
#endif
