#include "state/home.h"
#include "state/runtime_files.h"
#include "vmm/machine.h"
#include "vmm/portable.h"

namespace msb::vmm {

Result<std::unique_ptr<Machine>> build_machine(Reactor& reactor, const state::LaunchConfig& config,
                                               ExitHandler on_exit) {
  if (config.machine_choice == "kvm")
    return fail(Error(ErrorKind::unsupported, "this build has only the portable machine")
                    .hint("leave --machine away, or say --machine portable"));
  if (config.machine_choice != "auto" && config.machine_choice != "portable")
    return fail(ErrorKind::invalid_config, cat("there is no machine called '", config.machine_choice, "'"));
  // Callers that are not msb have no kernel to name: this program carries one.
  state::LaunchConfig complete = config;
  if (config.machine.kernel.empty() || config.machine.initramfs.empty()) {
    MSB_TRY(auto home, state::Home::at(config.home));
    MSB_TRY(auto files, state::runtime_files(home));
    if (config.machine.kernel.empty()) complete.machine.kernel = files.kernel;
    if (config.machine.initramfs.empty()) complete.machine.initramfs = files.initramfs;
  }
  return build_portable_machine(reactor, complete, std::move(on_exit));
}

}  // namespace msb::vmm
