// Snapshot: the disk of a stopped sandbox, kept to begin others from.
//
//   sandbox.stop();
//   msb::Snapshot::create({.name = "ready", .sandbox = "setup"});
//   config.from_snapshot = "ready";                     // instead of an image
//   msb::Snapshot::save("ready", "ready.tar.zst", {.with_image = true});   // to another host
//
// A snapshot has what the sandbox wrote, and names the image beneath by its digest. Its id is the SHA-256 of its
// description, which has the digests of its contents when they were computed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <microsandbox/export.h>
#include <microsandbox/result.h>

namespace msb {

struct SnapshotConfig {
  std::string name = {};      // as a sandbox's
  std::string sandbox = {};   // whose disk; it must not run
  std::string dest_dir = {};  // a directory to keep it in; empty: the home's
  std::map<std::string, std::string> labels = {};
  bool force = false;      // replaces a snapshot of that name
  bool integrity = false;  // computes digests of the contents, for verify()
};

struct SnapshotInfo {
  std::string name;
  std::string id;    // "sha256:..."
  std::string path;  // its directory on this host
  std::string image;
  std::string manifest_digest;  // empty for a directory
  std::string source_sandbox;
  std::string parent;            // id of the snapshot that the sandbox began from; empty: none
  std::string root_disk;         // "managed", "flat"
  uint64_t size_bytes = 0;       // of its disks, as the guest sees them
  uint64_t allocated_bytes = 0;  // on the host
  bool has_integrity = false;
  std::map<std::string, std::string> labels;
  int64_t created_at_ms = 0;  // Unix time
};

struct SnapshotSaveOptions {
  bool with_parents = false;  // those that are still there
  bool with_image = false;    // for hosts that cannot pull it
  bool plain_tar = false;     // not compressed
};

class MSB_API Snapshot {
 public:
  // Failures: sandbox_not_found, sandbox_still_running, snapshot_already_exists, unsupported (nothing of it is on disk,
  // or the disk is the user's own).
  static Result<SnapshotInfo> create(const SnapshotConfig& config);
  // By name, or by the path of its directory when there is a '/' in it. ErrorKind::snapshot_not_found.
  static Result<SnapshotInfo> get(const std::string& name);
  static Result<std::vector<SnapshotInfo>> list();  // newest first
  // Whether its files are there and whole, and have the digests it was made with. ErrorKind::snapshot_integrity.
  static Result<SnapshotInfo> verify(const std::string& name);
  // Sandboxes made from it stay as they are.
  static Result<> remove(const std::string& name);
  // Writes an archive, which appears under its name when it is complete; "-" for stdout.
  static Result<> save(const std::string& name, const std::string& path, const SnapshotSaveOptions& options = {});
  // Reads an archive of save(), "-" for stdin. Returns the snapshots that are new; the first is the one that was saved.
  // Failures: snapshot_already_exists (another of that name), corrupt.
  static Result<std::vector<SnapshotInfo>> load(const std::string& path);
};

}  // namespace msb
