#include "image/testing/sample_image.h"

#include <sys/mman.h>
#include <zlib.h>

#include "image/digest.h"
#include "image/json.h"
#include "image/manifest.h"
#include "image/tar_writer.h"

namespace msb::image::testing {

std::string make_tar(const std::vector<SampleFile>& files) {
  const Fd memory(::memfd_create("tar", MFD_CLOEXEC));
  TarWriter writer(memory.get());
  for (const SampleFile& file : files) (void)writer.add_text(file.name, file.contents);
  (void)writer.finish();
  ::lseek(memory.get(), 0, SEEK_SET);
  return std::string(as_text(*read_all(memory.get(), size_t{1} << 30)));
}

std::string gzip(std::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

SampleBlob make_blob(std::string bytes, std::string_view media_type) {
  return {Digest::of(as_bytes(bytes)).str(), std::move(bytes), std::string(media_type)};
}

SampleLayer make_layer(const std::vector<SampleFile>& files) {
  const std::string tar = make_tar(files);
  return {make_blob(gzip(tar), cat(media_type::kOciLayer, "+gzip")), Digest::of(as_bytes(tar)).str()};
}

SampleImage make_image(std::vector<SampleLayer> layers) {
  SampleImage out;
  Json diff_ids = Json::array();
  Json descriptors = Json::array();
  for (const SampleLayer& layer : layers) {
    diff_ids.push_back(layer.diff_id);
    descriptors.push_back(
        {{"mediaType", layer.blob.media_type}, {"digest", layer.blob.digest}, {"size", layer.blob.bytes.size()}});
  }
  const Platform host = host_platform();
  out.config = make_blob(Json{{"os", host.os},
                              {"architecture", host.architecture},
                              {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}},
                              {"config", {{"Cmd", {"true"}}, {"Env", {"A=b"}}}}}
                             .dump(),
                         media_type::kOciConfig);
  out.manifest = make_blob(
      Json{{"schemaVersion", 2},
           {"mediaType", media_type::kOciManifest},
           {"config",
            {{"mediaType", media_type::kOciConfig}, {"digest", out.config.digest}, {"size", out.config.bytes.size()}}},
           {"layers", descriptors}}
          .dump(),
      media_type::kOciManifest);
  out.layers = std::move(layers);
  return out;
}

}  // namespace msb::image::testing
