// Runs one command in a fresh microVM and prints what it wrote.
//   example_hello [IMAGE]
#include <iostream>

#include <microsandbox/sandbox.h>

namespace {

int report(const msb::Error& error) {
  std::cerr << "error: " << error.to_string() << "\n";
  for (const auto& hint : error.hints()) std::cerr << "  -> " << hint << "\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  auto image = msb::ImageSource::parse(argc > 1 ? argv[1] : "busybox");
  if (!image) return report(image.error());

  msb::SandboxConfig config;
  config.image = *image;
  config.ephemeral = true;  // removed when it stops
  auto sandbox = msb::Sandbox::create(config);
  if (!sandbox) return report(sandbox.error());

  auto output = sandbox->shell("echo Hello from $(uname -sr); cat /etc/hostname");
  if (!output) return report(output.error());
  std::cout << output->stdout_bytes;

  // An ephemeral sandbox has nothing worth an orderly shutdown.
  auto ended = sandbox->kill();
  if (!ended) return report(ended.error());
  return output->exit_code;
}
