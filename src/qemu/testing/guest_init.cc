// PID 1 of the test guest. Takes orders from the host over the "agent" port, one line each:
//   PING                 answers PONG
//   DISKS                size in sectors and read-only flag of vda, vdb ...
//   READ <disk> <sector> the first 16 bytes there, as text
//   WRITE <disk> <text>  at sector 0, flushed
//   CPUS                 brings all processors on line, answers their number
//   CMDLINE              /proc/cmdline
//   PANIC, REBOOT        what they say
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::string text_of(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  char buffer[4096];
  ssize_t count = fd < 0 ? 0 : read(fd, buffer, sizeof(buffer));
  if (fd >= 0) close(fd);
  std::string text(buffer, count > 0 ? static_cast<size_t>(count) : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

void put(const std::string& path, const char* text) {
  int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  (void)!write(fd, text, strlen(text));
  close(fd);
}

// The node of the one port there is, whatever its number; empty when it is not there yet.
std::string find_agent() {
  std::string found;
  DIR* directory = opendir("/dev");
  while (dirent* entry = readdir(directory)) {
    std::string name = entry->d_name;
    if (name.starts_with("vport")) found = "/dev/" + name;
  }
  closedir(directory);
  return found;
}

// The port appears some time after its driver: waits for the node in /dev.
int open_agent() {
  int changes = inotify_init1(IN_CLOEXEC);
  inotify_add_watch(changes, "/dev", IN_CREATE);
  while (true) {
    if (std::string path = find_agent(); !path.empty()) return open(path.c_str(), O_RDWR | O_CLOEXEC);
    char event[4096];
    if (read(changes, event, sizeof(event)) < 0) return -1;
  }
}

std::string disks() {
  std::string answer;
  for (char letter = 'a'; letter <= 'h'; ++letter) {
    std::string block = std::string("/sys/block/vd") + letter;
    std::string size = text_of(block + "/size");
    if (!size.empty())
      answer += std::string("vd") + letter + "=" + size + (text_of(block + "/ro") == "1" ? "r " : "w ");
  }
  return answer;
}

std::string read_disk(const char* disk, long sector) {
  int fd = open((std::string("/dev/") + disk).c_str(), O_RDONLY);
  char bytes[16] = {};
  bool good = fd >= 0 && pread(fd, bytes, sizeof(bytes), sector * 512) == sizeof(bytes);
  close(fd);
  return good ? std::string(bytes, strnlen(bytes, sizeof(bytes))) : "ERROR";
}

std::string write_disk(const char* disk, const char* text) {
  int fd = open((std::string("/dev/") + disk).c_str(), O_RDWR);
  if (fd < 0) return "ERROR";
  char block[512] = {};
  strncpy(block, text, sizeof(block) - 1);
  bool good = pwrite(fd, block, sizeof(block), 0) == sizeof(block) && fsync(fd) == 0;
  close(fd);
  return good ? "DONE" : "ERROR";
}

std::string processors() {
  for (int cpu = 1; cpu < 8; ++cpu) put("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/online", "1");
  return std::to_string(sysconf(_SC_NPROCESSORS_ONLN));
}

std::string obey(const char* line) {
  char word[16] = {}, disk[16] = {}, rest[128] = {};
  int fields = sscanf(line, "%15s %15s %127s", word, disk, rest);
  std::string order = fields > 0 ? word : "";
  if (order == "PING") return "PONG";
  if (order == "DISKS") return disks();
  if (order == "READ") return read_disk(disk, atol(rest));
  if (order == "WRITE") return write_disk(disk, rest);
  if (order == "CPUS") return processors();
  if (order == "CMDLINE") return text_of("/proc/cmdline");
  if (order == "PANIC") put("/proc/sysrq-trigger", "c");
  if (order == "REBOOT") reboot(RB_AUTOBOOT);
  return "WHAT";
}

}  // namespace

int main() {
  mount("devtmpfs", "/dev", "devtmpfs", 0, nullptr);
  mount("proc", "/proc", "proc", 0, nullptr);
  mount("sysfs", "/sys", "sysfs", 0, nullptr);
  printf("PID1\n");
  fflush(stdout);
  int agent = open_agent();
  if (agent < 0) {
    printf("no agent port\n");
    reboot(RB_AUTOBOOT);
  }
  (void)!write(agent, "READY\n", 6);
  FILE* orders = fdopen(agent, "r");
  char line[256];
  while (true) {
    if (!fgets(line, sizeof(line), orders)) {
      clearerr(orders);
      continue;
    }
    std::string answer = obey(line) + "\n";
    (void)!write(agent, answer.data(), answer.size());
  }
}
