// The merge of an image's layers: one EROFS of metadata only, whose files point into the layers.
//
// The guest's disk is the concatenation [tree.erofs | layer 1 | layer 2 | ...], in the order given here; the
// device table of tree.erofs says where each layer starts ("flat devices" of Linux 6.12), so that one
// mount of one block device shows the whole image. Whiteouts and opaque marks are applied and gone.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "disk/erofs_tree.h"

namespace msb::image {

inline constexpr size_t kMaxMergedLayers = 1000;

// Lays `upper`, the tree of layer number `device` (1 is the lowest), over `merged`.
// Directories in both take the metadata of the upper one, unless no entry of the upper layer described it.
void merge_layer(disk::ErofsTree& merged, const disk::ErofsTree& upper, uint16_t device);

// Writes the merge of the layer files, lowest first, to `output` (replaced; removed on failure).
// ErrorKind::corrupt names a layer that is damaged.
Result<> merge_layers(const std::vector<std::string>& layers, const std::string& output);

}  // namespace msb::image
