// Images made in memory for tests: files -> tar -> (gzip) blob, config, manifest.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace msb::image::testing {

struct SampleFile {
  std::string name;
  std::string contents;
};

struct SampleBlob {
  std::string digest;  // "sha256:..."
  std::string bytes;
  std::string media_type;
};

struct SampleLayer {
  SampleBlob blob;
  std::string diff_id;
};

struct SampleImage {
  std::vector<SampleLayer> layers;
  SampleBlob config;
  SampleBlob manifest;
};

std::string make_tar(const std::vector<SampleFile>& files);
std::string gzip(std::string_view text);
SampleBlob make_blob(std::string bytes, std::string_view media_type);
SampleLayer make_layer(const std::vector<SampleFile>& files);  // gzip
// For linux on this machine; Cmd is {"true"}.
SampleImage make_image(std::vector<SampleLayer> layers);

}  // namespace msb::image::testing
