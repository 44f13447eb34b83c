// msb create: boots a sandbox and leaves it running; runs nothing in it.
#include <microsandbox/sandbox.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/pull_display.h"
#include "cli/sandbox_flags.h"

namespace msb::cli {

void add_create(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("create", "Create a sandbox and boot it");
  auto flags = std::make_shared<SandboxFlags>();
  flags->add_to(*command);
  on_run(*command, invocation, [flags]() -> Result<int> {
    MSB_TRY(auto config, flags->config());
    flags->warn_of(config);
    config.detached = true;
    bool generated = config.name.empty();
    auto started = std::chrono::steady_clock::now();
    auto sandbox = [&] {
      PullDisplay display(flags->quiet());
      return Sandbox::create(std::move(config), display.callback());
    }();
    if (!sandbox) return fail(std::move(sandbox).error());
    sandbox->detach();
    if (generated) print_line(sandbox->name());
    success(flags->quiet(), "Created", sandbox->name(),
            std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started));
    return 0;
  });
}

}  // namespace msb::cli
