#include "kvm/probe.h"
#include "state/home.h"
#include "state/runtime_files.h"
#include "vmm/kvm.h"
#include "vmm/machine.h"
#include "vmm/portable.h"

namespace msb::vmm {
namespace {

enum class Choice { kvm, portable };

Result<Choice> choose(const state::Home& home, const std::string& wish, const state::RuntimeFiles& files) {
  if (wish == "portable") return Choice::portable;
  if (wish != "auto" && wish != "kvm")
    return fail(ErrorKind::invalid_config, cat("there is no machine called '", wish, "'"));
  bool must = wish == "kvm";
  if (files.kvm.empty()) {
    if (!must) return Choice::portable;
    return fail(Error(ErrorKind::unsupported, "this build has only the portable machine")
                    .hint("leave --machine away, or say --machine portable"));
  }
  kvm::Verdict verdict = kvm::probe({.cache_file = home.kvm_probe()});
  if (verdict.works()) return Choice::kvm;
  if (must) return fail(verdict.to_error());
  return Choice::portable;
}

}  // namespace

Result<std::unique_ptr<Machine>> build_machine(Reactor& reactor, const state::LaunchConfig& config,
                                               ExitHandler on_exit) {
  MSB_TRY(auto home, state::Home::at(config.home));
  // Callers that are not msb have no kernel to name: this program carries one.
  state::LaunchConfig complete = config;
  state::RuntimeFiles files;
  bool named = !config.machine.kernel.empty() && !config.machine.initramfs.empty();
  if (!named || config.machine_choice != "portable") {
    // Whoever names a kernel may have nothing else: then there is only the portable machine.
    auto found = state::runtime_files(home);
    if (found)
      files = std::move(*found);
    else if (!named)
      return fail(std::move(found).error());
    if (config.machine.kernel.empty()) complete.machine.kernel = files.kernel;
    if (config.machine.initramfs.empty()) complete.machine.initramfs = files.initramfs;
  }
  MSB_TRY(Choice choice, choose(home, config.machine_choice, files));
  MSB_TRY(auto network,
          Network::prepare(home, complete, choice == Choice::kvm ? net::Frames::with_header : net::Frames::bare));
  auto group = std::make_unique<MachineGroup>(home, config);
  if (choice == Choice::kvm)
    return build_kvm_machine(reactor, complete, files.kvm, std::move(group), std::move(network), std::move(on_exit));
  return build_portable_machine(reactor, complete, std::move(group), std::move(network), std::move(on_exit));
}

}  // namespace msb::vmm
