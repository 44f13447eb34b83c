#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "image/layer_tar_writer.h"
#include "image/zstd_output.h"
#include "sandbox/content_digest.h"
#include "sandbox/snapshot_archive.h"
#include "sandbox/validate.h"

namespace msb {
namespace {

using image::LayerTarWriter;
using image::TarEntry;
using image::TarSegment;
using nlohmann::json;

constexpr size_t kChunk = size_t{1} << 20;
// A tar's map of a sparse file has its limits (image/layer_limits.h): small holes are written out when there are more.
constexpr size_t kMaxSegments = 10'000;

Result<std::vector<TarSegment>> data_segments(int file, uint64_t size) {
  std::vector<TarSegment> segments;
  for (off_t at = 0; static_cast<uint64_t>(at) < size;) {
    const off_t data = ::lseek(file, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    const off_t hole = data < 0 ? -1 : ::lseek(file, data, SEEK_HOLE);
    if (data < 0 || hole < 0) return fail_errno("find data in a disk");
    segments.push_back({static_cast<uint64_t>(data), static_cast<uint64_t>(hole - data)});
    at = hole;
  }
  return segments;
}

// Fills the smallest holes until there are few enough segments.
void coarsen(std::vector<TarSegment>& segments) {
  for (uint64_t gap = 4096; segments.size() > kMaxSegments; gap *= 2) {
    std::vector<TarSegment> fewer;
    for (const auto& segment : segments) {
      if (!fewer.empty() && segment.offset - (fewer.back().offset + fewer.back().length) <= gap)
        fewer.back().length = segment.offset + segment.length - fewer.back().offset;
      else
        fewer.push_back(segment);
    }
    segments = std::move(fewer);
  }
}

class Writer {
 public:
  explicit Writer(image::TarOutput output) : tar_(std::move(output)) {}

  Result<> text(const std::string& name, const std::string& content) {
    MSB_CHECK(tar_.entry(plain(name, content.size())));
    MSB_CHECK(tar_.data(as_bytes(content)));
    return tar_.end_data();
  }
  Result<> file(const std::string& name, const std::string& path) {
    MSB_TRY(Fd opened, open_file(path, O_RDONLY | O_NOFOLLOW));
    struct stat status{};
    if (::fstat(opened.get(), &status) < 0) return fail_errno(cat("look at ", path));
    TarEntry entry = plain(name, static_cast<uint64_t>(status.st_size));
    MSB_TRY(entry.segments, data_segments(opened.get(), entry.size));
    coarsen(entry.segments);
    entry.sparse = entry.segments.size() != 1 || entry.segments[0].length != entry.size;
    if (entry.size == 0) entry.sparse = false;
    const auto segments = entry.sparse ? entry.segments : std::vector<TarSegment>{{0, entry.size}};
    if (!entry.sparse) entry.segments.clear();
    MSB_CHECK(tar_.entry(entry));
    Bytes buffer(kChunk);
    for (const auto& segment : segments)
      for (uint64_t done = 0; done < segment.length;) {
        const auto part = MutableByteView(buffer).first(std::min<uint64_t>(kChunk, segment.length - done));
        MSB_CHECK(pread_full(opened.get(), part, segment.offset + done));
        MSB_CHECK(tar_.data(part));
        done += part.size();
      }
    return tar_.end_data();
  }
  Result<> finish() { return tar_.finish(); }

 private:
  static TarEntry plain(const std::string& name, uint64_t size) {
    TarEntry entry;
    entry.path = name;
    entry.mode = 0644;
    entry.size = size;
    return entry;
  }
  LayerTarWriter tar_;
};

Result<> write_one(Writer& tar, const state::Snapshot& snapshot) {
  // A directory may have been given any name; the archive's reader makes one of it.
  MSB_CHECK(check_name(snapshot.name, "a snapshot"));
  const std::string prefix = snapshot.name + "/";
  json digests = json::object();
  for (const auto& file : snapshot.record.files) {
    MSB_TRY(Fd opened, open_file(cat(snapshot.directory, "/", file.file), O_RDONLY | O_NOFOLLOW));
    MSB_TRY(std::string digest, content_digest(opened.get()));
    digests[file.file] = std::move(digest);
  }
  MSB_CHECK(tar.text(cat(prefix, state::kSnapshotRecord), to_text(snapshot.record)));
  MSB_CHECK(tar.text(cat(prefix, kArchivedDigests), digests.dump()));
  for (const auto& file : snapshot.record.files)
    MSB_CHECK(tar.file(prefix + file.file, cat(snapshot.directory, "/", file.file)));
  return {};
}

Result<> write_all(Writer& tar, const std::vector<state::Snapshot>& snapshots,
                   const std::vector<std::string>& image_archives) {
  for (const auto& snapshot : snapshots) MSB_CHECK(write_one(tar, snapshot));
  for (const auto& archive : image_archives) MSB_CHECK(tar.file(archive.substr(archive.rfind('/') + 1), archive));
  return tar.finish();
}

}  // namespace

Result<> write_snapshot_archive(int fd, const std::vector<state::Snapshot>& snapshots,
                                const std::vector<std::string>& image_archives, ArchiveCompression compression) {
  if (snapshots.size() > kMaxArchivedSnapshots)
    return fail(Error(ErrorKind::unsupported, cat("an archive has at most ", kMaxArchivedSnapshots, " snapshots"))
                    .hint("save it without --with-parents"));
  if (compression == ArchiveCompression::none) {
    Writer tar([fd](ByteView bytes) { return write_full(fd, bytes); });
    return write_all(tar, snapshots, image_archives);
  }
  MSB_TRY(auto zstd, image::ZstdOutput::create(fd));
  Writer tar([&](ByteView bytes) { return zstd->write(bytes); });
  MSB_CHECK(write_all(tar, snapshots, image_archives));
  return zstd->finish();
}

}  // namespace msb
