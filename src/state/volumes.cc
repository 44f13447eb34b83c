#include "state/volumes.h"

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/temp_dir.h"
#include "state/draft.h"
#include "state/strict_json.h"

namespace msb::state {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

std::string to_text(const VolumeRecord& record) {
  return json{{"version", kVersion},         {"kind", record.kind == VolumeRecord::Kind::disk ? "disk" : "dir"},
              {"size_mib", record.size_mib}, {"quota_mib", record.quota_mib},
              {"labels", record.labels},     {"created_at", record.created_at_ms}}
      .dump();
}

// Throws.
VolumeRecord from_text(const std::string& text) {
  const json value = json::parse(text);
  StrictReader in(value);
  if (in.get<int>("version") != kVersion) throw std::runtime_error("it is of another version of msb");
  VolumeRecord record;
  const auto kind = in.get<std::string>("kind");
  if (kind != "dir" && kind != "disk") throw std::runtime_error(cat("there is no kind '", kind, "'"));
  if (kind == "disk") record.kind = VolumeRecord::Kind::disk;
  record.size_mib = in.get<uint32_t>("size_mib");
  record.quota_mib = in.get<uint32_t>("quota_mib");
  record.labels = in.get<std::map<std::string, std::string>>("labels");
  record.created_at_ms = in.get<int64_t>("created_at");
  in.finish();
  return record;
}

}  // namespace

Result<std::optional<VolumeRecord>> find_volume(const Home& home, const std::string& name) {
  const std::string path = home.volume_record(name);
  auto text = read_file(path);
  if (!text && (text.error().errnum() == ENOENT || text.error().errnum() == ENOTDIR)) return std::nullopt;
  if (!text) return fail(std::move(text).error());
  try {
    return from_text(*text);
  } catch (const std::exception& error) {
    return fail(ErrorKind::corrupt, cat(path, " is damaged: ", error.what()));
  }
}

std::vector<std::string> volume_names(const Home& home) {
  auto names = names_in(home.volumes_dir());
  std::erase_if(names, [&](const auto& name) { return !path_exists(home.volume_record(name)); });
  std::ranges::sort(names);
  return names;
}

Result<bool> make_volume(const Home& home, const std::string& name, const VolumeRecord& record,
                         const std::function<Result<>(const std::string& directory)>& fill) {
  MSB_CHECK(home.make_dir(home.volumes_dir()));
  MSB_TRY(Draft draft, Draft::begin(home));
  MSB_CHECK(write_file_atomic(draft.path() + "/volume.json", to_text(record), 0600));
  if (record.kind == VolumeRecord::Kind::directory) MSB_CHECK(make_dirs(draft.path() + "/data"));
  MSB_CHECK(fill(draft.path()));
  return draft.publish(home.volume_dir(name));
}

}  // namespace msb::state
