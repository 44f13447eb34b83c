#include "fence/self_restraint.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "fence/linux_abi.h"

namespace msb::fence {
namespace {

uint64_t rights(PathGrant::Access access, uint64_t known) {
  constexpr uint64_t kRead = abi::kFsReadFile | abi::kFsReadDir;
  constexpr uint64_t kModify = kRead | abi::kFsWriteFile | abi::kFsTruncate;
  constexpr uint64_t kArrange = abi::kFsMakeDir | abi::kFsRemoveDir | abi::kFsRefer;
  constexpr uint64_t kFiles = abi::kFsRemoveFile | abi::kFsMakeRegular;
  switch (access) {
    case PathGrant::Access::read:
      return abi::kFsReadFile;
    case PathGrant::Access::modify:
      return (kModify & ~abi::kFsReadDir) & known;
    case PathGrant::Access::arrange:
      return kArrange & known;
    case PathGrant::Access::prune:
      return abi::kFsRemoveDir;
    case PathGrant::Access::manage:
      return (kModify | kArrange | kFiles | abi::kFsMakeSocket) & known;
    case PathGrant::Access::browse:
      return kRead;
    case PathGrant::Access::serve:
      return (kModify | kArrange | kFiles | abi::kFsMakeSymlink) & known;
  }
  return 0;
}

}  // namespace

Result<WallReport> restrict_paths(const std::vector<PathGrant>& grants, TcpPorts ports) {
  WallReport report{Wall::landlock, false, {}};
  long version = ::syscall(abi::kSysLandlockCreateRuleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) {
    report.reason = "the host's kernel has no Landlock";
    return report;
  }
  // The first version cannot allow moving a file between directories, which removing a sandbox does.
  if (version < 2) {
    report.reason = "the host's kernel has a Landlock too old to be used (Linux 5.19 brings the next)";
    return report;
  }
  const uint64_t known = abi::landlock_fs_rights(version);
  const uint64_t handled = ports == TcpPorts::none ? abi::kNetBindTcp | abi::kNetConnectTcp : 0;
  abi::LandlockRuleset rules{known, handled, abi::kScopeAbstractSocket};
  Fd ruleset(
      static_cast<int>(::syscall(abi::kSysLandlockCreateRuleset, &rules, abi::landlock_ruleset_size(version), 0)));
  if (!ruleset) return fail_errno("make a Landlock ruleset");
  for (const auto& grant : grants) {
    MSB_TRY(Fd at, open_file(grant.path, O_PATH));
    abi::LandlockPathRule rule{rights(grant.access, known), at.get()};
    if (::syscall(abi::kSysLandlockAddRule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
      return fail_errno(cat("allow ", grant.path, " with Landlock"));
  }
  if (::syscall(abi::kSysLandlockRestrictSelf, ruleset.get(), 0) < 0) return fail_errno("restrict with Landlock");
  report.up = true;
  return report;
}

Result<WallReport> restrict_calls(const SeccompFilter& filter) {
  WallReport report{Wall::seccomp, false, {}};
  for (const auto* part : {&filter.arguments, &filter.calls}) {
    if (part->empty()) continue;
    sock_fprog program{static_cast<unsigned short>(part->size()), const_cast<sock_filter*>(part->data())};
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0) {
      if (errno != EINVAL && errno != ENOSYS) return fail_errno("load the seccomp filter");
      report.reason = "the host's kernel has no seccomp filters";
      return report;
    }
  }
  report.up = true;
  return report;
}

}  // namespace msb::fence
