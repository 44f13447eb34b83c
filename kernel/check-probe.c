// The part of kernel/check that a shell cannot do: each line is "ok NAME" or "FAIL NAME: reason".
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void report(const char* name, long result) {
  if (result >= 0) {
    printf("ok %s\n", name);
  } else {
    printf("FAIL %s: %s\n", name, strerror(errno));
  }
}

// A call made with nonsense arguments exists unless it says ENOSYS.
static void report_exists(const char* name, long number) {
  report(name, syscall(number, -1, -1, -1, -1, -1, -1) < 0 && errno == ENOSYS ? -1 : 0);
}

static void check_namespaces(void) {
  const struct {
    const char* name;
    int flag;
  } kinds[] = {{"unshare user", CLONE_NEWUSER}, {"unshare mount", CLONE_NEWNS},     {"unshare pid", CLONE_NEWPID},
               {"unshare net", CLONE_NEWNET},   {"unshare uts", CLONE_NEWUTS},      {"unshare ipc", CLONE_NEWIPC},
               {"unshare time", 0x80},          {"unshare cgroup", CLONE_NEWCGROUP}};
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); ++i) report(kinds[i].name, unshare(kinds[i].flag));
}

static long write_file(const char* path, const char* text) {
  int file = open(path, O_WRONLY | O_CLOEXEC);
  long result = file < 0 ? -1 : write(file, text, strlen(text));
  close(file);
  return result < 0 ? -1 : 0;
}

// What rootless Docker uses as its storage.
static void check_rootless_overlay(void) {
  if (fork() == 0) {
    long result = unshare(CLONE_NEWUSER | CLONE_NEWNS);
    if (result == 0) result = write_file("/proc/self/uid_map", "0 0 1\n");
    if (result == 0) result = write_file("/proc/self/setgroups", "deny");
    if (result == 0) result = write_file("/proc/self/gid_map", "0 0 1\n");
    if (result == 0) result = mount("tmpfs", "/mnt", "tmpfs", 0, NULL);
    if (result == 0) result = mkdirat(AT_FDCWD, "/mnt/upper", 0755) | mkdirat(AT_FDCWD, "/mnt/work", 0755);
    if (result == 0)
      result = mount("overlay", "/mnt", "overlay", 0, "lowerdir=/bin,upperdir=/mnt/upper,workdir=/mnt/work,userxattr");
    report("overlay in a user namespace", result);
    fflush(stdout);
    _exit(0);
  }
  wait(NULL);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  char params[256] = {0};
  report("io_uring", syscall(SYS_io_uring_setup, 4, params));
  report("userfaultfd", syscall(SYS_userfaultfd, O_CLOEXEC));
  report("landlock", syscall(SYS_landlock_create_ruleset, NULL, 0, 1));
  report("memfd", memfd_create("probe", MFD_CLOEXEC));
  report("memfd hugetlb", memfd_create("probe", MFD_HUGETLB));
  report("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
  report("packet socket", socket(AF_PACKET, SOCK_RAW, 0));
  report_exists("bpf", SYS_bpf);
  report_exists("seccomp", SYS_seccomp);
  report_exists("fanotify", SYS_fanotify_init);
  report_exists("inotify", SYS_inotify_init1);
  report_exists("mq_open", SYS_mq_open);
  report_exists("shmget", SYS_shmget);
  report_exists("io_submit", SYS_io_submit);
  report_exists("keyctl", SYS_keyctl);
  report_exists("kcmp", SYS_kcmp);
  report_exists("rseq", SYS_rseq);
  report_exists("membarrier", SYS_membarrier);
  report_exists("process_vm_readv", SYS_process_vm_readv);
  report_exists("open_by_handle_at", SYS_open_by_handle_at);
  report_exists("perf_event_open", SYS_perf_event_open);
  check_rootless_overlay();
  check_namespaces();
  return 0;
}
