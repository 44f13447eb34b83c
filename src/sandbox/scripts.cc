#include "sandbox/scripts.h"

#include <unistd.h>

#include <ctime>
#include <set>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/units.h"
#include "disk/erofs_format.h"
#include "disk/erofs_writer.h"
#include "sandbox/mounts.h"

namespace msb {
namespace {

constexpr uint64_t kMaxBytes = 16 * kMiB;
constexpr size_t kMaxName = disk::erofs::kNameMax;

tl::unexpected<Error> invalid(std::string message, std::string hint) {
  return fail(Error(ErrorKind::invalid_config, std::move(message)).hint(std::move(hint)));
}

Result<> write_image(const std::vector<Script>& scripts, int output) {
  const int64_t now = ::time(nullptr);
  disk::ErofsTree tree;
  disk::ErofsWriter writer(output);
  tree.inode(disk::ErofsTree::kRoot).mtime = now;
  for (const auto& script : scripts) {
    disk::InodeId id = tree.create(S_IFREG | 0755);
    disk::Inode& inode = tree.inode(id);
    inode.mtime = now;
    inode.size = script.text.size();
    MSB_TRY(inode.block, writer.next_block());
    MSB_CHECK(writer.append(as_bytes(script.text)));
    MSB_CHECK(writer.pad());
    tree.set(disk::ErofsTree::kRoot, script.name, id);
  }
  return writer.finish(tree).map([](const auto&) {});
}

}  // namespace

Result<> check_scripts(const std::vector<Script>& scripts) {
  constexpr const char* kHint = "a script's name is a file name, like setup";
  std::set<std::string_view> names;
  uint64_t total = 0;
  for (const auto& [name, text] : scripts) {
    if (name.find('\0') != name.npos) return invalid("a script's name contains a NUL byte", kHint);
    if (name.empty()) return invalid("a script has no name", kHint);
    if (name == "." || name == ".." || name.find('/') != name.npos)
      return invalid(cat("'", name, "' cannot be a script's name"), kHint);
    if (name.size() > kMaxName)
      return invalid(cat("the script's name '", name.substr(0, 40), "...' is longer than 255 bytes"), kHint);
    if (!names.insert(name).second)
      return invalid(cat("two scripts are named '", name, "'"), "give each a name of its own");
    total += text.size();
  }
  if (total <= kMaxBytes) return {};
  return invalid(cat("the scripts have ", format_size(total), "; ", format_size(kMaxBytes), " are possible"),
                 "copy larger files with --copy, or mount them");
}

std::string scripts_image(const state::Home& home, const std::string& name) {
  return home.sandbox_dir(name) + "/scripts.erofs";
}

Result<> make_scripts_image(const std::vector<Script>& scripts, const std::string& output) {
  MSB_TRY(Fd file, open_file(output, O_RDWR | O_CREAT | O_TRUNC, 0600));
  Cleanup remove([&] { ::unlink(output.c_str()); });
  MSB_CHECK_CTX(write_image(scripts, file.get()), "write the scripts");
  remove.dismiss();
  return {};
}

void plan_scripts(const state::Home& home, const SandboxConfig& config, state::MachineSpec& machine,
                  wire::Bootstrap& bootstrap) {
  if (config.scripts.empty()) return;
  wire::MountSpec mount;
  mount.kind = "disk";
  mount.target = kScriptsPath;
  mount.device = next_device(machine.disks);
  mount.fstype = "erofs";
  mount.read_only = mount.nosuid = mount.nodev = true;
  machine.disks.push_back(
      {.format = state::DiskSpec::Format::raw, .files = {scripts_image(home, config.name)}, .read_only = true});
  // Last: nothing that the user mounts hides it.
  bootstrap.mounts.push_back(std::move(mount));
  constexpr std::string_view kPath = "PATH=";
  for (auto& entry : bootstrap.env)
    if (entry.starts_with(kPath))
      entry = cat(kPath, kScriptsPath, entry.size() > kPath.size() ? ":" : "", entry.substr(kPath.size()));
}

}  // namespace msb
