#include "agent/limits.h"

namespace msb::agent {
namespace {

struct Name {
  std::string_view name;
  int resource;
};
constexpr Name kNames[] = {
    {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},       {"fsize", RLIMIT_FSIZE},       {"locks", RLIMIT_LOCKS},
    {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
    {"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},       {"rss", RLIMIT_RSS},
    {"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK},
};

}  // namespace

Result<std::vector<Limit>> parse_limits(const std::vector<wire::Rlimit>& wanted) {
  std::vector<Limit> limits;
  for (const auto& entry : wanted) {
    const Name* known = nullptr;
    for (const auto& name : kNames) {
      if (name.name == entry.resource) known = &name;
    }
    if (!known) return fail(ErrorKind::invalid_config, cat("there is no resource limit '", entry.resource, "'"));
    if (entry.soft > entry.hard)
      return fail(ErrorKind::invalid_config, cat("resource limit ", entry.resource, ": the soft limit ", entry.soft,
                                                 " is above the hard limit ", entry.hard));
    limits.push_back({known->resource, {entry.soft, entry.hard}});
  }
  return limits;
}

}  // namespace msb::agent
