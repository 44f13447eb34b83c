// Home: the layout of $MSB_HOME. Every path in it has one name here and nowhere else.
// docs/format/home.md tells what each file is.
//
//   MSB_TRY(auto home, state::Home::resolve());
//   MSB_CHECK(home.make_dir(home.layers_dir()));
//
// A value; resolving touches no disk. Directories are made when somebody needs them, mode 0700.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace msb::state {

class Home {
 public:
  // $MSB_HOME when set and not empty, else ~/.microsandbox. Always absolute.
  static Result<Home> resolve();
  // A given directory; relative ones count from the working directory.
  static Result<Home> at(std::string_view path);

  const std::string& path() const { return path_; }
  std::string database() const { return path_ + "/msb.db"; }
  std::string config() const { return path_ + "/config.json"; }
  std::string logs_dir() const { return path_ + "/logs"; }

  // ---- cache: whatever can be made again -------------------------------------------------
  std::string cache_dir() const { return path_ + "/cache"; }
  std::string layers_dir() const { return path_ + "/cache/layers"; }
  // diff id and manifest digest: "sha256:<64 hex>" or the hex alone.
  std::string layer(std::string_view diff_id) const;
  std::string images_dir() const { return path_ + "/cache/images"; }
  std::string image_dir(std::string_view manifest_digest) const;
  std::string image_tree(std::string_view manifest_digest) const;
  std::string image_manifest(std::string_view manifest_digest) const;
  std::string image_config(std::string_view manifest_digest) const;
  std::string tmp_dir() const { return path_ + "/cache/tmp"; }
  std::string locks_dir() const { return path_ + "/cache/locks"; }
  std::string lock(std::string_view artifact) const;  // cache/locks/<artifact>.lock
  std::string runtime_dir(std::string_view content_hash) const;
  std::string ext4_dir() const { return path_ + "/cache/ext4"; }
  std::string qemu_probe() const { return path_ + "/cache/qemu.json"; }
  std::string kvm_probe() const { return path_ + "/cache/kvm.verdict"; }

  // ---- one sandbox -----------------------------------------------------------------------
  // Sandboxes on their way out; see state/trash.h.
  std::string trash_dir() const { return path_ + "/trash"; }
  std::string sandboxes_dir() const { return path_ + "/sandboxes"; }
  std::string sandbox_dir(std::string_view name) const;
  std::string upper(std::string_view name) const { return sandbox_dir(name) + "/upper.ext4"; }
  std::string boot_error(std::string_view name) const { return sandbox_dir(name) + "/boot-error.json"; }
  std::string sandbox_logs_dir(std::string_view name) const { return sandbox_dir(name) + "/logs"; }
  std::string exec_log(std::string_view name) const { return sandbox_logs_dir(name) + "/exec.log"; }
  std::string runtime_log(std::string_view name) const { return sandbox_logs_dir(name) + "/runtime.log"; }
  std::string kernel_log(std::string_view name) const { return sandbox_logs_dir(name) + "/kernel.log"; }
  std::string network_log(std::string_view name) const { return sandbox_logs_dir(name) + "/network.log"; }

  // ---- volumes ---------------------------------------------------------------------------
  std::string volumes_dir() const { return path_ + "/volumes"; }
  std::string volume_dir(std::string_view name) const;
  std::string volume_record(std::string_view name) const { return volume_dir(name) + "/volume.json"; }
  std::string volume_data(std::string_view name) const { return volume_dir(name) + "/data"; }
  std::string volume_disk(std::string_view name) const { return volume_dir(name) + "/disk.raw"; }
  std::string volume_usage(std::string_view name) const { return volume_dir(name) + "/usage"; }

  // ---- snapshots -------------------------------------------------------------------------
  std::string snapshots_dir() const { return path_ + "/snapshots"; }
  std::string snapshot_dir(std::string_view name) const;

  // Sockets and locks are named by a hash, so that a name of 128 bytes fits and directories
  // of sandboxes can be removed while their lock is held.
  std::string run_dir() const { return path_ + "/run"; }
  static std::string run_name(std::string_view name);  // 12 hex digits
  std::string relay_socket(std::string_view name) const { return run_dir() + "/" + run_name(name) + ".sock"; }
  std::string cgroup_trace(std::string_view name) const { return run_dir() + "/" + run_name(name) + ".cgroup"; }
  std::string lifecycle_lock(std::string_view name) const { return run_dir() + "/" + run_name(name) + ".lock"; }

  // Makes a directory of this home and what is above it. The error names the home and says what to do.
  Result<> make_dir(const std::string& directory) const;

 private:
  explicit Home(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace msb::state
