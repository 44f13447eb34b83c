// Works on files the way package managers, compilers and version control do, and says how long each kind took:
//
//   share_load DIRECTORY FILES MIB     one line each: name, seconds, operations
//
// A tree of FILES small files in directories of 50 (an npm tree has about as many in each), then one file of MIB MiB.
// Static, so that it runs in any image.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "timed.h"

enum { IN_DIRECTORY = 50, CONTENT = 1500, BLOCK = 1 << 20, SMALL = 4096 };
static char content[BLOCK];
static const char* top;
static long files, mib;

static const char* directory_path(long number) {
  static char path[512];
  snprintf(path, sizeof(path), "%s/tree/package-%ld", top, number / IN_DIRECTORY);
  return path;
}
static const char* file_path(long number, const char* suffix) {
  static char path[600];
  snprintf(path, sizeof(path), "%s/module-%ld.js%s", directory_path(number), number, suffix);
  return path;
}

static void make_tree(void) {
  char path[512];
  snprintf(path, sizeof(path), "%s/tree", top);
  must(mkdir(path, 0755) == 0, path);
  for (long i = 0; i < files; ++i) {
    if (i % IN_DIRECTORY == 0) must(mkdir(directory_path(i), 0755) == 0, "mkdir");
    int fd = open(file_path(i, ""), O_WRONLY | O_CREAT | O_EXCL, 0644);
    must(fd >= 0, "create");
    must(write(fd, content, CONTENT) == CONTENT, "write");
    close(fd);
  }
}
// Lists everything, with attributes: what `find -ls` and `git status` do.
static long walk(const char* path) {
  DIR* listing = opendir(path);
  must(listing != NULL, path);
  long count = 0;
  for (struct dirent* entry; (entry = readdir(listing)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    struct stat status;
    must(fstatat(dirfd(listing), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0, "stat");
    ++count;
    if (!S_ISDIR(status.st_mode)) continue;
    char below[600];
    snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
    count += walk(below);
  }
  closedir(listing);
  return count;
}
static void read_tree(void) {
  for (long i = 0; i < files; ++i) {
    int fd = open(file_path(i, ""), O_RDONLY);
    must(fd >= 0, "open");
    must(read(fd, content, SMALL) == CONTENT, "read");
    close(fd);
  }
}
static void stat_tree(const char* suffix, int there) {
  struct stat status;
  for (long i = 0; i < files; ++i) must((stat(file_path(i, suffix), &status) == 0) == there, "stat by name");
}
// A new version of each, put in place by rename.
static void replace_tree(void) {
  char target[600];
  for (long i = 0; i < files; ++i) {
    int fd = open(file_path(i, ".new"), O_WRONLY | O_CREAT | O_EXCL, 0644);
    must(fd >= 0 && write(fd, content, CONTENT) == CONTENT, "write");
    close(fd);
    strcpy(target, file_path(i, ""));
    must(rename(file_path(i, ".new"), target) == 0, "rename");
  }
}
static void remove_tree(void) {
  for (long i = 0; i < files; ++i) {
    must(unlink(file_path(i, "")) == 0, "unlink");
    if (i % IN_DIRECTORY == IN_DIRECTORY - 1 || i == files - 1) must(rmdir(directory_path(i)) == 0, "rmdir");
  }
  char path[512];
  snprintf(path, sizeof(path), "%s/tree", top);
  must(rmdir(path) == 0, "rmdir");
}

static void drop_caches(void) {
  sync();
  int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
  if (fd >= 0 && write(fd, "3", 1) == 1) close(fd);
}

static void stream(void) {
  char path[512];
  snprintf(path, sizeof(path), "%s/large", top);
  begin();
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
  must(fd >= 0, path);
  for (long i = 0; i < mib; ++i) must(write(fd, content, BLOCK) == BLOCK, "write");
  must(fsync(fd) == 0, "fsync");
  end("write", mib);
  close(fd);
  drop_caches();
  begin();
  fd = open(path, O_RDWR);
  for (long i = 0; i < mib; ++i) must(read(fd, content, BLOCK) == BLOCK, "read");
  end("read", mib);
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
  const long blocks = mib * (BLOCK / SMALL), count = blocks < 1000 ? blocks : 1000;
  uint32_t random = 12345;
  begin();
  for (long i = 0; i < count; ++i) {
    random = random * 1664525 + 1013904223;
    must(pread(fd, content, SMALL, (off_t)(random % (uint32_t)blocks) * SMALL) == SMALL, "pread");
  }
  end("random-read", count);
  begin();
  for (long i = 0; i < count; ++i) {
    random = random * 1664525 + 1013904223;
    must(pwrite(fd, content, SMALL, (off_t)(random % (uint32_t)blocks) * SMALL) == SMALL, "pwrite");
  }
  end("random-write", count);
  close(fd);
  must(unlink(path) == 0, "unlink");
}

int main(int count, char** words) {
  if (count != 4) return 2;
  top = words[1], files = atol(words[2]), mib = atol(words[3]);
  memset(content, 'x', sizeof(content));
  char tree[512];
  snprintf(tree, sizeof(tree), "%s/tree", top);
  begin();
  make_tree();
  end("make", files);
  drop_caches();
  begin();
  end("walk", walk(tree));
  begin();
  end("walk-again", walk(tree));
  drop_caches();
  begin();
  read_tree();
  end("read-small", files);
  begin();
  stat_tree("", 1);
  stat_tree(".none", 0);
  end("stat", 2 * files);
  begin();
  replace_tree();
  end("replace", files);
  begin();
  remove_tree();
  end("remove", files);
  if (mib > 0) stream();
  return 0;
}
