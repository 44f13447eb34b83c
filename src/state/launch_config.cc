#include "state/launch_config.h"

#include <nlohmann/json.hpp>

#include "state/network_json.h"
#include "state/strict_json.h"

namespace msb::state {
namespace {

using nlohmann::json;

constexpr const char* kFormats[] = {"raw", "qcow2", "concat"};

json disk_to_json(const DiskSpec& disk) {
  return {{"format", kFormats[static_cast<int>(disk.format)]},
          {"files", disk.files},
          {"read_only", disk.read_only},
          {"scratch", disk.scratch}};
}

DiskSpec disk_from_json(const json& value) {
  StrictReader in(value);
  DiskSpec disk;
  disk.format = enum_named<DiskSpec::Format>(kFormats, in.get<std::string>("format"), "a disk's format");
  disk.files = in.get<std::vector<std::string>>("files");
  disk.read_only = in.get<bool>("read_only");
  disk.scratch = in.get<bool>("scratch");
  in.finish();
  return disk;
}

constexpr const char* kOwnerships[] = {"strict", "relaxed", "host"};
constexpr const char* kHostModes[] = {"private", "mirror"};

json share_to_json(const ShareSpec& share) {
  return {{"name", share.name},
          {"path", share.path},
          {"only", share.only},
          {"read_only", share.read_only},
          {"ownership", kOwnerships[static_cast<int>(share.ownership)]},
          {"host_modes", kHostModes[static_cast<int>(share.host_modes)]},
          {"quota_bytes", share.quota_bytes},
          {"usage", share.usage},
          {"protect_hooks", share.protect_hooks}};
}

ShareSpec share_from_json(const json& value) {
  StrictReader in(value);
  ShareSpec share;
  share.name = in.get<std::string>("name");
  share.path = in.get<std::string>("path");
  share.only = in.get<std::string>("only");
  share.read_only = in.get<bool>("read_only");
  share.ownership =
      enum_named<ShareSpec::Ownership>(kOwnerships, in.get<std::string>("ownership"), "a share's ownership");
  share.host_modes = enum_named<ShareSpec::HostModes>(kHostModes, in.get<std::string>("host_modes"), "a share's modes");
  share.quota_bytes = in.get<uint64_t>("quota_bytes");
  share.usage = in.get<std::string>("usage");
  share.protect_hooks = in.get<bool>("protect_hooks");
  in.finish();
  return share;
}

json machine_to_json(const MachineSpec& machine) {
  json disks = json::array();
  for (const auto& disk : machine.disks) disks.push_back(disk_to_json(disk));
  json shares = json::array();
  for (const auto& share : machine.shares) shares.push_back(share_to_json(share));
  return {{"vcpus", machine.vcpus},
          {"memory_mib", machine.memory_mib},
          {"kernel", machine.kernel},
          {"initramfs", machine.initramfs},
          {"disks", disks},
          {"shares", shares},
          {"network", machine.network ? network_spec_to_json(*machine.network) : json()}};
}

MachineSpec machine_from_json(const json& value) {
  StrictReader in(value);
  MachineSpec machine;
  machine.vcpus = in.get<uint32_t>("vcpus");
  machine.memory_mib = in.get<uint32_t>("memory_mib");
  machine.kernel = in.get<std::string>("kernel");
  machine.initramfs = in.get<std::string>("initramfs");
  for (const auto& disk : in.get<json>("disks")) machine.disks.push_back(disk_from_json(disk));
  for (const auto& share : in.get<json>("shares")) machine.shares.push_back(share_from_json(share));
  if (const json network = in.get<json>("network"); !network.is_null())
    machine.network = network_spec_from_json(network);
  in.finish();
  return machine;
}

}  // namespace

std::string LaunchConfig::to_json() const {
  json out = {{"name", name},
              {"id", id},
              {"home", home},
              {"machine", machine_to_json(machine)},
              {"machine_choice", machine_choice},
              {"bootstrap", bootstrap},
              {"startup", nullptr},
              {"attached", attached},
              {"ephemeral", ephemeral},
              {"max_duration_ms", max_duration_ms},
              {"idle_timeout_ms", idle_timeout_ms},
              {"boot_deadline_ms", boot_deadline_ms}};
  if (startup) out["startup"] = {{"argv", startup->argv}, {"keep_after_success", startup->keep_after_success}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<LaunchConfig> LaunchConfig::from_json(const std::string& text) try {
  json value = json::parse(text);
  StrictReader in(value);
  LaunchConfig config;
  config.name = in.get<std::string>("name");
  config.id = in.get<std::string>("id");
  config.home = in.get<std::string>("home");
  config.machine = machine_from_json(in.get<json>("machine"));
  config.machine_choice = in.get<std::string>("machine_choice");
  for (auto byte : in.get<std::vector<int>>("bootstrap")) {
    if (!std::in_range<uint8_t>(byte)) throw std::runtime_error("'bootstrap' has something that is not a byte");
    config.bootstrap.push_back(static_cast<uint8_t>(byte));
  }
  if (json startup = in.get<json>("startup"); !startup.is_null()) {
    StrictReader command(startup);
    config.startup = StartupCommand{.argv = command.get<std::vector<std::string>>("argv"),
                                    .keep_after_success = command.get<bool>("keep_after_success")};
    command.finish();
  }
  config.attached = in.get<bool>("attached");
  config.ephemeral = in.get<bool>("ephemeral");
  config.max_duration_ms = in.get<uint64_t>("max_duration_ms");
  config.idle_timeout_ms = in.get<uint64_t>("idle_timeout_ms");
  config.boot_deadline_ms = in.get<uint64_t>("boot_deadline_ms");
  in.finish();
  return config;
} catch (const std::exception& exception) {
  return fail(ErrorKind::invalid_config, cat("the launch configuration cannot be used: ", exception.what()));
}

std::string StartupReport::to_json() const {
  json out = {{"ready", ready},     {"machine", machine}, {"isolation", isolation}, {"stage", stage},
              {"message", message}, {"hint", hint},       {"errno", errnum},        {"kernel_lines", kernel_lines}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<StartupReport> StartupReport::from_json(const std::string& text) try {
  json value = json::parse(text);
  StrictReader in(value);
  StartupReport report;
  report.ready = in.get<bool>("ready");
  report.machine = in.get<std::string>("machine");
  report.isolation = in.get<std::string>("isolation");
  report.stage = in.get<std::string>("stage");
  report.message = in.get<std::string>("message");
  report.hint = in.get<std::string>("hint");
  report.errnum = in.get<int>("errno");
  report.kernel_lines = in.get<std::vector<std::string>>("kernel_lines");
  in.finish();
  return report;
} catch (const std::exception& exception) {
  return fail(ErrorKind::runtime,
              cat("the sandbox process sent a startup report that cannot be read: ", exception.what()));
}

}  // namespace msb::state
