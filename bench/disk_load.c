// Writes and reads one large file in sequence, through the page cache and past it:
//
//   disk_load FILE MIB     one line each: name, seconds, MiB
//
// Each twice: a file that grows is another matter than one that is written again. Static, so that it runs in any image.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "timed.h"

enum { BLOCK = 1 << 20 };
static _Alignas(4096) char block[BLOCK];

static void write_and_read(const char* path, long mib, int flags, const char* names[4]) {
  for (int again = 0; again < 2; ++again) {
    int fd = open(path, O_RDWR | O_CREAT | flags, 0644);
    must(fd >= 0, path);
    begin();
    for (long i = 0; i < mib; ++i) must(write(fd, block, BLOCK) == BLOCK, "write");
    must(fsync(fd) == 0, "fsync");
    end(names[again], mib);
    must(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "empty the cache");
    must(lseek(fd, 0, SEEK_SET) == 0, "seek");
    begin();
    for (long i = 0; i < mib; ++i) must(read(fd, block, BLOCK) == BLOCK, "read");
    end(names[2 + again], mib);
    close(fd);
  }
  unlink(path);
}

int main(int count, char** words) {
  must(count == 3, "disk_load FILE MIB");
  memset(block, 'x', sizeof(block));
  long mib = atol(words[2]);
  write_and_read(words[1], mib, 0, (const char*[]){"write", "rewrite", "read", "read-again"});
  write_and_read(words[1], mib, O_DIRECT, (const char*[]){"direct-write", "direct-rewrite", "direct-read", "direct-read-again"});
}
