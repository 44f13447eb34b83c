// What a layer may ask of us. Layers come from anywhere; each number bounds memory, disk or time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace msb::image {

inline constexpr uint64_t kMaxLayerEntries = 1'000'000;
// Bytes of the uncompressed tar, and of file data in the converted layer.
inline constexpr uint64_t kMaxLayerUncompressed = uint64_t{64} << 30;
// One sparse file's apparent size: 1 TiB keeps its chunk list (65536 chunks) at 16 MiB a chunk.
inline constexpr uint64_t kMaxSparseSize = uint64_t{1} << 40;
// Names, symlink targets, attributes and chunk lists of a whole layer, kept in memory while it is converted.
inline constexpr uint64_t kMaxLayerMetadata = uint64_t{256} << 20;
inline constexpr size_t kMaxEntryXattrs = 64 * 1024;  // names and values of one entry
inline constexpr size_t kMaxEntryPath = 4096;
inline constexpr size_t kMaxEntryName = 255;
inline constexpr size_t kMaxPathDepth = 1024;
// A pax header or GNU long name; the same as Go's archive/tar, so nothing that Docker reads is refused.
inline constexpr size_t kMaxTarExtension = size_t{1} << 20;
inline constexpr size_t kMaxSparseSegments = 65536;

}  // namespace msb::image
