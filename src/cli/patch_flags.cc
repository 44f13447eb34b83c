#include "cli/patch_flags.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "base/cat.h"

namespace msb::cli {
namespace {

// SOURCE:TARGET, parted at the first ":/": targets are absolute.
Result<std::pair<std::string, std::string>> parse_pair(const std::string& text) {
  const size_t colon = text.find(":/");
  if (colon == 0 || colon == text.npos)
    return fail(Error(ErrorKind::invalid_config, cat("'", text, "' does not say what is copied where"))
                    .hint("write SOURCE:/TARGET, for example ./app.conf:/etc/app.conf"));
  return std::pair(text.substr(0, colon), text.substr(colon + 1));
}

Result<Patch> parse_copy_file(const std::string& text) {
  MSB_TRY(auto pair, parse_pair(text));
  return Patch::copy_file(pair.first, pair.second);
}

Result<Patch> parse_copy_dir(const std::string& text) {
  MSB_TRY(auto pair, parse_pair(text));
  return Patch::copy_dir(pair.first, pair.second);
}

Result<Patch> parse_copy(const std::string& text) {
  MSB_TRY(auto pair, parse_pair(text));
  struct stat status{};
  // What is not there is told when the sandbox is made.
  const bool directory = ::stat(pair.first.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  return directory ? Patch::copy_dir(pair.first, pair.second) : Patch::copy_file(pair.first, pair.second);
}

Result<Patch> parse_mkdir(const std::string& path) {
  return Patch::mkdir(path);
}

Result<Patch> parse_remove(const std::string& path) {
  return Patch::remove(path);
}

}  // namespace

void PatchFlags::add(CLI::App& command, const std::string& name, const std::string& description, Parse parse) {
  Flag& flag = flags_.emplace_back(Flag{parse});
  flag.option = add_repeatable(command, name, flag.values, description);
}

void PatchFlags::add_to(CLI::App& command) {
  command_ = &command;
  add(command, "--copy", "SOURCE:TARGET: a file or directory of this host, into the root", parse_copy);
  add(command, "--copy-file", "SOURCE:TARGET: a file", parse_copy_file);
  add(command, "--copy-dir", "SOURCE:TARGET: a directory", parse_copy_dir);
  add(command, "--mkdir", "PATH: a directory in the root", parse_mkdir);
  add(command, "--rm", "PATH: removed from the root", parse_remove);
}

Result<std::vector<Patch>> PatchFlags::patches() const {
  std::vector<Patch> patches;
  std::map<const CLI::Option*, size_t> taken;
  for (const CLI::Option* option : command_->parse_order()) {
    auto flag = std::ranges::find(flags_, option, &Flag::option);
    if (flag == flags_.end()) continue;
    MSB_TRY(auto patch, flag->parse(flag->values.at(taken[option]++)));
    patches.push_back(std::move(patch));
  }
  return patches;
}

}  // namespace msb::cli
