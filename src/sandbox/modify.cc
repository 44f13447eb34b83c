// Changes to a sandbox that is not running.
#include <sys/stat.h>
#include <unistd.h>

#include <microsandbox/sandbox.h>

#include "base/temp_dir.h"
#include "base/units.h"
#include "sandbox/config_json.h"
#include "sandbox/store.h"
#include "sandbox/validate.h"
#include "state/sandboxes.h"

namespace msb {
namespace {

tl::unexpected<Error> invalid(std::string message, std::string hint) {
  return fail(Error(ErrorKind::invalid_config, std::move(message)).hint(std::move(hint)));
}

// The file gets a hole at its end; the guest's file system grows into it at the next start.
Result<> grow_root_disk(const state::Home& home, SandboxConfig& config, uint32_t size_mib) {
  RootDisk& disk = config.root_disk;
  const bool own = disk.kind == RootDisk::Kind::managed || disk.kind == RootDisk::Kind::flat;
  if (!own || config.image.kind == ImageSource::Kind::disk)
    return invalid(cat("the root of sandbox '", config.name, "' is not on a disk of its own, which could grow"),
                   "an image of yours is resized with `qemu-img resize`; a root in memory is made anew");
  MSB_CHECK(check_root_disk_size(size_mib));
  if (size_mib < disk.size_mib)
    return invalid(cat("the root disk of sandbox '", config.name, "' has ", format_size(uint64_t{disk.size_mib} * kMiB),
                       " and cannot shrink to ", format_size(uint64_t{size_mib} * kMiB)),
                   "make a new sandbox, and copy what you need with `msb cp`");
  const std::string path = home.upper(config.name);
  disk.size_mib = size_mib;
  if (!path_exists(path)) return {};  // it has not started yet
  MSB_TRY(Fd file, open_file(path, O_RDWR));
  struct stat status;
  if (::fstat(file.get(), &status) < 0) return fail_errno(cat("look at ", path));
  const auto size = static_cast<off_t>(uint64_t{size_mib} * kMiB);
  if (status.st_size < size && ::ftruncate(file.get(), size) < 0) return fail_errno(cat("make ", path, " larger"));
  return {};
}

}  // namespace

Result<> Sandbox::modify(const std::string& name, const SandboxChanges& changes) {
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto stopped, hold_stopped(store, name, cat("stop it before it is changed: `msb stop ", name, "`")));
  MSB_TRY(StoredConfig stored, stored_config_from_json(stopped.row.config_json));
  if (changes.root_disk_mib) MSB_CHECK(grow_root_disk(store.home, stored.config, *changes.root_disk_mib));
  MSB_TRY(std::string json, to_json(stored));
  return state::set_config(store.database, name, json);
}

}  // namespace msb
