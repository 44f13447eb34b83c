#include "sandbox/snapshots.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"
#include "base/temp_dir.h"
#include "disk/sparse_copy.h"
#include "image/digest.h"
#include "image/image_store.h"
#include "image/reference.h"
#include "sandbox/content_digest.h"

namespace msb {
namespace {

using state::SnapshotFile;
using state::SnapshotRecord;

Error damaged(const state::Snapshot& snapshot, std::string what) {
  return Error(ErrorKind::snapshot_integrity, cat("the snapshot '", snapshot.name, "' is damaged: ", what))
      .hint("make it again, or load it from an archive");
}

// Cannot be told from others by its name alone: what is not a plain file is not opened.
Result<Fd> open_file_of(const state::Snapshot& snapshot, const SnapshotFile& file) {
  auto opened = open_file(cat(snapshot.directory, "/", file.file), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!opened && opened.error().errnum() == ENOENT) return fail(damaged(snapshot, cat(file.file, " is missing")));
  if (!opened) return opened;
  struct stat status{};
  if (::fstat(opened->get(), &status) < 0) return fail_errno(cat("look at ", file.file));
  if (!S_ISREG(status.st_mode) || static_cast<uint64_t>(status.st_size) != file.size)
    return fail(damaged(snapshot, cat(file.file, " has ", status.st_size, " bytes instead of ", file.size)));
  return opened;
}

// The image of the snapshot, from the cache or the registry.
Result<ImageDetail> find_image(const state::Home& home, const state::Snapshot& snapshot, const SandboxConfig& config,
                               const PullProgress& progress) {
  const SnapshotRecord& record = snapshot.record;
  MSB_TRY(auto store, image::ImageStore::open(home));
  for (const std::string& digest : {snapshot.image, record.manifest_digest}) {
    MSB_TRY(auto cached, store->cached(digest, record.reference));
    if (cached) return std::move(cached->detail);
  }
  MSB_TRY(auto reference, image::Reference::parse(record.reference));
  MSB_TRY(auto digest, image::Digest::parse(record.manifest_digest));
  auto pulled = store->pull(reference.with_digest(digest).str(),
                            {.policy = config.pull_policy, .registry = config.registry, .progress = progress});
  if (pulled) return pulled;
  return fail(std::move(pulled)
                  .error()
                  .context(cat("the image of the snapshot '", snapshot.name, "'"))
                  .hint("an archive made with `msb snapshot save --with-image` brings it along"));
}

}  // namespace

Result<state::Snapshot> get_snapshot(const state::Home& home, const std::string& name) {
  MSB_TRY(auto found, state::find_snapshot(home, name));
  if (found) return std::move(*found);
  std::string known;
  for (const auto& other : state::list_snapshots(home)) known += cat(known.empty() ? "" : ", ", other.name);
  return fail(Error(ErrorKind::snapshot_not_found, cat("there is no snapshot '", name, "'"))
                  .hint(known.empty() ? "make one with `msb snapshot create NAME --from SANDBOX`"
                                      : cat("snapshots are ", known)));
}

Result<StoredConfig> resolve_snapshot(const state::Home& home, SandboxConfig config, const PullProgress& progress) {
  MSB_TRY(auto snapshot, get_snapshot(home, config.from_snapshot));
  MSB_CHECK(check_snapshot_files(snapshot));
  const SnapshotRecord& record = snapshot.record;
  // Found again at the first start, wherever that is called from.
  config.from_snapshot = snapshot.directory;
  config.image = {.kind = ImageSource::Kind::oci, .reference = record.reference};
  config.root_disk = {
      .kind = record.root == SnapshotRecord::Root::flat ? RootDisk::Kind::flat : RootDisk::Kind::managed,
      .size_mib = record.root_size_mib};
  StoredConfig stored;
  stored.patched = record.patched;
  stored.snapshot_id = snapshot.id;
  if (record.image == SnapshotRecord::Image::directory) {
    config.image.kind = ImageSource::Kind::directory;
  } else {
    MSB_TRY(auto detail, find_image(home, snapshot, config, progress));
    stored.manifest_digest = detail.info.manifest_digest;
    for (const auto& layer : detail.layers) stored.layers.push_back(layer.diff_id);
    stored.image = std::move(detail.config);
  }
  stored.config = std::move(config);
  return stored;
}

Result<> restore_snapshot(const state::Home& home, const StoredConfig& stored) {
  MSB_TRY(auto snapshot, get_snapshot(home, stored.config.from_snapshot));
  if (snapshot.id != stored.snapshot_id)
    return fail(Error(ErrorKind::snapshot_integrity, cat("the snapshot '", snapshot.name, "' was replaced meanwhile"))
                    .hint("create the sandbox again"));
  for (const auto& file : snapshot.record.files) {
    const std::string goal = cat(home.sandbox_dir(stored.config.name), "/", file.file);
    if (path_exists(goal)) continue;
    MSB_TRY(Fd source, open_file_of(snapshot, file));
    MSB_TRY(Fd target, open_file(goal + ".new", O_RDWR | O_CREAT | O_TRUNC, 0600));
    MSB_CHECK_CTX(disk::copy_sparse(source.get(), target.get()), cat("copy ", file.file, " of the snapshot"));
    if (::rename((goal + ".new").c_str(), goal.c_str()) < 0) return fail_errno(cat("rename to ", goal));
  }
  return {};
}

Result<> check_snapshot_files(const state::Snapshot& snapshot) {
  for (const auto& file : snapshot.record.files) MSB_CHECK(open_file_of(snapshot, file));
  return {};
}

Result<> check_snapshot_contents(const state::Snapshot& snapshot) {
  for (const auto& file : snapshot.record.files) {
    MSB_TRY(Fd opened, open_file_of(snapshot, file));
    if (file.integrity.empty()) continue;
    MSB_TRY(auto digest, content_digest(opened.get()));
    if (digest != file.integrity)
      return fail(damaged(snapshot, cat("the contents of ", file.file, " are not those it was made with")));
  }
  return {};
}

std::vector<std::string> names_of(const state::Snapshot& snapshot) {
  std::vector<std::string> names{state::kSnapshotRecord, state::kSnapshotLocalImage};
  for (const auto& file : snapshot.record.files) names.push_back(file.file);
  return names;
}

Result<> remove_kept_elsewhere(const state::Snapshot& snapshot) {
  for (const auto& name : names_of(snapshot)) {
    const std::string path = cat(snapshot.directory, "/", name);
    if (::unlink(path.c_str()) < 0 && errno != ENOENT) return fail_errno(cat("remove ", path));
  }
  if (::rmdir(snapshot.directory.c_str()) < 0 && errno != ENOTEMPTY && errno != EEXIST)
    return fail_errno(cat("remove ", snapshot.directory));
  return {};
}

SnapshotInfo to_info(const state::Snapshot& snapshot) {
  const SnapshotRecord& record = snapshot.record;
  SnapshotInfo info;
  info.name = snapshot.name;
  info.id = snapshot.id;
  info.path = snapshot.directory;
  info.image = record.reference;
  info.manifest_digest = record.manifest_digest;
  info.source_sandbox = record.source_sandbox;
  info.parent = record.parent;
  info.root_disk = record.root == SnapshotRecord::Root::flat ? "flat" : "managed";
  for (const auto& file : record.files) {
    info.size_bytes += file.size;
    struct stat status{};
    if (::stat(cat(snapshot.directory, "/", file.file).c_str(), &status) == 0)
      info.allocated_bytes += static_cast<uint64_t>(status.st_blocks) * 512;
  }
  info.has_integrity =
      !record.files.empty() && std::ranges::none_of(record.files, &std::string::empty, &SnapshotFile::integrity);
  info.labels = record.labels;
  info.created_at_ms = record.created_at_ms;
  return info;
}

}  // namespace msb
