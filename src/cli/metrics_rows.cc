#include "cli/metrics_rows.h"

#include <algorithm>
#include <array>

#include "base/units.h"
#include "cli/invocation.h"

namespace msb::cli {
namespace {

constexpr std::array<size_t, 7> kWidths{12, 7, 9, 19, 21, 21, 6};

std::vector<std::string> padded(std::vector<std::string> cells) {
  for (size_t i = 0; i < cells.size(); ++i) cells[i].resize(std::max(cells[i].size(), kWidths[i]), ' ');
  return cells;
}

std::string decimals(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f", value);
  return text;
}

// Bytes a second between the two looks; counters that go back belong to another run.
std::string rate(const MetricsRow& row, uint64_t SandboxMetrics::* counter) {
  if (!row.now || !row.before || row.now->uptime_ms <= row.before->uptime_ms) return "-";
  const uint64_t now = (*row.now).*counter, before = (*row.before).*counter;
  if (now < before) return "-";
  const double seconds = static_cast<double>(row.now->uptime_ms - row.before->uptime_ms) / 1000;
  return format_size(static_cast<uint64_t>(static_cast<double>(now - before) / seconds));
}

std::string rates(const MetricsRow& row, uint64_t SandboxMetrics::* one, uint64_t SandboxMetrics::* other) {
  return cat(rate(row, one), " / ", rate(row, other));
}

Json or_null(const std::optional<uint64_t>& value) {
  return value ? Json(*value) : Json();
}

}  // namespace

Result<MetricsOrder> parse_metrics_order(std::string_view text) {
  if (text == "name") return MetricsOrder::name;
  if (text == "cpu") return MetricsOrder::cpu;
  if (text == "mem") return MetricsOrder::memory;
  return fail(wrong_usage(cat("unknown order '", text, "'; use name, cpu or mem")));
}

void sort_rows(std::vector<MetricsRow>& rows, MetricsOrder order) {
  auto size = [order](const MetricsRow& row) {
    if (order == MetricsOrder::name) return 0.0;
    if (!row.now) return -1.0;
    return order == MetricsOrder::cpu ? row.now->cpu_percent : static_cast<double>(row.now->memory_bytes);
  };
  auto key = [&](const MetricsRow& row) { return std::pair(-size(row), row.name); };
  std::ranges::sort(rows, {}, key);
}

std::vector<std::string> metrics_header() {
  return padded({"NAME", "STATE", "CPU", "MEM", "DISK R/W /s", "NET RX/TX /s", "UPTIME"});
}

std::vector<std::string> metrics_cells(const MetricsRow& row) {
  if (!row.now) return padded({row.name, std::string(row.state), "-", "-", "-", "-", "-"});
  const SandboxMetrics& now = *row.now;
  return padded({row.name, std::string(row.state), cat(decimals(now.cpu_percent / 100), " / ", row.cpus, "c"),
                 cat(format_size(now.memory_bytes), " / ", format_size(now.memory_limit_bytes)),
                 rates(row, &SandboxMetrics::disk_read_bytes, &SandboxMetrics::disk_write_bytes),
                 now.network ? rates(row, &SandboxMetrics::net_rx_bytes, &SandboxMetrics::net_tx_bytes) : "-",
                 format_duration(std::chrono::milliseconds(now.uptime_ms))});
}

Json metrics_json(const MetricsRow& row) {
  Json json = {{"name", row.name}, {"state", row.state}, {"cpus", row.cpus}};
  if (!row.now) return json;
  const SandboxMetrics& now = *row.now;
  json["timestamp"] = rfc3339(now.timestamp_ms);
  json["cpu_percent"] = now.cpu_percent;
  json["vcpu_time_ns"] = now.vcpu_time_ns;
  json["memory_bytes"] = now.memory_bytes;
  json["memory_available_bytes"] = or_null(now.memory_available_bytes);
  json["memory_host_resident_bytes"] = or_null(now.memory_host_resident_bytes);
  json["memory_limit_bytes"] = now.memory_limit_bytes;
  json["disk_read_bytes"] = now.disk_read_bytes;
  json["disk_write_bytes"] = now.disk_write_bytes;
  json["net_rx_bytes"] = now.net_rx_bytes;
  json["net_tx_bytes"] = now.net_tx_bytes;
  json["upper_used_bytes"] = or_null(now.upper_used_bytes);
  json["upper_free_bytes"] = or_null(now.upper_free_bytes);
  json["upper_host_allocated_bytes"] = or_null(now.upper_host_allocated_bytes);
  json["uptime_secs"] = static_cast<double>(now.uptime_ms) / 1000;
  json["network"] = Json();
  if (const auto& network = now.network)
    json["network"] = {{"rx_frames", network->rx_frames},
                       {"tx_frames", network->tx_frames},
                       {"dropped_frames", network->dropped_frames},
                       {"connections", network->connections},
                       {"denials", network->denials}};
  return json;
}

}  // namespace msb::cli
