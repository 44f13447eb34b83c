// SandboxConfig: everything that can be said about a sandbox before it starts.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <microsandbox/exec.h>
#include <microsandbox/mount.h>
#include <microsandbox/network.h>
#include <microsandbox/patch.h>

namespace msb {

enum class PullPolicy { always, if_missing, never };
enum class MachineChoice { automatic, kvm, portable };
// The least that is accepted. process: the fence alone, which the portable machine has; hardware: the processor's
// virtualisation too, so never the portable machine.
enum class Isolation { process, hardware };

// Where the root file system comes from.
struct ImageSource {
  enum class Kind { oci, directory, disk };
  Kind kind = Kind::oci;
  std::string reference = {};             // oci: "python:3.12"; else a host path
  std::optional<DiskFormat> format = {};  // disk: by extension when absent; contents are never sniffed
  std::string fstype = {};                // disk: empty = the guest tries those it knows

  // "./x", "../x", "/x", "~/x" and "." are paths: a directory, or a disk image by its extension
  // (.raw .img .qcow2). Everything else is an OCI reference. "PATH:format=raw,fstype=ext4" is a disk.
  MSB_API static Result<ImageSource> parse(std::string_view text);
};

// Where the root file system is written to. The root of a disk image is that disk itself.
struct RootDisk {
  enum class Kind {
    managed,  // over the image, a sparse ext4 disk of the sandbox's own
    tmpfs,    // over the image, in the guest's memory: gone when it stops
    flat,  // no layers: a sparse ext4 disk of the sandbox's own, to which the guest copies the image at its first start
    disk,  // over the image, a disk of the user's with a file system; written in place, by one sandbox at a time
  };
  // How an empty disk comes out of its template: sharing its blocks where the host's file system can, or not, or
  // else not at all.
  enum class Clone { automatic, copy, reflink };
  Kind kind = Kind::managed;
  uint32_t size_mib = 4096;               // tmpfs: 0 = half of the memory; disk: nothing
  std::string source = {};                // disk: host path
  std::optional<DiskFormat> format = {};  // disk: by extension when absent; contents are never sniffed
  std::string fstype = {};                // disk: empty = the guest tries those it knows
  Clone clone = Clone::automatic;         // flat

  // "8G", "tmpfs", "tmpfs:512M", "flat", "flat:8G,clone=reflink", "./disk.qcow2", "./disk:format=raw,fstype=ext4".
  MSB_API static Result<RootDisk> parse(std::string_view text);
};

// A program at /.msb/scripts, which is in the PATH of all that runs in the sandbox: `sandbox->exec("setup")`. It
// belongs to root, 0755, and cannot be changed by the guest. 16 MiB in all.
struct Script {
  std::string name = {};  // no '/'
  std::string text = {};  // executed as it is: begin it with "#!/bin/sh\n". Kept in the sandbox's files only
};

struct RegistryAuth {
  std::string username = {};
  std::string password = {};
};

// How to reach registries, for one call; $MSB_HOME/config.json has the standing settings.
struct RegistryOptions {
  std::optional<RegistryAuth> auth = {};
  bool insecure = false;                        // plain HTTP and unverified TLS for this pull's registry
  std::vector<std::string> ca_cert_files = {};  // PEM files trusted in addition
};

struct SandboxConfig {
  std::string name = {};  // 1-128 of [A-Za-z0-9._-], first alphanumeric; empty = generated
  ImageSource image = {};
  // A snapshot to begin from, instead of an image: its name, or the path of its directory. It brings the root disk.
  std::string from_snapshot = {};
  uint32_t cpus = 1;  // 1..32
  uint32_t memory_mib = 512;
  std::vector<std::pair<std::string, std::string>> env = {};
  std::string workdir = {};                                 // empty = the image's
  std::string user = {};                                    // empty = the image's, else root
  std::optional<std::vector<std::string>> entrypoint = {};  // absent = the image's; empty = none
  std::optional<std::vector<std::string>> cmd = {};         // absent = the image's
  std::string hostname = {};                                // empty = the name
  std::string shell = "/bin/sh";
  std::map<std::string, std::string> labels = {};
  std::vector<ResourceLimit> rlimits = {};
  RootDisk root_disk = {};
  std::vector<Mount> mounts = {};
  std::vector<Script> scripts = {};
  NetworkConfig network = {};
  std::vector<Patch> patches = {};  // of OCI images and directories, in this order
  PullPolicy pull_policy = PullPolicy::if_missing;
  RegistryOptions registry = {};
  MachineChoice machine = MachineChoice::automatic;
  Isolation isolation = Isolation::process;
  std::optional<std::chrono::milliseconds> max_duration = {};
  std::optional<std::chrono::milliseconds> idle_timeout = {};
  bool ephemeral = false;  // removed when it stops
  bool detached = false;   // outlives the process that created it
  // Replaces a sandbox of that name: TERM, this grace, then KILL (0 = KILL at once). Absent = an existing
  // name is ErrorKind::sandbox_already_exists.
  std::optional<std::chrono::milliseconds> replace_grace = {};
  // Runs a command as soon as the guest is up, inside the sandbox process, so that it outlives the creator; the
  // sandbox stops when it exits. The words replace the image's CMD and follow its entrypoint; empty words mean
  // the image's own command (nothing, when it has none).
  std::optional<std::vector<std::string>> startup_command = {};
  // The sandbox lives on when the startup command exits with 0 (an image's default command may be a shell
  // or interpreter that ends at once without input); any other exit still stops it.
  bool keep_after_startup_success = false;
};

// Checks everything that can be checked without touching the disk or the network.
MSB_API Result<> validate(const SandboxConfig& config);
MSB_API Result<> validate_sandbox_name(std::string_view name);
MSB_API std::string generate_sandbox_name();  // "msb-" and 8 hex digits

}  // namespace msb
