// Puts files into a fresh microVM, looks at them there, and brings the result back.
//   example_files [IMAGE]
#include <filesystem>
#include <iostream>

#include <microsandbox/sandbox.h>

namespace {

int report(const msb::Error& error) {
  std::cerr << "error: " << error.to_string() << "\n";
  for (const auto& hint : error.hints()) std::cerr << "  -> " << hint << "\n";
  return 1;
}

msb::Result<> work(msb::Sandbox& sandbox, const std::string& host_directory) {
  auto fs = sandbox.fs();
  // Every call answers with a Result; the first that fails ends the chain.
  auto made = fs.mkdir("/work/in").and_then([&] { return fs.write("/work/in/greeting.txt", "hello\n", 0600); });
  if (!made) return made;

  auto sorted = sandbox.shell("cat /work/in/* | tr a-z A-Z > /work/result.txt; ln -s result.txt /work/latest");
  if (!sorted) return tl::unexpected(sorted.error());

  auto entries = fs.list("/work");
  if (!entries) return tl::unexpected(entries.error());
  for (const auto& entry : *entries) std::cout << to_string(entry.metadata.kind) << " " << entry.path << "\n";

  auto text = fs.read_text("/work/latest");
  if (!text) return tl::unexpected(text.error());
  std::cout << *text;

  // A large file piece by piece: memory stays bounded on both sides.
  auto sink = fs.write_stream("/work/large");
  if (!sink) return tl::unexpected(sink.error());
  for (int i = 0; i < 100; ++i)
    if (auto written = sink->write(std::string(100'000, 'x')); !written) return written;
  if (auto closed = sink->close(); !closed) return closed;
  auto stream = fs.read_stream("/work/large");
  if (!stream) return tl::unexpected(stream.error());
  size_t total = 0;
  while (true) {
    auto piece = stream->recv();
    if (!piece) return tl::unexpected(piece.error());
    if (!*piece) break;
    total += (*piece)->size();
  }
  std::cout << total << " bytes\n";

  auto copied = fs.copy_to_host("/work/result.txt", host_directory);
  if (!copied) return tl::unexpected(copied.error());
  auto missing = fs.read("/work/missing");
  if (!missing && missing.error().kind() == msb::ErrorKind::path_not_found) std::cout << "nothing is missing\n";
  return {};
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

  auto directory = std::filesystem::temp_directory_path() / ("example-files-" + sandbox->name());
  std::filesystem::create_directory(directory);
  auto done = work(*sandbox, directory.string());
  std::filesystem::remove_all(directory);
  if (!done) return report(done.error());
  auto ended = sandbox->kill();
  return ended ? 0 : report(ended.error());
}
