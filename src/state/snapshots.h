// Snapshots on disk: $MSB_HOME/snapshots/NAME/snapshot.json and the files it names. docs/format/snapshot.md.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "state/home.h"

namespace msb::state {

inline constexpr const char* kSnapshotRecord = "snapshot.json";
inline constexpr const char* kSnapshotLocalImage = "local-image";

struct SnapshotFile {
  std::string file;            // beside snapshot.json; in a sandbox's directory it has the same name
  uint64_t size = 0;           // bytes
  std::string integrity = {};  // content_digest(); empty: was not computed
};

struct SnapshotRecord {
  enum class Image { oci, directory };
  enum class Root { managed, flat };
  int64_t created_at_ms = 0;
  std::string parent = {};  // id
  Image image = Image::oci;
  std::string reference = {};
  std::string manifest_digest = {};  // oci
  std::string source_sandbox = {};
  Root root = Root::managed;
  uint32_t root_size_mib = 0;
  bool patched = false;
  std::vector<SnapshotFile> files = {};
  std::map<std::string, std::string> labels = {};
};

// The files that a snapshot of this kind has, by name: neither fewer nor others.
std::vector<std::string> snapshot_file_names(SnapshotRecord::Image image, bool patched);
// The canonical text, whose SHA-256 is the id: keys in order, no spaces.
std::string to_text(const SnapshotRecord& record);
// Trusts nothing: whatever to_text() of a sound record would not have written is ErrorKind::corrupt, and so are other
// files than its kind has, and sizes that disks cannot have.
Result<SnapshotRecord> snapshot_from_text(const std::string& text);
std::string snapshot_id(const std::string& text);

struct Snapshot {
  std::string name;
  std::string id;
  std::string directory;  // absolute
  SnapshotRecord record;
  // The manifest of its image on this host: the record's, or that of the image that came along in an archive, which
  // was made anew and has another digest. Empty for directories.
  std::string image;
};

// By name, or by the path of its directory when there is a '/' in it. Nullopt when there is none. Failures: io,
// corrupt.
Result<std::optional<Snapshot>> find_snapshot(const Home& home, const std::string& name);
// Notes, in a snapshot's directory, the manifest of the image that came along.
Result<> note_local_image(const std::string& directory, const std::string& manifest_digest);
// Sorted by name; damaged ones are left out.
std::vector<Snapshot> list_snapshots(const Home& home);

}  // namespace msb::state
