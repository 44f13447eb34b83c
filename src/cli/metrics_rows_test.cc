#include "cli/metrics_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace msb::cli {
namespace {

using ::testing::ElementsAre;

SandboxMetrics some() {
  SandboxMetrics metrics;
  metrics.cpu_percent = 80;
  metrics.vcpu_time_ns = 1'600'000'000;
  metrics.memory_bytes = 120 << 20;
  metrics.memory_available_bytes = 360 << 20;
  metrics.memory_limit_bytes = 512 << 20;
  metrics.disk_read_bytes = 3 << 20;
  metrics.disk_write_bytes = 4096;
  metrics.net_rx_bytes = 10'000;
  metrics.net_tx_bytes = 2000;
  metrics.network = NetworkMetrics{.rx_frames = 9, .tx_frames = 8, .dropped_frames = 1, .connections = 2, .denials = 3};
  metrics.uptime_ms = 65'000;
  metrics.timestamp_ms = 1'795'000'000'123;
  return metrics;
}

MetricsRow row(std::string name, std::optional<SandboxMetrics> now = {}) {
  MetricsRow made{.name = std::move(name), .cpus = 2};
  if (now) made.state = "running", made.now = std::move(now);
  return made;
}

std::vector<std::string> trimmed(std::vector<std::string> cells) {
  for (auto& cell : cells) cell.erase(cell.find_last_not_of(' ') + 1);
  return cells;
}

TEST(MetricsRows, rates_are_of_the_time_between_the_looks) {
  MetricsRow web = row("web", some());
  web.before = some();
  web.before->uptime_ms -= 2000;
  web.before->disk_read_bytes -= 2 << 20;
  web.before->net_rx_bytes -= 4096;
  EXPECT_THAT(trimmed(metrics_cells(web)), ElementsAre("web", "running", "0.80 / 2c", "120 MiB / 512 MiB",
                                                       "1.0 MiB / 0 B", "2.0 KiB / 0 B", "1m05s"));
}

TEST(MetricsRows, without_a_look_before_or_with_that_of_another_run_there_are_no_rates) {
  MetricsRow web = row("web", some());
  EXPECT_EQ(trimmed(metrics_cells(web))[4], "- / -");
  web.before = some();
  web.before->uptime_ms += 1;
  EXPECT_EQ(trimmed(metrics_cells(web))[4], "- / -");
  web.before->uptime_ms = 0;
  web.before->disk_read_bytes += 1;
  EXPECT_EQ(trimmed(metrics_cells(web))[4], "- / 0 B");
}

TEST(MetricsRows, a_sandbox_without_a_network_card_has_no_rates_of_one) {
  MetricsRow quiet = row("quiet", some());
  quiet.now->network.reset();
  EXPECT_EQ(trimmed(metrics_cells(quiet))[5], "-");
  EXPECT_TRUE(metrics_json(quiet)["network"].is_null());
}

TEST(MetricsRows, one_that_has_ended_tells_nothing) {
  EXPECT_THAT(trimmed(metrics_cells(row("gone"))), ElementsAre("gone", "exited", "-", "-", "-", "-", "-"));
  EXPECT_EQ(metrics_json(row("gone")).dump(), R"({"name":"gone","state":"exited","cpus":2})");
}

TEST(MetricsRows, cells_of_usual_values_are_as_wide_as_the_header) {
  const auto header = metrics_header(), cells = metrics_cells(row("web", some()));
  ASSERT_EQ(header.size(), cells.size());
  for (size_t i = 0; i < header.size(); ++i) EXPECT_EQ(header[i].size(), cells[i].size()) << header[i];
}

TEST(MetricsRows, json_has_the_names_that_programs_know_and_null_for_what_is_not_known) {
  Json json = metrics_json(row("web", some()));
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_THAT(
      keys, ElementsAre("name", "state", "cpus", "timestamp", "cpu_percent", "vcpu_time_ns", "memory_bytes",
                        "memory_available_bytes", "memory_host_resident_bytes", "memory_limit_bytes", "disk_read_bytes",
                        "disk_write_bytes", "net_rx_bytes", "net_tx_bytes", "upper_used_bytes", "upper_free_bytes",
                        "upper_host_allocated_bytes", "uptime_secs", "network"));
  EXPECT_EQ(json["memory_available_bytes"], 360 << 20);
  EXPECT_TRUE(json["upper_used_bytes"].is_null());
  EXPECT_EQ(json["uptime_secs"], 65.0);
  EXPECT_EQ(json["network"]["denials"], 3);
}

TEST(MetricsRows, are_sorted_by_name_or_the_greatest_first) {
  auto order = [](MetricsOrder by) {
    std::vector<MetricsRow> rows = {row("b", some()), row("c"), row("a", some()), row("d", some())};
    rows[3].now->cpu_percent = 90;
    rows[0].now->memory_bytes = 200 << 20;
    sort_rows(rows, by);
    std::string names;
    for (const auto& sorted : rows) names += sorted.name;
    return names;
  };
  EXPECT_EQ(order(MetricsOrder::name), "abcd");
  EXPECT_EQ(order(MetricsOrder::cpu), "dabc");
  EXPECT_EQ(order(MetricsOrder::memory), "badc");
}

TEST(MetricsRows, an_order_that_is_none_is_refused) {
  EXPECT_EQ(parse_metrics_order("mem"), MetricsOrder::memory);
  EXPECT_FALSE(parse_metrics_order("memory"));
}

}  // namespace
}  // namespace msb::cli
