#include "sandbox/prepare.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "base/temp_dir.h"
#include "base/units.h"
#include "disk/erofs_reader.h"
#include "image/layer_cache.h"
#include "kvm/probe.h"
#include "sandbox/directory_image.h"
#include "sandbox/machine_plan.h"
#include "sandbox/mounts.h"
#include "sandbox/patch_image.h"
#include "sandbox/patches.h"
#include "sandbox/root_disk.h"
#include "sandbox/scripts.h"
#include "sandbox/snapshots.h"

namespace msb {
namespace {

// Below this a guest fails in the middle of its work in ways nobody understands.
constexpr uint64_t kMinFree = 64 * kMiB;

Result<std::string> absolute(const std::string& path) {
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved)) return std::string(resolved);
  Error error = Error::from_errno(errno, cat("open the image ", path)).as(ErrorKind::path_not_found);
  return fail(std::move(error).hint("an image that begins with '.', '/' or '~' is a path on this host"));
}

// The guest owns this disk: it must be able to write.
Result<> check_root_image(const SandboxConfig& config) {
  return check_disk_image(config.image.reference, config.image.format, disk::Access::read_write);
}

// The files of a read-only root: an EROFS image and the layers it names, which the guest sees as one disk. One of
// another size than it had would shift all that lie behind it.
Result<> check_root_files(const std::string& image, const std::vector<std::string>& files) {
  for (const auto& file : files)
    if (!path_exists(file))
      return fail(Error(ErrorKind::image_not_found, cat("a file of the image ", image, " is gone: ", file))
                      .hint("pull the image again, or make the sandbox anew"));
  MSB_TRY(auto tree, disk::ErofsReader::open(files.front()));
  std::vector<uint32_t> blocks{tree.blocks()};
  for (const auto& layer : tree.devices()) blocks.push_back(layer.blocks);
  if (blocks.size() != files.size())
    return fail(ErrorKind::corrupt,
                cat(files.front(), " names ", blocks.size() - 1, " layers, but the image has ", files.size() - 1));
  for (size_t i = 0; i < files.size(); ++i) {
    struct stat status;
    if (::stat(files[i].c_str(), &status) < 0) return fail_errno(cat("look at ", files[i]));
    uint64_t expected = uint64_t{blocks[i]} * disk::erofs::kBlockSize;
    if (static_cast<uint64_t>(status.st_size) != expected)
      return fail(Error(ErrorKind::corrupt, cat("a file of the image ", image, " is damaged: ", files[i], " has ",
                                                status.st_size, " bytes instead of ", expected))
                      .hint("pull the image again, or make the sandbox anew"));
  }
  return {};
}

Result<uint64_t> free_space(const state::Home& home) {
  struct statvfs status;
  if (::statvfs(home.path().c_str(), &status) < 0) return fail_errno(cat("look at ", home.path()));
  return uint64_t{status.f_bavail} * status.f_frsize;
}

Result<> check_free_space(const state::Home& home) {
  MSB_TRY(const uint64_t free, free_space(home));
  if (free >= kMinFree) return {};
  return fail(Error::from_errno(ENOSPC, cat("only ", format_size(free), " are free in ", home.path()))
                  .hint("free some space (`msb image prune`), or set MSB_HOME to another disk"));
}

// By rename, so that a crash in between is not taken for a finished file at the next start.
template <class Make>
Result<> make_anew(const std::string& path, Make make) {
  const std::string draft = path + ".new";
  MSB_CHECK(make(draft));
  if (::rename(draft.c_str(), path.c_str()) < 0) return fail_errno(cat("rename to ", path));
  return {};
}

template <class Make>
Result<> make_once(const std::string& path, Make make) {
  return path_exists(path) ? Result<>() : make_anew(path, std::move(make));
}

// What cannot be made again at a later start is on the host's disk before it has its name. An ephemeral sandbox has no
// later start, and a sync would be the dearest part of its first.
template <class Make>
Result<> make_for_good(const SandboxConfig& config, const std::string& path, Make make) {
  return make_anew(path, [&](const std::string& draft) -> Result<> {
    MSB_CHECK(make(draft));
    return config.ephemeral ? Result<>() : image::sync_path(draft);
  });
}

Result<> prepare_scripts(const state::Home& home, const SandboxConfig& config, Run run) {
  const std::string image = scripts_image(home, config.name);
  if (run == Run::first)
    return make_for_good(config, image,
                         [&](const std::string& draft) { return make_scripts_image(config.scripts, draft); });
  if (path_exists(image)) return {};
  return fail(
      Error(ErrorKind::corrupt, cat("the scripts of the sandbox are gone: ", image)).hint("make the sandbox anew"));
}

Result<> prepare_root_disk(const state::Home& home, const SandboxConfig& config, const std::string& tree) {
  const RootDisk& disk = config.root_disk;
  if (disk.kind == RootDisk::Kind::tmpfs) return {};
  if (disk.kind == RootDisk::Kind::disk) {
    RootDisk still_there = disk;
    return resolve_root_disk(still_there);
  }
  const std::string upper = home.upper(config.name);
  if (path_exists(upper)) return {};
  if (disk.kind == RootDisk::Kind::flat) {
    MSB_TRY(const uint64_t free, free_space(home));
    MSB_CHECK(check_flat_size(tree, disk, free));
  }
  return make_anew(upper, [&](const std::string& draft) { return make_root_disk(disk, home, draft); });
}

}  // namespace

Result<> check_kvm(const state::Home& home, const SandboxConfig& config) {
  if (!needs_kvm(config)) return {};
  kvm::Verdict verdict = kvm::probe({.cache_file = home.kvm_probe()});
  if (verdict.works()) return {};
  return fail(verdict.to_error());
}

Result<StoredConfig> resolve_image(const state::Home& home, SandboxConfig config, const PullProgress& progress) {
  if (!config.from_snapshot.empty()) {
    MSB_TRY(auto begun, resolve_snapshot(home, std::move(config), progress));
    MSB_CHECK(resolve_mounts(begun.config.mounts, home, Resolution::first));
    return begun;
  }
  StoredConfig stored;
  stored.patched = !config.patches.empty();
  if (config.image.kind == ImageSource::Kind::oci) {
    PullOptions options{.policy = config.pull_policy, .registry = config.registry, .progress = progress};
    MSB_TRY(ImageDetail detail, Image::pull(config.image.reference, options));
    stored.manifest_digest = detail.info.manifest_digest;
    for (const auto& layer : detail.layers) stored.layers.push_back(layer.diff_id);
    stored.image = std::move(detail.config);
  } else {
    MSB_TRY(config.image.reference, absolute(config.image.reference));
  }
  if (config.image.kind == ImageSource::Kind::disk) MSB_CHECK(check_root_image(config));
  MSB_CHECK(resolve_mounts(config.mounts, home, Resolution::first));
  MSB_CHECK(resolve_patches(config.patches));
  MSB_CHECK(resolve_root_disk(config.root_disk));
  for (const auto& mount : config.mounts)
    if (mount.kind == Mount::Kind::disk && mount.source == config.root_disk.source)
      return fail(
          Error(ErrorKind::invalid_config, cat("the root disk ", mount.source, " is also mounted on ", mount.target))
              .hint("use it once"));
  stored.config = std::move(config);
  return stored;
}

Result<> prepare_disks(const state::Home& home, const StoredConfig& stored, Run run) {
  const SandboxConfig& config = stored.config;
  MSB_CHECK(home.make_dir(home.sandbox_logs_dir(config.name)));
  MSB_CHECK(check_free_space(home));
  if (!config.scripts.empty()) MSB_CHECK(prepare_scripts(home, config, run));
  if (config.image.kind == ImageSource::Kind::disk) return check_root_image(config);
  if (run == Run::first && !config.from_snapshot.empty()) MSB_CHECK(restore_snapshot(home, stored));
  // A snapshot brings its image: what is at that path on this host is another directory.
  if (config.image.kind == ImageSource::Kind::directory && config.from_snapshot.empty())
    MSB_CHECK(make_once(directory_image(home, config.name),
                        [&](const std::string& draft) { return make_directory_image(config.image.reference, draft); }));
  const std::vector<std::string> root = root_files(home, stored);
  if (!config.patches.empty() && run == Run::first) {
    MSB_CHECK(check_root_files(config.image.reference, root));
    MSB_CHECK(make_for_good(config, patch_image(home, config.name),
                            [&](const std::string& draft) { return make_patch_image(config.patches, root, draft); }));
  }
  const std::vector<std::string> files = plan_machine(home, stored).disks.front().files;
  MSB_CHECK(check_root_files(config.image.reference, files));
  return prepare_root_disk(home, config, files.front());
}

}  // namespace msb
