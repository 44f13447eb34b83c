#include "sandbox/volumes.h"

#include <algorithm>

#include "base/units.h"
#include "disk/ext4_template.h"
#include "sandbox/config_json.h"
#include "sandbox/validate.h"
#include "state/volumes.h"

namespace msb {
namespace {

using state::VolumeRecord;

std::string_view kind_name(VolumeKind kind) {
  return kind == VolumeKind::disk ? "disk" : "directory";
}

VolumeConfig config_of(const Mount& mount) {
  return {.name = mount.volume,
          .kind = mount.volume_kind.value_or(VolumeKind::directory),
          .size_mib = mount.size_mib,
          .quota_mib = mount.quota_mib};
}

// Of what is said about a volume that is there, nothing may be untrue.
Result<> check_same(const Mount& mount, const VolumeRecord& record) {
  const VolumeKind kind = record.kind == VolumeRecord::Kind::disk ? VolumeKind::disk : VolumeKind::directory;
  std::string is, asked;
  if (mount.volume_kind && *mount.volume_kind != kind) {
    is = cat("a ", kind_name(kind));
    asked = cat("a ", kind_name(*mount.volume_kind));
  } else if (mount.size_mib != 0 && mount.size_mib != record.size_mib) {
    is = cat("of ", record.size_mib, " MiB");
    asked = cat("one of ", mount.size_mib, " MiB");
  } else if (mount.quota_mib != 0 && mount.quota_mib != record.quota_mib) {
    is = record.quota_mib == 0 ? "without a quota" : cat("with a quota of ", record.quota_mib, " MiB");
    asked = cat("one with ", mount.quota_mib, " MiB");
  } else {
    return {};
  }
  return fail(Error(ErrorKind::invalid_config,
                    cat("the volume '", mount.volume, "' is ", is, ", and ", asked, " was asked for"))
                  .hint("leave the options away to mount it as it is, or choose another name"));
}

}  // namespace

Result<> resolve_volume(Mount& mount, const state::Home& home, Resolution resolution) {
  MSB_CHECK(check_name(mount.volume, "a volume"));
  MSB_TRY(auto record, state::find_volume(home, mount.volume));
  if (!record) {
    if (resolution == Resolution::again || mount.volume_mode == VolumeMode::existing)
      return fail(volume_not_found(home, mount.volume));
    const VolumeConfig config = config_of(mount);
    MSB_CHECK(check_volume(config));
    auto made = make_volume(home, config);
    // Somebody else was faster: then it is there.
    const bool theirs = !made && made.error().kind() == ErrorKind::volume_already_exists;
    if (!made && (!theirs || mount.volume_mode == VolumeMode::create)) return made;
    MSB_TRY(record, state::find_volume(home, mount.volume));
    if (!record) return fail(volume_not_found(home, mount.volume));
  } else if (mount.volume_mode == VolumeMode::create && resolution == Resolution::first) {
    return fail(volume_exists(mount.volume));
  }
  if (resolution == Resolution::first) MSB_CHECK(check_same(mount, *record));
  mount.volume_kind = record->kind == VolumeRecord::Kind::disk ? VolumeKind::disk : VolumeKind::directory;
  mount.size_mib = record->size_mib;
  mount.quota_mib = record->quota_mib;
  if (mount.volume_kind == VolumeKind::disk &&
      (mount.stat_virtualization != StatVirtualization::strict || mount.host_permissions != HostPermissions::private_))
    return fail(Error(ErrorKind::invalid_config, cat("the volume '", mount.volume,
                                                     "' is a disk: its files are no files "
                                                     "of the host"))
                    .hint("leave stat-virt and host-perms away"));
  return {};
}

Result<> check_volumes(const state::Home& home, const std::vector<Mount>& mounts) {
  for (const auto& mount : mounts) {
    if (mount.kind != Mount::Kind::named) continue;
    MSB_TRY(auto record, state::find_volume(home, mount.volume));
    if (!record) return fail(volume_not_found(home, mount.volume));
  }
  return {};
}

state::ShareSpec share_of_volume(const Mount& mount, const state::Home& home, std::string name) {
  Mount bind = mount;
  bind.source = home.volume_data(mount.volume);
  bind.source_type = Mount::SourceType::directory;
  state::ShareSpec share = share_of(bind, std::move(name));
  if (share.quota_bytes > 0) share.usage = home.volume_usage(mount.volume);
  return share;
}

Error volume_not_found(const state::Home& home, const std::string& name) {
  Error error(ErrorKind::volume_not_found, cat("there is no volume '", name, "'"));
  std::string known;
  for (const auto& other : state::volume_names(home)) known += cat(known.empty() ? "" : ", ", other);
  return std::move(error).hint(known.empty() ? cat("make it with `msb volume create ", name, "`")
                                             : cat("volumes are ", known));
}

Error volume_exists(const std::string& name) {
  return Error(ErrorKind::volume_already_exists, cat("a volume named '", name, "' already exists"))
      .hint(cat("choose another name, or remove it with `msb volume rm ", name, "`"));
}

Result<> check_volume(const VolumeConfig& config) {
  MSB_CHECK(check_name(config.name, "a volume"));
  MSB_CHECK(check_labels(config.labels));
  auto invalid = [](std::string message, std::string hint) {
    return fail(Error(ErrorKind::invalid_config, std::move(message)).hint(std::move(hint)));
  };
  if (config.kind == VolumeKind::directory) {
    if (config.size_mib != 0)
      return invalid(cat("the volume '", config.name, "' is a directory, which has no size"), "give it a quota");
    return {};
  }
  if (config.quota_mib != 0)
    return invalid(cat("the volume '", config.name, "' is a disk, which has no quota"), "its size bounds it");
  if (config.size_mib == 0)
    return invalid(cat("the size of the disk volume '", config.name, "' is not given"), "say how large it is to be");
  if (config.size_mib < disk::kMinUpperMib || config.size_mib > disk::kMaxUpperMib)
    return invalid(cat("a disk volume of ", config.size_mib, " MiB cannot be made"),
                   cat("choose from ", disk::kMinUpperMib, " MiB to ", disk::kMaxUpperMib, " MiB"));
  return {};
}

Result<> make_volume(const state::Home& home, const VolumeConfig& config) {
  VolumeRecord record;
  record.kind = config.kind == VolumeKind::disk ? VolumeRecord::Kind::disk : VolumeRecord::Kind::directory;
  record.size_mib = config.size_mib;
  record.quota_mib = config.quota_mib;
  record.labels = config.labels;
  record.created_at_ms = state::now_ms();
  MSB_TRY(bool made, state::make_volume(home, config.name, record, [&](const std::string& directory) -> Result<> {
            if (config.kind != VolumeKind::disk) return {};
            return disk::make_upper_disk(directory + "/disk.raw", config.size_mib, home.ext4_dir());
          }));
  return made ? Result<>() : fail(volume_exists(config.name));
}

Result<std::vector<std::string>> volume_users(state::Database& database, const std::string& name) {
  std::vector<std::string> users;
  MSB_TRY(auto rows, state::list_sandboxes(database));
  for (const auto& row : rows) {
    // One that cannot be read keeps nothing from being removed but itself.
    auto stored = stored_config_from_json(row.config_json);
    if (!stored) continue;
    const auto& mounts = stored->config.mounts;
    if (std::ranges::any_of(
            mounts, [&](const Mount& mount) { return mount.kind == Mount::Kind::named && mount.volume == name; }))
      users.push_back(row.name);
  }
  return users;
}

}  // namespace msb
