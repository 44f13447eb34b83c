#include "fs/obeyed_names.h"

#include <algorithm>

namespace msb::fs {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

bool begins(std::string_view text, std::string_view with) {
  return text.size() >= with.size() && std::ranges::equal(text.substr(0, with.size()), with, {}, lower);
}

bool is(std::string_view text, std::string_view name) {
  return text.size() == name.size() && begins(text, name);
}

// With its name on file systems that make short ones.
bool is_repository(std::string_view name) {
  return is(name, ".git") || is(name, "git~1");
}

// In the directory of a repository.
bool is_obeyed_by_git(std::string_view name) {
  return begins(name, "config") || is(name, "commondir") || is(name, "hooks") || is(name, "modules") ||
         is(name, "worktrees");
}

bool is_obeyed_by_itself(std::string_view name) {
  return is(name, ".husky") || is(name, ".vscode") || is(name, ".idea") || is(name, ".envrc") || is(name, ".mcp.json");
}

}  // namespace

bool is_obeyed(std::string_view path) {
  bool in_repository = false;
  while (true) {
    const std::string_view name = path.substr(0, path.find('/'));
    const bool last = name.size() == path.size();
    if (is_obeyed_by_itself(name) || (in_repository && is_obeyed_by_git(name))) return true;
    in_repository = is_repository(name);
    if (last) return in_repository;
    path.remove_prefix(name.size() + 1);
  }
}

}  // namespace msb::fs
