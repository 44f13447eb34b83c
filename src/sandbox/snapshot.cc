// The public Snapshot: making, finding, checking and removing. Archives are in snapshot_archive.cc.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <set>

#include <microsandbox/snapshot.h>

#include "base/atomic_file.h"
#include "base/temp_dir.h"
#include "base/units.h"
#include "disk/sparse_copy.h"
#include "image/image_store.h"
#include "image/layer_cache.h"
#include "sandbox/content_digest.h"
#include "sandbox/snapshot_archive.h"
#include "sandbox/snapshots.h"
#include "sandbox/store.h"
#include "sandbox/validate.h"
#include "state/draft.h"
#include "state/trash.h"

namespace msb {
namespace {

using state::SnapshotFile;
using state::SnapshotRecord;

Result<> check_can_be_kept(const SandboxConfig& config) {
  auto unsupported = [&](std::string_view why, std::string hint) {
    return fail(Error(ErrorKind::unsupported, cat("sandbox '", config.name, "' cannot be kept as a snapshot: ", why))
                    .hint(std::move(hint)));
  };
  if (config.image.kind == ImageSource::Kind::disk)
    return unsupported("its root is a disk image of your own", "copy the image instead");
  switch (config.root_disk.kind) {
    case RootDisk::Kind::managed:
    case RootDisk::Kind::flat:
      return {};
    case RootDisk::Kind::tmpfs:
      return unsupported("its root disk is in memory, and gone", "make it with a root disk, like --root-disk 4G");
    case RootDisk::Kind::disk:
      return unsupported("its root disk is an image of your own", "copy the image instead");
  }
  return {};
}

Result<SnapshotFile> copy_file(const std::string& from, const std::string& directory, const std::string& name,
                               bool integrity) {
  MSB_TRY(Fd source, open_file(from));
  MSB_TRY(Fd target, open_file(cat(directory, "/", name), O_RDWR | O_CREAT | O_EXCL, 0600));
  MSB_CHECK_CTX(disk::copy_sparse(source.get(), target.get()), cat("copy ", name));
  struct stat status{};
  if (::fstat(target.get(), &status) < 0) return fail_errno(cat("look at ", name));
  SnapshotFile file{.file = name, .size = static_cast<uint64_t>(status.st_size)};
  if (integrity) {
    MSB_TRY(file.integrity, content_digest(target.get()));
  }
  if (::fsync(target.get()) < 0) return fail_errno(cat("write ", name));
  return file;
}

SnapshotRecord describe(const SnapshotConfig& config, const StoredConfig& stored) {
  SnapshotRecord record;
  record.created_at_ms = state::now_ms();
  record.parent = stored.snapshot_id;
  const bool directory = stored.config.image.kind == ImageSource::Kind::directory;
  record.image = directory ? SnapshotRecord::Image::directory : SnapshotRecord::Image::oci;
  record.reference = stored.config.image.reference;
  record.manifest_digest = stored.manifest_digest;
  record.source_sandbox = config.sandbox;
  const bool flat = stored.config.root_disk.kind == RootDisk::Kind::flat;
  record.root = flat ? SnapshotRecord::Root::flat : SnapshotRecord::Root::managed;
  record.patched = stored.patched;
  record.labels = config.labels;
  return record;
}

// The directory it is to have.
Result<std::string> goal_of(const state::Home& home, const SnapshotConfig& config) {
  if (config.dest_dir.empty()) {
    MSB_CHECK(home.make_dir(home.snapshots_dir()));
    return home.snapshot_dir(config.name);
  }
  char resolved[PATH_MAX];
  if (!::realpath(config.dest_dir.c_str(), resolved))
    return fail(Error::from_errno(errno, cat("open the directory ", config.dest_dir)).as(ErrorKind::path_not_found));
  return cat(resolved, "/", config.name);
}

// Before it is replaced: in a directory of the user's, anything may have the name, and anything be in it.
Result<> check_may_go(const state::Home& home, const std::string& directory) {
  if (!path_exists(directory)) return {};
  auto keep = [&](std::string_view why) {
    return fail(Error(ErrorKind::snapshot_already_exists, cat(directory, " is not replaced: ", why))
                    .hint("choose another name, or move it away"));
  };
  MSB_TRY(auto there, state::find_snapshot(home, directory));
  if (!there) return keep("it is no snapshot");
  const auto own = names_of(*there);
  for (const auto& name : names_in(directory))
    if (std::ranges::find(own, name) == own.end()) return keep(cat("there is a file '", name, "' in it, too"));
  return {};
}

// Those that are still there, the nearest first.
void add_parents(const state::Home& home, std::vector<state::Snapshot>& snapshots) {
  const auto all = state::list_snapshots(home);
  for (size_t i = 0; i < snapshots.size(); ++i) {
    auto parent = std::ranges::find(all, snapshots[i].record.parent, &state::Snapshot::id);
    const bool known =
        parent != all.end() && std::ranges::find(snapshots, parent->id, &state::Snapshot::id) != snapshots.end();
    if (parent != all.end() && !known) snapshots.push_back(*parent);
  }
}

}  // namespace

Result<SnapshotInfo> Snapshot::create(const SnapshotConfig& config) {
  MSB_CHECK(check_name(config.name, "a snapshot"));
  MSB_CHECK(check_labels(config.labels));
  MSB_CHECK(validate_sandbox_name(config.sandbox));
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto source,
          hold_stopped(store, config.sandbox,
                       cat("its disk changes meanwhile: stop it first, with `msb stop ", config.sandbox, "`")));
  MSB_TRY(const auto stored, stored_config_from_json(source.row.config_json));
  MSB_CHECK(check_can_be_kept(stored.config));
  MSB_TRY(const std::string goal, goal_of(store.home, config));
  auto taken = [&] {
    return fail(Error(ErrorKind::snapshot_already_exists, cat("a snapshot named '", config.name, "' already exists"))
                    .hint("choose another name, or replace it with --force"));
  };
  if (!config.force && path_exists(goal)) return taken();
  if (config.force && !config.dest_dir.empty()) MSB_CHECK(check_may_go(store.home, goal));

  MSB_TRY(auto draft, state::Draft::begin(store.home, config.dest_dir));
  SnapshotRecord record = describe(config, stored);
  for (const auto& name : state::snapshot_file_names(record.image, record.patched)) {
    const std::string from = cat(store.home.sandbox_dir(config.sandbox), "/", name);
    MSB_TRY(auto file, copy_file(from, draft.path(), name, config.integrity));
    record.files.push_back(std::move(file));
  }
  // The file's own size: it grows before the configuration says so.
  record.root_size_mib = static_cast<uint32_t>(record.files.back().size / kMiB);
  const std::string text = to_text(record);
  MSB_CHECK_CTX(state::snapshot_from_text(text), cat("keep sandbox '", config.sandbox, "'"));
  MSB_CHECK(write_file_atomic(cat(draft.path(), "/", state::kSnapshotRecord), text));
  if (config.force) {
    MSB_CHECK(draft.replace(goal));
  } else {
    MSB_TRY(bool mine, draft.publish(goal));
    if (!mine) return taken();
  }
  return get(goal);
}

Result<SnapshotInfo> Snapshot::get(const std::string& name) {
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto snapshot, get_snapshot(store.home, name));
  return to_info(snapshot);
}

Result<std::vector<SnapshotInfo>> Snapshot::list() {
  MSB_TRY(Store store, Store::open());
  std::vector<SnapshotInfo> infos;
  for (const auto& snapshot : state::list_snapshots(store.home)) infos.push_back(to_info(snapshot));
  std::ranges::sort(infos, std::ranges::greater(), &SnapshotInfo::created_at_ms);
  return infos;
}

Result<SnapshotInfo> Snapshot::verify(const std::string& name) {
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto snapshot, get_snapshot(store.home, name));
  MSB_CHECK(check_snapshot_contents(snapshot));
  return to_info(snapshot);
}

Result<> Snapshot::remove(const std::string& name) {
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto snapshot, get_snapshot(store.home, name));
  if (name.find('/') != std::string::npos) return remove_kept_elsewhere(snapshot);
  MSB_TRY(auto trash, state::Trash::take(store.home, snapshot.directory));
  return trash.empty();
}

Result<> Snapshot::save(const std::string& name, const std::string& path, const SnapshotSaveOptions& options) {
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto first, get_snapshot(store.home, name));
  MSB_CHECK(check_snapshot_files(first));
  std::vector<state::Snapshot> snapshots{std::move(first)};
  if (options.with_parents) add_parents(store.home, snapshots);

  std::optional<image::WorkDir> work;
  std::vector<std::string> images;
  if (options.with_image) {
    MSB_TRY(auto made, image::WorkDir::create(store.home));
    work.emplace(std::move(made));
    MSB_TRY(auto image_store, image::ImageStore::open(store.home));
    std::set<std::string> written;
    for (const auto& snapshot : snapshots) {
      const std::string& digest = snapshot.record.manifest_digest;
      if (digest.empty() || !written.insert(digest).second) continue;
      images.push_back(
          cat(work->path(), "/", kArchivedImagePrefix, digest.substr(digest.find(':') + 1), kArchivedImageSuffix));
      MSB_CHECK(image_store->save_manifest(snapshot.image, snapshot.record.reference, images.back()));
    }
  }
  const auto compression = options.plain_tar ? ArchiveCompression::none : ArchiveCompression::zstd;
  auto write = [&](int fd) { return write_snapshot_archive(fd, snapshots, images, compression); };
  return path == "-" ? write(STDOUT_FILENO) : write_file_then_rename(path, 0644, Sync::yes, write);
}

Result<std::vector<SnapshotInfo>> Snapshot::load(const std::string& path) {
  MSB_TRY(Store store, Store::open());
  Fd input;
  if (path != "-") {
    auto opened = open_file(path);
    if (!opened) return fail(std::move(opened).error().as(ErrorKind::path_not_found));
    input = std::move(*opened);
  }
  auto names = read_snapshot_archive(path == "-" ? STDIN_FILENO : input.get(), store.home);
  if (!names) return fail(std::move(names).error().context(cat("load ", path == "-" ? "standard input" : path)));
  std::vector<SnapshotInfo> infos;
  for (const auto& name : *names) {
    MSB_TRY(auto snapshot, get_snapshot(store.home, name));
    infos.push_back(to_info(snapshot));
  }
  return infos;
}

}  // namespace msb
