// PID 1 of kernel/measure-boot: says how long the kernel took by its own clock, then ends the machine. Static and
// without a C library, so that what is measured is the kernel. It speaks through the kernel's log: that is synchronous.
#include <linux/fcntl.h>
#include <linux/reboot.h>
#include <linux/time_types.h>
#include <sys/syscall.h>

static long call(long number, long first, long second, long third, long fourth) {
  long result;
  register long r10 __asm__("r10") = fourth;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(first), "S"(second), "d"(third), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
}

// The kernel enters with the stack 16-byte aligned, a C function expects the return address below that.
__attribute__((force_align_arg_pointer)) void _start(void) {
  struct __kernel_timespec now = {0};
  call(SYS_clock_gettime, 1 /* CLOCK_MONOTONIC */, (long)&now, 0, 0);
  char line[] = "<0>PID1 00000000 us\n";
  long microseconds = now.tv_sec * 1000000 + now.tv_nsec / 1000;
  for (int digit = 15; digit > 7; --digit, microseconds /= 10) line[digit] = (char)('0' + microseconds % 10);
  long log = call(SYS_open, (long)"/dev/kmsg", O_WRONLY, 0, 0);
  call(SYS_write, log, (long)line, sizeof(line) - 1, 0);
  call(SYS_reboot, (long)LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART, 0);
  for (;;) {
  }
}
