// A sandbox whose root is patched before it boots, with scripts of its own.
#include <filesystem>
#include <fstream>
#include <iostream>

#include <microsandbox/sandbox.h>

int main() {
  // Something of the host to bring along.
  const auto folder = std::filesystem::temp_directory_path() / "microsandbox-example-scripts";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "greet.sh") << "cat /etc/greeting.txt\n";

  msb::SandboxConfig config;
  config.image = *msb::ImageSource::parse("alpine");
  config.ephemeral = true;
  config.patches = {
      msb::Patch::text("/etc/greeting.txt", "Hello!\n"),
      msb::Patch::mkdir("/app", {.mode = 0755}),
      msb::Patch::text("/app/config.json", R"({"debug": true})", {.mode = 0644}),
      msb::Patch::copy_dir(folder.string(), "/app/scripts"),
      msb::Patch::append("/etc/hosts", "127.0.0.1 myapp.local\n"),
  };
  config.scripts = {
      {"setup", "#!/bin/sh\nmkdir -p /var/data\n"},
      {"start", "#!/bin/sh\nsh /app/scripts/greet.sh\ncat /app/config.json\necho\ngrep myapp /etc/hosts\n"}};
  config.root_disk = *msb::RootDisk::parse("8G");
  auto sandbox = msb::Sandbox::create(config);
  std::filesystem::remove_all(folder);  // the sandbox has its own copy
  if (!sandbox) {
    std::cerr << sandbox.error().to_string() << '\n';
    return 1;
  }
  if (auto setup = sandbox->shell("setup"); !setup || !setup->success()) return 1;
  auto output = sandbox->shell("start");
  if (!output || !output->success()) return 1;
  std::cout << output->stdout_bytes;  // Hello!, {"debug": true}, 127.0.0.1 myapp.local
}
