#include <sys/stat.h>

#include <algorithm>

#include <microsandbox/volume.h>

#include "fs/usage_record.h"
#include "sandbox/validate.h"
#include "sandbox/volumes.h"
#include "state/trash.h"
#include "state/volumes.h"

namespace msb {
namespace {

using state::VolumeRecord;

enum class Count { what_is_known, everything };

// What a directory volume's files come to; nullopt when it would have to be counted, and that is not wanted.
Result<std::optional<uint64_t>> used_bytes(const state::Home& home, const std::string& name, const VolumeRecord& record,
                                           Count count) {
  if (record.kind == VolumeRecord::Kind::disk) {
    struct stat status{};
    const std::string disk = home.volume_disk(name);
    if (::stat(disk.c_str(), &status) < 0) return fail_errno(cat("look at ", disk));
    return static_cast<uint64_t>(status.st_blocks) * 512;
  }
  if (count == Count::what_is_known) return std::nullopt;
  if (record.quota_mib == 0) return fs::count_usage(home.volume_data(name));
  MSB_TRY(auto usage, fs::look_at_usage(home.volume_usage(name), home.volume_data(name)));
  return usage.bytes;
}

Result<VolumeInfo> describe(Store& store, const std::string& name, const VolumeRecord& record, Count count) {
  const bool disk = record.kind == VolumeRecord::Kind::disk;
  VolumeInfo info;
  info.name = name;
  info.kind = disk ? VolumeKind::disk : VolumeKind::directory;
  info.path = disk ? store.home.volume_disk(name) : store.home.volume_data(name);
  info.size_mib = record.size_mib;
  info.quota_mib = record.quota_mib;
  if (disk) {
    info.disk_format = "raw";
    info.disk_fstype = "ext4";
  }
  info.labels = record.labels;
  info.created_at_ms = record.created_at_ms;
  MSB_TRY(info.used_bytes, used_bytes(store.home, name, record, count));
  MSB_TRY(info.sandboxes, volume_users(store.database, name));
  return info;
}

}  // namespace

Result<VolumeInfo> Volume::create(const VolumeConfig& config) {
  MSB_CHECK(check_volume(config));
  MSB_TRY(Store store, Store::open());
  MSB_CHECK(make_volume(store.home, config));
  return get(config.name);
}

Result<VolumeInfo> Volume::get(const std::string& name) {
  MSB_CHECK(check_name(name, "a volume"));
  MSB_TRY(Store store, Store::open());
  MSB_TRY(auto record, state::find_volume(store.home, name));
  if (!record) return fail(volume_not_found(store.home, name));
  return describe(store, name, *record, Count::everything);
}

Result<std::vector<VolumeInfo>> Volume::list() {
  MSB_TRY(Store store, Store::open());
  std::vector<VolumeInfo> infos;
  for (const auto& name : state::volume_names(store.home)) {
    MSB_TRY(auto record, state::find_volume(store.home, name));
    if (!record) continue;
    MSB_TRY(auto info, describe(store, name, *record, Count::what_is_known));
    infos.push_back(std::move(info));
  }
  std::ranges::sort(infos, std::ranges::greater(), &VolumeInfo::created_at_ms);
  return infos;
}

Result<> Volume::remove(const std::string& name) {
  MSB_CHECK(check_name(name, "a volume"));
  MSB_TRY(Store store, Store::open());
  std::optional<state::Trash> trash;
  {
    // Nobody makes a sandbox meanwhile.
    MSB_TRY(auto transaction, store.database.begin());
    MSB_TRY(auto record, state::find_volume(store.home, name));
    if (!record) return fail(volume_not_found(store.home, name));
    MSB_TRY(auto users, volume_users(store.database, name));
    if (!users.empty()) {
      std::string names;
      for (const auto& user : users) names += cat(names.empty() ? "" : ", ", user);
      return fail(Error(ErrorKind::volume_in_use, cat("the volume '", name, "' is mounted by ", names))
                      .hint("remove them first, with `msb rm`"));
    }
    MSB_TRY(trash, state::Trash::take(store.home, store.home.volume_dir(name)));
    MSB_CHECK(transaction.commit());
  }
  return trash->empty();
}

}  // namespace msb
