// What `msb metrics` shows: one row for each sandbox, as cells for people and as an object for programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <microsandbox/sandbox.h>

#include "cli/json_output.h"
#include "cli/output.h"

namespace msb::cli {

struct MetricsRow {
  std::string name;
  uint32_t cpus = 1;
  std::string_view state = "exited";  // "running", "stalled" (it does not answer), "exited"
  std::optional<SandboxMetrics> now = {};
  std::optional<SandboxMetrics> before = {};  // of the look before; without it there are no rates
};

enum class MetricsOrder { name, cpu, memory };
Result<MetricsOrder> parse_metrics_order(std::string_view text);  // "name", "cpu", "mem"

// By name, or the greatest first; who tells nothing comes last.
void sort_rows(std::vector<MetricsRow>& rows, MetricsOrder order);

// NAME ... UPTIME, as wide as usual values are, so that one look stands below the other.
std::vector<std::string> metrics_header();
std::vector<std::string> metrics_cells(const MetricsRow& row);
// What is not known is null. `network` is null where there is no network card.
Json metrics_json(const MetricsRow& row);

}  // namespace msb::cli
