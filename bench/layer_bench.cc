// layer_bench [--keep OUTPUT] BLOB...: converts layer blobs (gzip, zstd or plain tar) to EROFS and prints the
// throughput.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/temp_dir.h"
#include "image/layer_converter.h"

namespace msb::image {
namespace {

Result<LayerInfo> convert(const std::string& blob, const std::string& output) {
  MSB_TRY(Fd in, open_file(blob));
  MSB_TRY(auto converter, LayerConverter::create({output, Compression::by_magic, {}, {}}));
  Bytes buffer(128 * 1024);  // about what libcurl hands over at a time, a few calls together
  for (;;) {
    MSB_TRY(size_t count, read_some(in.get(), buffer));
    if (count == 0) break;
    MSB_CHECK(converter->feed(ByteView(buffer).first(count)));
  }
  return converter->finish();
}

Result<> run(const std::vector<std::string>& blobs, const std::string& keep) {
  MSB_TRY(TempDir dir, TempDir::create());
  double seconds_total = 0, bytes_total = 0;
  for (size_t i = 0; i < blobs.size(); ++i) {
    const std::string output = keep.empty() ? cat(dir.path(), "/", i, ".erofs") : keep;
    const auto start = std::chrono::steady_clock::now();
    MSB_TRY(LayerInfo info, convert(blobs[i], output));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double megabytes = static_cast<double>(info.uncompressed_size) / 1e6;
    std::printf("%s: %llu entries, %.1f MB blob, %.1f MB tar, %.1f MB erofs, %.3f s, %.0f MB/s of tar\n",
                blobs[i].c_str(), static_cast<unsigned long long>(info.entries),
                static_cast<double>(info.compressed_size) / 1e6, megabytes, static_cast<double>(info.erofs_size) / 1e6,
                seconds, megabytes / seconds);
    seconds_total += seconds;
    bytes_total += megabytes;
  }
  std::printf("total: %.1f MB of tar in %.3f s, %.0f MB/s\n", bytes_total, seconds_total, bytes_total / seconds_total);
  return {};
}

}  // namespace
}  // namespace msb::image

int main(int argc, char** argv) {
  std::vector<std::string> blobs(argv + 1, argv + argc);
  std::string keep;
  if (blobs.size() >= 2 && blobs[0] == "--keep") {
    keep = blobs[1];
    blobs.erase(blobs.begin(), blobs.begin() + 2);
  }
  if (blobs.empty()) {
    std::fprintf(stderr, "usage: layer_bench [--keep OUTPUT] BLOB...\n");
    return 2;
  }
  if (auto result = msb::image::run(blobs, keep); !result) {
    std::fprintf(stderr, "layer_bench: %s\n", result.error().to_string().c_str());
    return 1;
  }
}
