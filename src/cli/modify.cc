// msb modify: changes a sandbox that is not running.
#include <microsandbox/sandbox.h>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace msb::cli {
namespace {

struct ModifyCommand {
  std::string name;
  std::string root_disk;
  bool quiet = false;

  Result<int> run() const {
    MSB_CHECK(usage(validate_sandbox_name(name)));
    if (root_disk.empty())
      return fail(wrong_usage("nothing to change is named").hint("--root-disk SIZE makes the root disk larger"));
    SandboxChanges changes;
    MSB_TRY(changes.root_disk_mib, usage(parse_mib(root_disk)));
    MSB_CHECK(Sandbox::modify(name, changes));
    success(quiet ? Quiet::yes : Quiet::no, "Modified", name);
    return 0;
  }
};

}  // namespace

void add_modify(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("modify", "Change a stopped sandbox");
  auto state = std::make_shared<ModifyCommand>();
  command->add_option("NAME", state->name, "The sandbox")->required();
  command->add_option("--root-disk", state->root_disk, "A larger size for its root disk, e.g. 16G");
  command->add_flag("-q,--quiet", state->quiet, "No tick");
  on_run(*command, invocation, [state] { return state->run(); });
}

}  // namespace msb::cli
