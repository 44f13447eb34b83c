// The test kernel: 32-bit code without paging, begun at the PVH entry. Carries out one order and ends the machine by a
// triple fault, as a guest's reset does.
#include "scenarios.h"

static void nothing(void* self) {
  (void)self;
}

void* memset(void* to, int byte, size_t count) {
  for (volatile uint8_t* at = to; count-- > 0;) *at++ = (uint8_t)byte;
  return to;
}
void* memcpy(void* to, const void* from, size_t count) {
  volatile uint8_t* at = to;
  for (const uint8_t* source = from; count-- > 0;) *at++ = *source++;
  return to;
}

static uint32_t memory_read(void* self, uint64_t address, unsigned width) {
  const uintptr_t at = (uintptr_t)address;
  (void)self;
  if (width == 1) return *(volatile uint8_t*)at;
  if (width == 2) return *(volatile uint16_t*)at;
  return *(volatile uint32_t*)at;
}

static void memory_write(void* self, uint64_t address, unsigned width, uint32_t value) {
  const uintptr_t at = (uintptr_t)address;
  (void)self;
  if (width == 1) *(volatile uint8_t*)at = (uint8_t)value;
  if (width == 2) *(volatile uint16_t*)at = (uint16_t)value;
  if (width == 4) *(volatile uint32_t*)at = value;
}

static uint32_t port_read(void* self, uint16_t port, unsigned width) {
  uint32_t value = 0;
  (void)self;
  if (width == 1) __asm__ volatile("inb %1, %b0" : "+a"(value) : "d"(port));
  if (width == 2) __asm__ volatile("inw %1, %w0" : "+a"(value) : "d"(port));
  if (width == 4) __asm__ volatile("inl %1, %0" : "+a"(value) : "d"(port));
  return value;
}

static void port_write(void* self, uint16_t port, unsigned width, uint32_t value) {
  (void)self;
  if (width == 1) __asm__ volatile("outb %b0, %1" : : "a"(value), "d"(port));
  if (width == 2) __asm__ volatile("outw %w0, %1" : : "a"(value), "d"(port));
  if (width == 4) __asm__ volatile("outl %0, %1" : : "a"(value), "d"(port));
}

static void port_read_string(void* self, uint16_t port, unsigned width, void* to, uint32_t count) {
  (void)self;
  if (width == 1) __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(port) : "memory");
  if (width == 2) __asm__ volatile("rep insw" : "+D"(to), "+c"(count) : "d"(port) : "memory");
  if (width == 4) __asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(port) : "memory");
}

static void port_write_string(void* self, uint16_t port, unsigned width, const void* from, uint32_t count) {
  (void)self;
  if (width == 1) __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(port) : "memory");
  if (width == 2) __asm__ volatile("rep outsw" : "+S"(from), "+c"(count) : "d"(port) : "memory");
  if (width == 4) __asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(port) : "memory");
}

static void yield(void* self) {
  (void)self;
  __asm__ volatile("pause");
}

// The number after "name=" on the command line.
static uint32_t word(const char* line, const char* name) {
  for (; *line; ++line) {
    uint32_t i = 0;
    while (name[i] && line[i] == name[i]) ++i;
    if (name[i]) continue;
    uint32_t value = 0;
    for (line += i; *line >= '0' && *line <= '9'; ++line) value = value * 10 + (uint32_t)(*line - '0');
    return value;
  }
  return 0;
}

static void print(const char* text) {
  for (; *text; ++text) port_write(0, SERIAL_PORT, 1, (uint8_t)*text);
}
static void print_number(uint32_t value) {
  char digits[11];
  char* at = digits + sizeof(digits) - 1;
  for (*at = 0; value || !*at; value /= 10) *--at = (char)('0' + value % 10);
  print(at);
}

// Reached with the address of Xen's start_info. A bed leaves the order in memory; the program msb-kvm can only pass
// words, and hears of the outcome by the serial port.
void kernel_main(const uint32_t* start_info) {
  struct order* order = (struct order*)ORDER_AT;
  const bool by_words = order->devices == 0;
  if (by_words) {
    const char* line = (const char*)(uintptr_t)start_info[6];
    order->scenario = word(line, "scenario=");
    order->victim = word(line, "victim=");
    order->devices = word(line, "devices=");
  }

  // Filled at run time: nothing in this image is to be relocated.
  struct hardware hardware;
  hardware.self = 0;
  hardware.ram = 0;
  hardware.read = memory_read;
  hardware.write = memory_write;
  hardware.port_read = port_read;
  hardware.port_write = port_write;
  hardware.port_read_string = port_read_string;
  hardware.port_write_string = port_write_string;
  hardware.yield = yield;
  hardware.start_scribbling = nothing;
  hardware.stop_scribbling = nothing;
  run_scenario(&hardware, order);
  if (!by_words) return;
  print("\nchecks ");
  print_number(order->checks);
  print(" failed ");
  print_number(order->failed_file);
  print(":");
  print_number(order->failed_line);
  print("\n");
}
