#include "vmm/boot.h"

#include <array>

#include "base/units.h"

namespace msb::vmm {
namespace {

constexpr std::string_view kMoreMemory = "give it more memory: --memory 256M";
// With less, the kernel may die before it can say why.
constexpr uint32_t kSmallMemoryMib = 128;

std::string stage_or_other(std::string_view stage) {
  constexpr std::array<std::string_view, 5> kStages{"config", "image", "build_vm", "mount", "agent"};
  for (auto known : kStages)
    if (stage == known) return std::string(stage);
  return "other";
}

std::string first_hint(const Error& error) {
  return error.hints().empty() ? "" : error.hints().front();
}

}  // namespace

Result<Bytes> bootstrap_frame(const state::LaunchConfig& config, const Network* network, uint64_t unix_time_nanos) {
  auto message = wire::decode<wire::Bootstrap>(config.bootstrap);
  if (!message)
    return fail(std::move(message).error().as(ErrorKind::invalid_config).context("read the boot configuration"));
  message->unix_time_nanos = unix_time_nanos;
  if (network && message->network) message->network->mtu = network->mtu();
  return wire::make_frame(0, 0, *message);
}

std::optional<BootProblem> judge_boot_frame(ByteView raw) {
  auto envelope = wire::open_envelope(wire::frame_body(raw));
  if (!envelope) return BootProblem{"agent", cat("the agent sent nonsense: ", envelope.error().message()), "", 0};
  if (wire::frame_id(raw) == 0 && envelope->type == wire::Ready::kType) {
    if (auto ready = wire::decode<wire::Ready>(envelope->payload); !ready)
      return BootProblem{"agent", cat("the agent sent nonsense: ", ready.error().message()), "", 0};
    return std::nullopt;
  }
  if (envelope->type == wire::BootFailed::kType) {
    if (auto failed = wire::decode<wire::BootFailed>(envelope->payload)) {
      BootProblem problem{stage_or_other(failed->stage), failed->message.substr(0, 4096), "", failed->errnum};
      if (failed->errnum == ENOMEM) problem.hint = kMoreMemory;
      return problem;
    }
  }
  return BootProblem{"agent", cat("the agent sent '", envelope->type.substr(0, 64), "' instead of core.ready"), "", 0};
}

BootProblem judge_build_error(const Error& error) {
  std::string stage = "build_vm";
  if (error.kind() == ErrorKind::invalid_config) stage = "config";
  if (error.kind() == ErrorKind::network_policy) stage = "network";
  return {std::move(stage), error.to_string(), first_hint(error), error.errnum()};
}

BootProblem judge_boot_end(const MachineEnd& end, const Console& console, uint32_t memory_mib) {
  BootProblem problem{"other", "", "", 0};
  if (console.out_of_memory()) {
    problem.message = cat("the guest ran out of memory while it booted, with ", memory_mib, " MiB");
    problem.hint = kMoreMemory;
    return problem;
  }
  if (console.panicked()) {
    problem.message = cat("the guest's kernel panicked: ", console.panic_line());
    if (console.panic_line().find("Unable to mount root") != std::string::npos) problem.stage = "mount";
    if (memory_mib < kSmallMemoryMib) problem.hint = kMoreMemory;
    return problem;
  }
  switch (end.cause) {
    case MachineEnd::Cause::failed:
      return {"build_vm", end.message, end.hint, 0};
    case MachineEnd::Cause::killed:
      return {"build_vm", end.message, end.hint, 0};
    case MachineEnd::Cause::requested:
      problem.message = "the sandbox was stopped while it booted";
      return problem;
    case MachineEnd::Cause::guest:
      break;
  }
  problem.message = "the guest ended before its agent was ready";
  if (memory_mib < kSmallMemoryMib) {
    problem.message += cat("; it had ", memory_mib, " MiB of memory");
    problem.hint = kMoreMemory;
  }
  return problem;
}

BootProblem judge_deadline(const Console& console, uint64_t deadline_ms) {
  BootProblem problem{
      "agent", cat("the guest's agent did not answer within ", format_duration(std::chrono::milliseconds(deadline_ms))),
      "the host may be overloaded: try again, or give the sandbox fewer CPUs", 0};
  if (console.out_of_memory()) problem.hint = kMoreMemory;
  return problem;
}

state::StartupReport failure_report(const BootProblem& problem, std::vector<std::string> kernel_lines) {
  state::StartupReport report;
  report.stage = problem.stage;
  report.message = problem.message;
  report.hint = problem.hint;
  report.errnum = problem.errnum;
  report.kernel_lines = std::move(kernel_lines);
  return report;
}

}  // namespace msb::vmm
