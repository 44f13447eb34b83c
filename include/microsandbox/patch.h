// Patch: a change to a sandbox's root file system, made before it boots.
//
//   config.patches = {
//       msb::Patch::text("/etc/greeting.txt", "Hello!\n"),
//       msb::Patch::mkdir("/app", {.mode = 0755}),
//       msb::Patch::copy_dir("./scripts", "/app/scripts"),
//       msb::Patch::append("/etc/hosts", "127.0.0.1 myapp.local\n"),
//   };
//
// Patches are made in their order, by the host, on OCI images and directories with any writable layer over them. Paths
// are the guest's, absolute and without ".."; symbolic links of the image are followed as the guest would, but for the
// last component of what is made new or removed. Missing parents are made, root:root 0755. What is new belongs to root.
// What exists already is ErrorKind::path_already_exists unless `replace` is set; a directory never becomes a file, nor
// a file a directory. Everything that is wrong is told by Sandbox::create, and then there is no sandbox.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <microsandbox/export.h>

namespace msb {

struct PatchOptions {
  std::optional<uint32_t> mode = {};  // permission bits; see each patch for what it is when absent
  bool replace = false;               // take the place of what is there
};

struct Patch {
  enum class Kind { text, file, mkdir, append, copy_file, copy_dir, symlink, remove };
  Kind kind = Kind::text;
  std::string path = {};     // in the guest
  std::string content = {};  // text, file, append: bytes; symlink: the target. Kept in the sandbox's files only
  std::string source = {};   // copy_file, copy_dir: host path; read when the sandbox is created
  std::optional<uint32_t> mode = {};
  bool replace = false;

  // A file with this content, 0644.
  MSB_API static Patch text(std::string path, std::string content, PatchOptions options = {});
  MSB_API static Patch file(std::string path, std::string bytes, PatchOptions options = {});
  // A directory, 0755. One that is there is fine, and keeps its mode unless one is given.
  MSB_API static Patch mkdir(std::string path, PatchOptions options = {});
  // More at the end of a file, which must be there; it keeps its owner and mode.
  MSB_API static Patch append(std::string path, std::string content);
  // A file of the host, with its mode.
  MSB_API static Patch copy_file(std::string source, std::string path, PatchOptions options = {});
  // A directory of the host with all that is in it, symbolic links as links. With `replace` it is merged with the
  // directory that is there.
  MSB_API static Patch copy_dir(std::string source, std::string path, bool replace = false);
  // A symbolic link at `path`.
  MSB_API static Patch symlink(std::string target, std::string path, bool replace = false);
  // A file, or a directory with all that is in it, is gone. One that is not there is fine.
  MSB_API static Patch remove(std::string path);
};

}  // namespace msb
