// Talks to a process while it runs: input goes in line by line, output is printed as it comes.
//   example_streaming [IMAGE]
#include <iostream>

#include <microsandbox/sandbox.h>

namespace {

int report(const msb::Error& error) {
  std::cerr << "error: " << error.to_string() << "\n";
  for (const auto& hint : error.hints()) std::cerr << "  -> " << hint << "\n";
  return 1;
}

msb::Result<int> count_words(msb::Sandbox& sandbox) {
  msb::ExecOptions options;
  options.stdin_mode = msb::StdinMode::pipe;
  auto process = sandbox.shell_stream("while read line; do echo \"$line\" | wc -w; done", options);
  if (!process) return tl::unexpected(process.error());

  for (const char* line : {"one\n", "two words\n", "and now three\n"}) {
    auto written = process->write_stdin(line);
    if (!written) return tl::unexpected(written.error());
  }
  auto closed = process->close_stdin();
  if (!closed) return tl::unexpected(closed.error());

  int exit_code = 0;
  while (true) {
    auto event = process->recv();
    if (!event) return tl::unexpected(event.error());
    if (!*event) return exit_code;
    switch ((*event)->kind) {
      case msb::ExecEvent::Kind::started:
        std::cout << "started as process " << (*event)->pid << "\n";
        break;
      case msb::ExecEvent::Kind::stdout_data:
        std::cout << (*event)->data;
        break;
      case msb::ExecEvent::Kind::stderr_data:
        std::cerr << (*event)->data;
        break;
      case msb::ExecEvent::Kind::stdin_error:
        std::cerr << "it stopped reading\n";
        break;
      case msb::ExecEvent::Kind::exited:
        exit_code = (*event)->code;
        break;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  auto image = msb::ImageSource::parse(argc > 1 ? argv[1] : "busybox");
  if (!image) return report(image.error());
  msb::SandboxConfig config;
  config.image = *image;
  config.ephemeral = true;
  auto sandbox = msb::Sandbox::create(config);
  if (!sandbox) return report(sandbox.error());
  auto exit_code = count_words(*sandbox);
  if (!exit_code) return report(exit_code.error());
  return *exit_code;  // the sandbox goes with its handle
}
