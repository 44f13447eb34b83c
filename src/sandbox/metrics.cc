#include <algorithm>

#include <microsandbox/sandbox.h>

#include "sandbox/lifecycle.h"
#include "sandbox/metrics_probe.h"

namespace msb {
namespace {

// Long enough for a share of a processor that says something, short enough to wait for.
constexpr std::chrono::milliseconds kOneLook{200};
constexpr std::chrono::milliseconds kShortestInterval{100};

Result<SandboxMetrics> look(MetricsProbe& probe) {
  MSB_CHECK(probe.ask());
  return probe.collect();
}

// An interval is time, and nothing else to wait for.
Result<> pass(std::chrono::milliseconds interval) {
  return poll_until({}, deadline_after(interval)).map([](size_t) {});
}

}  // namespace

struct [[gnu::visibility("hidden")]] MetricsWatch::State {
  std::vector<std::string> names;
  std::map<std::string, MetricsProbe> probes;

  Result<std::vector<std::string>> wanted() const {
    if (!names.empty()) return names;
    MSB_TRY(auto all, Sandbox::list());
    std::vector<std::string> running;
    for (const auto& info : all)
      if (info.status == SandboxStatus::running || info.status == SandboxStatus::draining) running.push_back(info.name);
    return running;
  }

  // A connection that is of no more use is made anew, once: the sandbox may have been started again.
  Result<> ask(const std::string& name) {
    if (auto known = probes.find(name); known != probes.end()) {
      if (known->second.ask()) return {};
      probes.erase(known);
    }
    MSB_TRY(auto probe, MetricsProbe::open(name));
    MSB_CHECK(probe.ask());
    probes.emplace(name, std::move(probe));
    return {};
  }

  Result<SandboxMetrics> collect(const std::string& name) {
    auto metrics = probes.at(name).collect();
    if (!metrics) probes.erase(name);
    return metrics;
  }
};

MetricsWatch::MetricsWatch(std::vector<std::string> names) : state_(std::make_unique<State>()) {
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  state_->names = std::move(names);
}
MetricsWatch::~MetricsWatch() = default;
MetricsWatch::MetricsWatch(MetricsWatch&&) noexcept = default;
MetricsWatch& MetricsWatch::operator=(MetricsWatch&&) noexcept = default;

Result<MetricsWatch::Look> MetricsWatch::look() {
  MSB_TRY(auto names, state_->wanted());
  std::erase_if(state_->probes,
                [&](const auto& probe) { return std::ranges::find(names, probe.first) == names.end(); });
  Look look;
  std::vector<std::string> asked;
  for (const auto& name : names) {
    if (auto outcome = state_->ask(name); outcome)
      asked.push_back(name);
    else
      look.emplace(name, fail(std::move(outcome).error()));
  }
  for (const auto& name : asked) look.emplace(name, state_->collect(name));
  return look;
}

Result<SandboxMetrics> Sandbox::metrics(const std::string& name) {
  MSB_TRY(auto probe, MetricsProbe::open(name));
  MSB_CHECK(look(probe));
  MSB_CHECK(probe.wait(deadline_after(kOneLook)));
  return look(probe);
}

Result<> Sandbox::metrics_stream(const std::string& name, std::chrono::milliseconds interval,
                                 const std::function<bool(const SandboxMetrics&)>& deliver) {
  if (interval < kShortestInterval)
    return fail(ErrorKind::invalid_config,
                cat("an interval of metrics has at least ", kShortestInterval.count(), "ms"));
  MSB_TRY(auto probe, MetricsProbe::open(name));
  auto next = Clock::now();
  while (true) {
    auto metrics = look(probe);
    if (!metrics) {
      MSB_TRY(bool gone, probe.wait(Clock::now()));
      return gone ? Result<>() : fail(std::move(metrics).error());
    }
    if (!deliver(*metrics)) return {};
    next = std::max(next + interval, Clock::now());
    MSB_TRY(bool ended, probe.wait(next));
    if (ended) return {};
  }
}

Result<std::map<std::string, SandboxMetrics>> all_sandbox_metrics() {
  MetricsWatch watch;
  MSB_CHECK(watch.look());
  MSB_CHECK(pass(kOneLook));
  MSB_TRY(auto look, watch.look());
  std::map<std::string, SandboxMetrics> all;
  for (const auto& [name, metrics] : look)
    if (metrics) all.emplace(name, *metrics);
  return all;
}

}  // namespace msb
