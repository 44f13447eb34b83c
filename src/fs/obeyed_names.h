// Names that programs of the host run or obey when somebody merely works in a directory: what a guest that may write a
// checkout would use to have its own code run outside.
//
//   is_obeyed("project/.git/hooks/post-commit")   // true
//
// These are, anywhere in a share and in any case of letters (the host's file system may not tell cases apart):
//
//   .git itself                  made anew, it would bring a configuration of its own; moved away, likewise
//   .git/config*, .git/commondir  settings that name programs (and config.lock, which becomes config)
//   .git/hooks, .git/modules, .git/worktrees   all below: hooks, and submodules with settings and hooks of their own
//   .husky, .vscode, .idea       all below: hooks, and tasks that editors run
//   .envrc, .mcp.json            what shells and assistants run on entering
//
// Everything else below .git stays writable: commits, branches, fetching.
#pragma once

#include <string_view>

namespace msb::fs {

// `path` is relative to the share, with single slashes.
bool is_obeyed(std::string_view path);

}  // namespace msb::fs
