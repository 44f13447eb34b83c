// A converted layer back as the tar stream of an OCI layer: whiteouts as ".wh.NAME", opaque
// directories by ".wh..wh..opq", hard links, attributes and holes kept. Directories that no entry
// of the original described are left out again.
//
// The same layer always gives the same bytes, but not those it was made from: the order and
// dialect of the original are not kept, so the diff id is another one.
#pragma once

#include <string>

#include "base/result.h"
#include "disk/erofs_reader.h"
#include "image/layer_tar_writer.h"

namespace msb::image {

// ErrorKind::corrupt when the layer is damaged; whatever `output` fails with.
Result<> export_layer(const std::string& layer, const TarOutput& output);
Result<> export_layer(disk::ErofsReader& layer, const TarOutput& output);

}  // namespace msb::image
