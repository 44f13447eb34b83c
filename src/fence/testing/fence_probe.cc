// The program that tests put inside the fence: tries one way out and says how it went.
//
//   fence_probe ATTEMPT...   prints one line "ATTEMPT RESULT" each; RESULT is "ok", an errno name's number, or a value
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::string outcome(long result) {
  return result >= 0 ? "ok" : std::to_string(errno);
}

std::string open_for(const char* path, int flags) {
  int fd = open(path, flags, 0644);
  std::string text = outcome(fd);
  if (fd >= 0) close(fd);
  return text;
}

std::string capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) < 0) return outcome(-1);
  bool none = true;
  for (const auto& word : data) none = none && word.effective == 0 && word.permitted == 0 && word.inheritable == 0;
  for (int capability = 0; capability < 41; ++capability)
    none = none && prctl(PR_CAPBSET_READ, capability, 0, 0, 0) != 1;
  return none ? "none" : "some";
}

std::string descriptors() {
  std::string open;
  for (int fd = 0; fd < 256; ++fd)
    if (fcntl(fd, F_GETFD) >= 0) open += (open.empty() ? "" : ",") + std::to_string(fd);
  return open;
}

std::string limit(int resource) {
  rlimit value{};
  getrlimit(static_cast<decltype(RLIMIT_CORE)>(resource), &value);
  return std::to_string(value.rlim_max);
}

// How many children it could have at once, up to `most`, and what then happened. They end with this process, which is
// the first of its pid namespace.
std::string forks(long most) {
  for (long count = 0; count < most; ++count) {
    long pid = syscall(SYS_fork);
    if (pid == 0)
      while (true) pause();
    if (pid < 0) return std::to_string(count) + " then " + outcome(pid);
  }
  return std::to_string(most);
}

std::string touch(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return outcome(-1);
  memset(memory, 1, bytes);
  return "ok";
}

// Runs and kills nothing outside: signal 0 only asks whether it could.
std::string attempt(const std::string& what, const std::string& argument) {
  if (what == "read") return open_for(argument.c_str(), O_RDONLY);
  if (what == "write") return open_for(argument.c_str(), O_WRONLY);
  if (what == "create") return open_for(argument.c_str(), O_WRONLY | O_CREAT);
  if (what == "list") return open_for(argument.c_str(), O_RDONLY | O_DIRECTORY);
  if (what == "chmod") return outcome(chmod(argument.c_str(), 0777));
  if (what == "unix-socket") return outcome(socket(AF_UNIX, SOCK_STREAM, 0));
  if (what == "inet-socket") return outcome(socket(AF_INET, SOCK_STREAM, 0));
  if (what == "interfaces") {
    struct if_nameindex* all = if_nameindex();
    std::string names;
    for (auto* one = all; one && one->if_index != 0; ++one)
      names += std::string(names.empty() ? "" : ",") + one->if_name;
    return names;
  }
  if (what == "signal") return outcome(kill(static_cast<pid_t>(atol(argument.c_str())), 0));
  if (what == "signal-all") return outcome(kill(-1, 0));
  if (what == "ptrace") return outcome(ptrace(PTRACE_ATTACH, atol(argument.c_str()), nullptr, nullptr));
  if (what == "mount") return outcome(mount("none", "/", "tmpfs", 0, nullptr));
  if (what == "remount") return outcome(mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND, nullptr));
  if (what == "unshare") return outcome(syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */));
  if (what == "setuid") return outcome(syscall(SYS_setuid, 0));
  if (what == "chroot") return outcome(chroot("/"));
  if (what == "fork") {
    long pid = syscall(SYS_fork);
    if (pid == 0) _exit(0);
    return outcome(pid);
  }
  if (what == "forks") return forks(atol(argument.c_str()));
  if (what == "touch") return touch(static_cast<size_t>(atol(argument.c_str())) << 20);
  if (what == "exec") return outcome(execl(argument.c_str(), argument.c_str(), static_cast<char*>(nullptr)));
  if (what == "bpf") return outcome(syscall(SYS_bpf, 0, nullptr, 0));
  if (what == "tiocsti") return outcome(syscall(SYS_ioctl, 0, 0x5412, "x"));
  if (what == "fionread") {
    int count = 0;
    return outcome(syscall(SYS_ioctl, 0, 0x541b, &count));
  }
  if (what == "chdir") return outcome(chdir(argument.c_str()));
  if (what == "capabilities") return capabilities();
  if (what == "no-new-privs") return std::to_string(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  if (what == "seccomp") return std::to_string(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
  if (what == "pid") return std::to_string(getpid());
  if (what == "parent") return std::to_string(getppid());
  if (what == "uid") return std::to_string(getuid());
  if (what == "environment") return environ[0] ? environ[0] : "empty";
  if (what == "descriptors") return descriptors();
  if (what == "core-limit") return limit(RLIMIT_CORE);
  if (what == "hostname") return outcome(sethostname("escaped", 7));
  return "unknown";
}

}  // namespace

int main(int count, char** words) {
  for (int i = 1; i < count; ++i) {
    std::string word = words[i];
    size_t equals = word.find('=');
    std::string argument = equals == std::string::npos ? "" : word.substr(equals + 1);
    std::string line = word.substr(0, equals) + " " + attempt(word.substr(0, equals), argument) + "\n";
    (void)!write(1, line.data(), line.size());
  }
  return 0;
}
