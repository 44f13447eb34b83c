#include "qemu/discovery_cache.h"

#include <nlohmann/json.hpp>

#include "base/fd.h"

namespace msb::qemu {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;

json stamp_json(const FileStamp& stamp) {
  return json::array({stamp.path, stamp.size, stamp.mtime_ns, stamp.inode});
}

FileStamp stamp_from(const json& value) {
  return {value.at(0).get<std::string>(), value.at(1).get<uint64_t>(), value.at(2).get<int64_t>(),
          value.at(3).get<uint64_t>()};
}

json stamps_json(const std::vector<FileStamp>& stamps) {
  json list = json::array();
  for (const auto& stamp : stamps) list.push_back(stamp_json(stamp));
  return list;
}

std::vector<FileStamp> stamps_from(const json& value) {
  std::vector<FileStamp> stamps;
  for (const auto& entry : value) stamps.push_back(stamp_from(entry));
  return stamps;
}

json program_json(const QemuProgram& program) {
  return {{"binary", stamp_json(program.binary)},
          {"version", {program.version.major, program.version.minor, program.version.micro}},
          {"interpreter", program.interpreter},
          {"libraries", stamps_json(program.libraries)},
          {"firmware", stamps_json(program.firmware)},
          {"firmware_dir", program.firmware_dir},
          {"module_dir", program.module_dir},
          {"has_sandbox", program.has_sandbox}};
}

QemuProgram program_from(const json& value) {
  QemuProgram program;
  program.binary = stamp_from(value.at("binary"));
  const json& version = value.at("version");
  program.version = {version.at(0).get<int>(), version.at(1).get<int>(), version.at(2).get<int>()};
  program.interpreter = value.at("interpreter").get<std::string>();
  program.libraries = stamps_from(value.at("libraries"));
  program.firmware = stamps_from(value.at("firmware"));
  program.firmware_dir = value.at("firmware_dir").get<std::string>();
  program.module_dir = value.at("module_dir").get<std::string>();
  program.has_sandbox = value.at("has_sandbox").get<bool>();
  return program;
}

}  // namespace

QemuCache QemuCache::from_json(const std::string& text) {
  try {
    QemuCache cache;
    json value = json::parse(text);
    if (value.at("format") != kFormat) return {};
    cache.boot_id = value.at("boot_id").get<std::string>();
    cache.tsc_khz = value.at("tsc_khz").get<uint64_t>();
    for (const auto& program : value.at("programs")) cache.programs.push_back(program_from(program));
    for (const auto& entry : value.at("rejected"))
      cache.rejected.emplace_back(stamp_from(entry.at(0)), entry.at(1).get<std::string>());
    return cache;
  } catch (const json::exception&) {
    return {};
  }
}

std::string QemuCache::to_json() const {
  json value = {{"format", kFormat},
                {"boot_id", boot_id},
                {"tsc_khz", tsc_khz},
                {"programs", json::array()},
                {"rejected", json::array()}};
  for (const auto& program : programs) value["programs"].push_back(program_json(program));
  for (const auto& [stamp, reason] : rejected) value["rejected"].push_back(json::array({stamp_json(stamp), reason}));
  // File names need not be UTF-8.
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

QemuCache QemuCache::load(const std::string& path) {
  if (path.empty()) return {};
  auto text = read_file(path, size_t{1} << 20);
  return text ? from_json(*text) : QemuCache{};
}

void QemuCache::save(const std::string& path) const {
  if (!path.empty()) (void)write_file_atomic(path, to_json());
}

}  // namespace msb::qemu
