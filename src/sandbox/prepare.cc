#include "sandbox/prepare.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "base/temp_dir.h"
#include "base/units.h"
#include "disk/erofs_reader.h"
#include "disk/ext4_template.h"
#include "kvm/probe.h"
#include "sandbox/directory_image.h"
#include "sandbox/machine_plan.h"
#include "sandbox/mounts.h"
#include "sandbox/patch_image.h"
#include "sandbox/patches.h"

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

Result<> check_free_space(const state::Home& home) {
  struct statvfs status;
  if (::statvfs(home.path().c_str(), &status) < 0) return fail_errno(cat("look at ", home.path()));
  uint64_t free = uint64_t{status.f_bavail} * status.f_frsize;
  if (free >= kMinFree) return {};
  return fail(Error::from_errno(ENOSPC, cat("only ", format_size(free), " are free in ", home.path()))
                  .hint("free some space (`msb image prune`), or set MSB_HOME to another disk"));
}

// By rename, so that a crash in between is not taken for a finished file at the next start.
template <class Make>
Result<> make_once(const std::string& path, Make make) {
  if (path_exists(path)) return {};
  const std::string draft = path + ".new";
  MSB_CHECK(make(draft));
  if (::rename(draft.c_str(), path.c_str()) < 0) return fail_errno(cat("rename to ", path));
  return {};
}

}  // namespace

Result<> check_kvm(const state::Home& home, const SandboxConfig& config) {
  if (!needs_kvm(config)) return {};
  kvm::Verdict verdict = kvm::probe({.cache_file = home.kvm_probe()});
  if (verdict.works()) return {};
  return fail(verdict.to_error());
}

Result<StoredConfig> resolve_image(const state::Home& home, SandboxConfig config, const PullProgress& progress) {
  StoredConfig stored;
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
  stored.config = std::move(config);
  return stored;
}

Result<> prepare_disks(const state::Home& home, const StoredConfig& stored, Run run) {
  const SandboxConfig& config = stored.config;
  MSB_CHECK(home.make_dir(home.sandbox_logs_dir(config.name)));
  if (config.image.kind == ImageSource::Kind::disk) return check_root_image(config);
  MSB_CHECK(check_free_space(home));
  if (config.image.kind == ImageSource::Kind::directory)
    MSB_CHECK(make_once(directory_image(home, config.name),
                        [&](const std::string& draft) { return make_directory_image(config.image.reference, draft); }));
  const std::vector<std::string> root = root_files(home, stored);
  if (!config.patches.empty() && run == Run::first) {
    MSB_CHECK(check_root_files(config.image.reference, root));
    MSB_CHECK(make_once(patch_image(home, config.name),
                        [&](const std::string& draft) { return make_patch_image(config.patches, root, draft); }));
  }
  MSB_CHECK(check_root_files(config.image.reference, plan_machine(home, stored).disks.front().files));
  if (config.root_disk.kind == RootDisk::Kind::tmpfs) return {};
  return make_once(home.upper(config.name), [&](const std::string& draft) -> Result<> {
    MSB_CHECK_CTX(disk::make_upper_disk(draft, config.root_disk.size_mib, home.ext4_dir()), "make the root disk");
    return {};
  });
}

}  // namespace msb
