// Accounts: who "USER|UID[:GROUP|GID]" is, by the guest's own /etc/passwd and /etc/group.
// Our own parser: a static binary cannot use the C library's, which loads plugins.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace msb::agent {

struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary; begins with gid
  std::string home = "/";
};

// The rules are those of container runtimes: an empty spec is uid 0; a number need not be in the
// files (then: group 0, home "/"); a name must be. The groups of which the user is a member come
// along, unless the spec names a group. Malformed lines are skipped.
Result<Identity> resolve_user(std::string_view spec, std::string_view passwd, std::string_view group);

// The same with the files of `etc`; a missing file counts as empty.
Result<Identity> lookup_user(std::string_view spec, const std::string& etc = "/etc");

}  // namespace msb::agent
