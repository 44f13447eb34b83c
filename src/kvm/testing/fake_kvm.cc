// Stands in for msb-kvm in kvm_process_test: understands its configuration and then does what the kernel command line
// says ("act=...").
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/fd.h"
#include "kvm/control.h"
#include "kvm/machine_config.h"

namespace {

using namespace msb;
using namespace msb::kvm;

MachineConfig config;

void say(const Notice& notice) {
  Bytes packet = wire::encode(notice);
  (void)send(config.control_fd, packet.data(), packet.size(), 0);
}

// What the child has, in words: "disk raw rw 8192; ..."
std::string inventory() {
  std::string text = cat("vcpus ", config.vcpus, "; memory ", config.memory_mib, "; words ", config.kernel_words);
  auto size_of = [](int fd) {
    struct stat status{};
    return fstat(fd, &status) == 0 ? cat(status.st_size) : std::string("closed");
  };
  text += cat("; kernel ", size_of(config.kernel_fd), "; initramfs ", size_of(config.initramfs_fd), "; kvm ",
              size_of(config.kvm_fd) == "closed" ? "closed" : "open");
  for (const auto& disk : config.disks) {
    text += cat("; disk ", disk.format, disk.read_only ? " ro" : " rw");
    for (int fd : disk.fds) text += " " + size_of(fd);
    char byte = 0;
    text += pwrite(disk.fds[0], &byte, 1, 0) == 1 ? " written" : " not written";
  }
  for (const auto& share : config.shares) {
    auto tried = [&](const char* path, int flags) {
      int fd = openat(share.fd, path, flags, 0600);
      if (fd < 0) return cat(path, " ", strerrorname_np(errno));
      // As its server does.
      int again = open(cat("./", fd).c_str(), flags & O_ACCMODE);
      return cat(path, again < 0 ? " once" : " twice");
    };
    text += cat("; share ", share.name, " quota ", share.quota_bytes, share.usage_fd < 0 ? "" : " counted", ": ",
                tried("file", O_RDONLY), ", ", tried("new", O_WRONLY | O_CREAT), ", ", tried("../secret", O_RDONLY));
  }
  return text;
}

void serve_requests() {
  uint8_t packet[kMaxControlMessage];
  while (true) {
    ssize_t size = recv(config.control_fd, packet, sizeof(packet), 0);
    if (size <= 0) return;
    auto request = wire::decode<Request>({packet, static_cast<size_t>(size)});
    if (!request) return;
    Notice done{.kind = "done", .id = request->id};
    if (request->kind == "balloon") done.error = cat("no balloon of ", request->balloon_mib);
    if (request->kind == "measure") done.disk_read_bytes = 4096, done.disk_written_bytes = 512;
    say(done);
  }
}

void act(const std::string& what) {
  if (what == "fail") {
    say({.kind = "ended",
         .cause = "failed",
         .message = "internal error",
         .hint = "a hint",
         .registers = "rip 1\nrsp 2"});
    exit(1);
  }
  if (what == "guest") {
    say({.kind = "ended", .cause = "guest"});
    exit(0);
  }
  if (what == "lie") {
    say({.kind = "ended", .cause = "guest"});
    exit(7);
  }
  if (what == "linger") {
    say({.kind = "ended", .cause = "guest"});
    close(config.control_fd);
    char byte = 0;
    (void)!read(config.agent_fd, &byte, 1);
    exit(0);
  }
  if (what == "crash") abort();
  if (what == "open") exit(open("/", O_PATH) < 0 ? 51 : 52);
  if (what == "forbidden") (void)!socket(AF_INET, SOCK_STREAM, 0);
  if (what == "hog") {
    void* memory =
        mmap(nullptr, size_t{4} << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    exit(memory == MAP_FAILED ? 41 : 42);
  }
  if (what == "nonsense") (void)!send(config.control_fd, "nonsense", 8, 0);
  if (what == "endless") {
    std::string packet(kMaxControlMessage + 100, 'x');
    (void)!send(config.control_fd, packet.data(), packet.size(), 0);
  }
  if (what == "complain") {
    (void)!write(2, "first line\nlast \x1b[31mline\n", 25);
    exit(3);
  }
  if (what == "flood") {
    for (int i = 0; i < 1000; ++i) say({.kind = "warning", .message = cat("warning ", i, "\n\x1b")});
    say({.kind = "ended", .cause = "guest"});
    exit(0);
  }
  serve_requests();
  pause();
}

}  // namespace

int main() {
  auto bytes = read_all(kConfigFd, size_t{1} << 20);
  if (!bytes) return 90;
  auto decoded = wire::decode<MachineConfig>(*bytes);
  if (!decoded) return 91;
  config = std::move(*decoded);
  say({.kind = "started", .walls = {"thread-filters"}});
  std::string text = inventory();
  (void)!write(config.console_fd, text.data(), text.size());
  shutdown(config.console_fd, SHUT_WR);
  size_t at = config.kernel_words.find("act=");
  act(at == std::string::npos ? "" : config.kernel_words.substr(at + 4));
  return 0;
}
