#include "image/image_detail.h"

#include "image/manifest.h"

namespace msb::image {

ImageInfo make_info(const state::ImageRefRecord& reference, const state::ManifestRecord& manifest) {
  ImageInfo out;
  out.reference = reference.reference;
  out.manifest_digest = manifest.digest;
  out.architecture = manifest.architecture;
  out.os = manifest.os;
  out.size_bytes = manifest.size_bytes;
  out.layer_count = static_cast<uint32_t>(manifest.layers.size());
  out.created_at_ms = reference.created_at;
  out.last_used_at_ms = reference.last_used_at;
  return out;
}

Result<ImageDetail> make_detail(const state::ImageRefRecord& reference, const state::ManifestRecord& manifest) {
  auto config = parse_config(manifest.config_json);
  if (!config) {
    return fail(std::move(config)
                    .error()
                    .as(ErrorKind::database)
                    .context(cat("read the stored config of ", reference.reference)));
  }
  ImageDetail out;
  out.info = make_info(reference, manifest);
  out.config_digest = manifest.config_digest;
  out.config = std::move(config->config);
  for (const state::LayerRecord& layer : manifest.layers) {
    out.layers.push_back({layer.diff_id, layer.blob_digest, layer.media_type, layer.compressed_size, layer.erofs_size});
  }
  return out;
}

}  // namespace msb::image
