#include "sandbox/image_merge.h"

#include <algorithm>

namespace msb {
namespace {

std::string_view key_of(std::string_view entry) {
  return entry.substr(0, entry.find('='));
}

void set_env(std::vector<std::string>& env, std::string entry) {
  auto key = key_of(entry);
  auto same = std::find_if(env.begin(), env.end(), [&](const auto& other) { return key_of(other) == key; });
  if (same == env.end()) {
    env.push_back(std::move(entry));
  } else {
    *same = std::move(entry);
  }
}

}  // namespace

EffectiveConfig merge(const ImageConfig& image, const SandboxConfig& user) {
  EffectiveConfig result;
  for (const auto& entry : image.env) {
    // An image is somebody else's: entries no process could have are left out.
    if (entry.find('=') == std::string::npos || entry.front() == '=' || entry.find('\0') != std::string::npos) continue;
    set_env(result.env, entry);
  }
  for (const auto& [key, value] : user.env) set_env(result.env, cat(key, "=", value));
  bool has_path = std::any_of(result.env.begin(), result.env.end(), [](const auto& e) { return key_of(e) == "PATH"; });
  if (!has_path) result.env.push_back(cat("PATH=", kDefaultPath));
  result.workdir = user.workdir.empty() ? image.working_dir : user.workdir;
  result.user = user.user.empty() ? image.user : user.user;
  result.entrypoint = user.entrypoint.value_or(image.entrypoint);
  // A replaced entrypoint makes the image's command meaningless: it was written as that one's arguments.
  result.cmd = user.cmd                                       ? *user.cmd
               : user.entrypoint && !user.entrypoint->empty() ? std::vector<std::string>()
                                                              : image.cmd;
  result.labels = image.labels;
  for (const auto& [key, value] : user.labels) result.labels[key] = value;
  return result;
}

Result<std::vector<std::string>> resolve_command(const EffectiveConfig& config,
                                                 const std::optional<std::vector<std::string>>& override) {
  std::vector<std::string> argv = config.entrypoint;
  const auto& rest = override ? *override : config.cmd;
  argv.insert(argv.end(), rest.begin(), rest.end());
  if (argv.empty() || argv.front().empty())
    return fail(Error(ErrorKind::no_default_command, "neither the image nor the configuration names a command")
                    .hint("give one, as in `msb run IMAGE -- COMMAND`"));
  return argv;
}

}  // namespace msb
