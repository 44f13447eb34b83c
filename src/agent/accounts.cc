#include "agent/accounts.h"

#include <algorithm>

#include "agent/text.h"
#include "base/fd.h"

namespace msb::agent {
namespace {

// Larger files are nobody's account list.
constexpr size_t kMaxFile = size_t{4} << 20;

struct User {
  std::string_view name;
  uid_t uid;
  gid_t gid;
  std::string_view home;
};

// name:password:uid:gid:comment:home:shell
std::optional<User> parse_user(std::string_view line) {
  auto fields = split(line, ':');
  if (fields.size() < 4 || fields[0].empty()) return std::nullopt;
  auto uid = parse_number<uid_t>(fields[2]);
  auto gid = parse_number<gid_t>(fields[3]);
  if (!uid || !gid) return std::nullopt;
  return User{fields[0], *uid, *gid, fields.size() > 5 ? fields[5] : std::string_view()};
}

struct Group {
  std::string_view name;
  gid_t gid;
  std::vector<std::string_view> members;
};

// name:password:gid:member,member
std::optional<Group> parse_group(std::string_view line) {
  auto fields = split(line, ':');
  if (fields.size() < 3 || fields[0].empty()) return std::nullopt;
  auto gid = parse_number<gid_t>(fields[2]);
  if (!gid) return std::nullopt;
  return Group{fields[0], *gid, fields.size() > 3 ? split(fields[3], ',') : std::vector<std::string_view>()};
}

std::optional<User> find_user(std::string_view wanted, std::string_view passwd) {
  auto number = parse_number<uid_t>(wanted);
  for (auto line : split(passwd, '\n')) {
    auto user = parse_user(line);
    if (user && (user->name == wanted || (number && user->uid == *number))) return user;
  }
  return std::nullopt;
}

Result<gid_t> find_group(std::string_view wanted, std::string_view file) {
  auto number = parse_number<gid_t>(wanted);
  for (auto line : split(file, '\n')) {
    auto group = parse_group(line);
    if (group && (group->name == wanted || (number && group->gid == *number))) return group->gid;
  }
  if (number) return *number;
  return fail(ErrorKind::invalid_config, cat("there is no group '", wanted, "' in /etc/group"));
}

// A file that only root can have made odd (a fifo, say) must not stop the agent: never block on it.
std::string read_small(const std::string& path) {
  auto fd = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!fd) return {};
  auto bytes = read_all(fd->get(), kMaxFile);
  return bytes ? std::string(as_text(*bytes)) : std::string();
}

}  // namespace

Result<Identity> resolve_user(std::string_view spec, std::string_view passwd, std::string_view group) {
  size_t colon = spec.find(':');
  std::string_view user_part = spec.substr(0, colon);
  std::string_view group_part = colon == std::string_view::npos ? std::string_view() : spec.substr(colon + 1);
  if (user_part.empty()) user_part = "0";

  Identity identity;
  auto user = find_user(user_part, passwd);
  if (user) {
    identity.uid = user->uid;
    identity.gid = user->gid;
    if (!user->home.empty()) identity.home = user->home;
  } else if (auto number = parse_number<uid_t>(user_part)) {
    identity.uid = *number;
  } else {
    return fail(ErrorKind::invalid_config, cat("there is no user '", user_part, "' in /etc/passwd"));
  }
  // (uid_t)-1 means "leave as it is" to setresuid(2): the process would stay root.
  constexpr auto kUnset = static_cast<uid_t>(-1);
  if (!group_part.empty()) {
    MSB_TRY(identity.gid, find_group(group_part, group));
  }
  if (identity.uid == kUnset || identity.gid == static_cast<gid_t>(-1))
    return fail(ErrorKind::invalid_config, "4294967295 is not a usable user or group id");
  identity.groups = {identity.gid};
  if (!group_part.empty() || !user) return identity;
  for (auto line : split(group, '\n')) {
    auto entry = parse_group(line);
    if (!entry || entry->gid == identity.gid || entry->gid == static_cast<gid_t>(-1)) continue;
    if (std::find(entry->members.begin(), entry->members.end(), user->name) != entry->members.end())
      identity.groups.push_back(entry->gid);
  }
  return identity;
}

Result<Identity> lookup_user(std::string_view spec, const std::string& etc) {
  return resolve_user(spec, read_small(etc + "/passwd"), read_small(etc + "/group"));
}

}  // namespace msb::agent
