#include "state/snapshots.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/sha256.h"
#include "base/temp_dir.h"
#include "base/units.h"
#include "state/strict_json.h"

namespace msb::state {
namespace {

using nlohmann::json;

constexpr int kSchema = 1;
constexpr size_t kMaxRecord = 1024 * 1024;
constexpr size_t kHexDigest = 64;
constexpr size_t kMaxDigest = 256;
constexpr std::string_view kDigestPrefix = "sha256:";
// The names that Home and sandbox/machine_plan.h give them.
constexpr const char *kUpper = "upper.ext4", *kPatch = "patch.erofs", *kRoot = "root.erofs";
constexpr uint64_t kErofsBlock = 4096;
// What 32-bit numbers of blocks of 4 KiB reach, of ext4 as of EROFS.
constexpr uint64_t kMaxDisk = uint64_t{16} << 40;
// 9999-12-31: later years are not written with four digits.
constexpr int64_t kMaxTimeMs = 253'402'300'799'999;

json file_to_json(const SnapshotFile& file) {
  return {
      {"file", file.file}, {"size", file.size}, {"integrity", file.integrity.empty() ? json() : json(file.integrity)}};
}

bool is_digest(std::string_view text) {
  if (!text.starts_with(kDigestPrefix)) return false;
  text.remove_prefix(kDigestPrefix.size());
  return text.size() == kHexDigest &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string digest_or_none(const json& value, const char* what) {
  if (value.is_null()) return {};
  auto text = value.get<std::string>();
  if (!is_digest(text)) throw std::runtime_error(cat(what, " is not a digest"));
  return text;
}

json or_null(const std::string& text) {
  return text.empty() ? json() : json(text);
}

SnapshotFile file_from_json(const json& value) {
  StrictReader in(value);
  SnapshotFile file;
  file.file = in.get<std::string>("file");
  file.size = in.get<uint64_t>("size");
  file.integrity = digest_or_none(in.get<json>("integrity"), "a file's integrity");
  in.finish();
  return file;
}

void take_image(const json& value, SnapshotRecord& record) {
  StrictReader in(value);
  const auto kind = in.get<std::string>("kind");
  if (kind != "oci" && kind != "directory") throw std::runtime_error(cat("there is no kind of image '", kind, "'"));
  record.image = kind == "oci" ? SnapshotRecord::Image::oci : SnapshotRecord::Image::directory;
  record.reference = in.get<std::string>("reference");
  record.manifest_digest = digest_or_none(in.get<json>("manifest_digest"), "the image's manifest");
  if ((record.image == SnapshotRecord::Image::oci) == record.manifest_digest.empty())
    throw std::runtime_error("its image has no manifest, or one too many");
  in.finish();
}

void take_root(const json& value, SnapshotRecord& record) {
  StrictReader in(value);
  const auto kind = in.get<std::string>("kind");
  if (kind != "managed" && kind != "flat") throw std::runtime_error(cat("there is no kind of root disk '", kind, "'"));
  record.root = kind == "flat" ? SnapshotRecord::Root::flat : SnapshotRecord::Root::managed;
  record.root_size_mib = in.get<uint32_t>("size_mib");
  record.patched = in.get<bool>("patched");
  in.finish();
}

// Throws. The list decides what is copied into a sandbox's directory and used there: a record of a directory that
// brings no image of it would have one made of whatever the host has at that path.
void check_files(const SnapshotRecord& record) {
  std::vector<std::string> names;
  for (const auto& file : record.files) names.push_back(file.file);
  if (names != snapshot_file_names(record.image, record.patched))
    throw std::runtime_error("its files are not those that a snapshot of its kind has");
  for (const auto& file : record.files) {
    const bool upper = file.file == kUpper;
    const bool fits = upper ? file.size == record.root_size_mib * kMiB : file.size % kErofsBlock == 0;
    if (file.size == 0 || file.size > kMaxDisk || !fits)
      throw std::runtime_error(cat(file.file, " cannot have ", file.size, " bytes"));
  }
}

// Throws.
SnapshotRecord parse(const std::string& text) {
  const json value = json::parse(text);
  StrictReader in(value);
  if (in.get<int>("schema") != kSchema || in.get<std::string>("artifact") != "snapshot" ||
      in.get<std::string>("scope") != "disk")
    throw std::runtime_error("it is not a disk snapshot of a kind that this version of msb knows");
  SnapshotRecord record;
  record.created_at_ms = in.get<int64_t>("created_at");
  if (record.created_at_ms < 0 || record.created_at_ms > kMaxTimeMs) throw std::runtime_error("its time is none");
  record.parent = digest_or_none(in.get<json>("parent"), "its parent");
  take_image(in.get<json>("image"), record);
  record.source_sandbox = in.get<std::string>("source_sandbox");
  take_root(in.get<json>("root"), record);
  for (const auto& entry : in.get<json>("files")) record.files.push_back(file_from_json(entry));
  record.labels = in.get<std::map<std::string, std::string>>("labels");
  in.finish();
  check_files(record);
  if (to_text(record) != text) throw std::runtime_error("it is not written as msb writes it");
  return record;
}

}  // namespace

std::vector<std::string> snapshot_file_names(SnapshotRecord::Image image, bool patched) {
  std::vector<std::string> names;
  if (patched) names.emplace_back(kPatch);
  if (image == SnapshotRecord::Image::directory) names.emplace_back(kRoot);
  names.emplace_back(kUpper);
  return names;
}

std::string to_text(const SnapshotRecord& record) {
  json files = json::array();
  for (const auto& file : record.files) files.push_back(file_to_json(file));
  const bool oci = record.image == SnapshotRecord::Image::oci, flat = record.root == SnapshotRecord::Root::flat;
  return json{
      {"schema", kSchema},
      {"artifact", "snapshot"},
      {"scope", "disk"},
      {"created_at", record.created_at_ms},
      {"parent", or_null(record.parent)},
      {"image",
       {{"kind", oci ? "oci" : "directory"},
        {"reference", record.reference},
        {"manifest_digest", or_null(record.manifest_digest)}}},
      {"source_sandbox", record.source_sandbox},
      {"root", {{"kind", flat ? "flat" : "managed"}, {"size_mib", record.root_size_mib}, {"patched", record.patched}}},
      {"files", files},
      {"labels", record.labels}}
      .dump();
}

Result<SnapshotRecord> snapshot_from_text(const std::string& text) {
  try {
    return parse(text);
  } catch (const std::exception& error) {
    return fail(ErrorKind::corrupt, cat("the description of a snapshot is damaged: ", error.what()));
  }
}

std::string snapshot_id(const std::string& text) {
  return cat(kDigestPrefix, sha256_hex(as_bytes(text)));
}

Result<std::optional<Snapshot>> find_snapshot(const Home& home, const std::string& name) {
  Snapshot snapshot{.name = name, .id = {}, .directory = home.snapshot_dir(name), .record = {}, .image = {}};
  if (name.find('/') != std::string::npos) {
    char resolved[PATH_MAX];
    if (!::realpath(name.c_str(), resolved)) {
      if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
      return fail_errno(cat("open ", name));
    }
    snapshot.directory = resolved;
    snapshot.name = snapshot.directory.substr(snapshot.directory.rfind('/') + 1);
  }
  const std::string path = cat(snapshot.directory, "/", kSnapshotRecord);
  auto text = read_file(path, kMaxRecord);
  if (!text && (text.error().errnum() == ENOENT || text.error().errnum() == ENOTDIR)) return std::nullopt;
  if (!text) return fail(std::move(text).error());
  auto record = snapshot_from_text(*text);
  if (!record) return fail(std::move(record).error().context(path));
  snapshot.record = std::move(*record);
  snapshot.id = snapshot_id(*text);
  auto local = read_file(cat(snapshot.directory, "/", kSnapshotLocalImage), kMaxDigest);
  snapshot.image = local && is_digest(*local) ? *local : snapshot.record.manifest_digest;
  return snapshot;
}

Result<> note_local_image(const std::string& directory, const std::string& manifest_digest) {
  return write_file_atomic(cat(directory, "/", kSnapshotLocalImage), manifest_digest);
}

std::vector<Snapshot> list_snapshots(const Home& home) {
  auto names = names_in(home.snapshots_dir());
  std::ranges::sort(names);
  std::vector<Snapshot> snapshots;
  for (const auto& name : names) {
    auto found = find_snapshot(home, name);
    if (found && *found) snapshots.push_back(std::move(**found));
  }
  return snapshots;
}

}  // namespace msb::state
