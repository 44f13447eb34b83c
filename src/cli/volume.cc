// msb volume create|ls|inspect|rm.
#include <microsandbox/volume.h>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/sandbox_flags.h"

namespace msb::cli {
namespace {

std::string kind_name(VolumeKind kind) {
  return kind == VolumeKind::disk ? "disk" : "dir";
}

// What bounds it; nothing for a directory without a quota.
uint64_t capacity(const VolumeInfo& info) {
  return uint64_t{info.kind == VolumeKind::disk ? info.size_mib : info.quota_mib} * kMiB;
}

Json to_json(const VolumeInfo& info) {
  return {{"name", info.name},
          {"kind", kind_name(info.kind)},
          {"path", info.path},
          {"quota_mib", info.quota_mib ? Json(info.quota_mib) : Json()},
          {"used_bytes", info.used_bytes ? Json(*info.used_bytes) : Json()},
          {"capacity_bytes", capacity(info) ? Json(capacity(info)) : Json()},
          {"disk_format", text_or_null(info.disk_format)},
          {"disk_fstype", text_or_null(info.disk_fstype)},
          {"labels", info.labels},
          {"created_at", rfc3339(info.created_at_ms)},
          {"sandboxes", info.sandboxes}};
}

struct CreateCommand {
  std::string name, other_name, kind = "dir", size, quota;
  std::vector<std::string> labels;
  bool quiet = false;

  Result<VolumeConfig> config() const {
    if (!name.empty() && !other_name.empty()) return fail(wrong_usage("the volume has two names"));
    VolumeConfig config;
    config.name = name.empty() ? other_name : name;
    if (config.name.empty()) return fail(wrong_usage("the volume has no name"));
    if (kind != "dir" && kind != "disk") return fail(wrong_usage(cat("unknown kind '", kind, "'; use dir or disk")));
    if (kind == "disk") config.kind = VolumeKind::disk;
    if (!size.empty() && !quota.empty() && kind == "dir")
      return fail(wrong_usage("--size and --quota say the same of a directory; give one"));
    uint32_t& bound = kind == "disk" ? config.size_mib : config.quota_mib;
    if (!size.empty()) {
      MSB_TRY(bound, usage(parse_mib(size)));
    }
    if (!quota.empty()) {
      MSB_TRY(config.quota_mib, usage(parse_mib(quota)));
    }
    for (const auto& label : labels) config.labels.insert(parse_label(label));
    return config;
  }
  Result<int> run() const {
    MSB_TRY(auto wanted, config());
    MSB_TRY(auto info, Volume::create(wanted));
    success(quiet ? Quiet::yes : Quiet::no, "Created", info.name);
    return 0;
  }
};

void define_create(CLI::App& command, Invocation& invocation) {
  auto state = std::make_shared<CreateCommand>();
  command.add_option("NAME", state->name, "Volume");
  command.add_option("--name", state->other_name, "The same");
  command.add_option("--kind", state->kind, "dir (any number of sandboxes at once) or disk (one at a time)");
  command.add_option("--size", state->size, "Size of a disk, or quota of a directory, such as 10G");
  command.add_option("--quota", state->quota, "Bound for all files of a directory together");
  add_repeatable(command, "--label", state->labels, "KEY=VALUE");
  command.add_flag("-q,--quiet", state->quiet, "No ticks");
  on_run(command, invocation, [state] { return state->run(); });
}

void define_list(CLI::App& command, Invocation& invocation) {
  struct State {
    std::string format;
    bool quiet = false;
  };
  auto state = std::make_shared<State>();
  command.add_option("--format", state->format, "table or json");
  command.add_flag("-q,--quiet", state->quiet, "Only the names");
  on_run(command, invocation, [state]() -> Result<int> {
    MSB_TRY(auto format, parse_format(state->format));
    MSB_TRY(auto volumes, Volume::list());
    Listing listing({"NAME", "KIND", "SIZE", "CREATED"});
    for (const auto& info : volumes)
      listing.add(info.name,
                  {info.name, kind_name(info.kind), capacity(info) ? format_size(capacity(info)) : "-",
                   local_time(info.created_at_ms)},
                  to_json(info));
    listing.print(format, state->quiet ? Quiet::yes : Quiet::no);
    return 0;
  });
}

void print_text(const VolumeInfo& info) {
  print_line(cat("Name       ", info.name));
  print_line(cat("Kind       ", kind_name(info.kind)));
  print_line(cat("Path       ", printable(info.path)));
  if (info.kind == VolumeKind::disk) print_line(cat("Format     ", info.disk_format, ", ", info.disk_fstype));
  if (capacity(info))
    print_line(cat(info.kind == VolumeKind::disk ? "Size       " : "Quota      ", format_size(capacity(info))));
  if (info.used_bytes) print_line(cat("Used       ", format_size(*info.used_bytes)));
  print_line(cat("Created    ", local_time(info.created_at_ms)));
  for (const auto& [key, value] : info.labels) print_line(cat("Label      ", printable(cat(key, "=", value))));
  for (const auto& sandbox : info.sandboxes) print_line(cat("Mounted by ", sandbox));
}

void define_inspect(CLI::App& command, Invocation& invocation) {
  auto name = std::make_shared<std::string>();
  auto format = std::make_shared<std::string>();
  command.add_option("NAME", *name, "Volume")->required();
  command.add_option("--format", *format, "table or json");
  on_run(command, invocation, [name, format]() -> Result<int> {
    MSB_TRY(auto form, parse_format(*format));
    MSB_TRY(auto info, Volume::get(*name));
    if (form == Format::json) {
      print_line(json_text(to_json(info)));
    } else {
      print_text(info);
    }
    return 0;
  });
}

void define_remove(CLI::App& command, Invocation& invocation) {
  struct State {
    std::vector<std::string> names;
    bool quiet = false;
  };
  auto state = std::make_shared<State>();
  command.add_option("NAMES", state->names, "Volumes")->required();
  command.add_flag("-q,--quiet", state->quiet, "No ticks");
  on_run(command, invocation, [state]() -> Result<int> {
    return for_each_name(state->names, "Removed", state->quiet ? Quiet::yes : Quiet::no, Volume::remove);
  });
}

}  // namespace

void add_volume(CLI::App& root, Invocation& invocation) {
  auto* volume = root.add_subcommand("volume", "Manage named volumes")->alias("vol");
  volume->require_subcommand(1);
  define_create(*volume->add_subcommand("create", "Make a volume"), invocation);
  define_list(*volume->add_subcommand("list", "List volumes")->alias("ls"), invocation);
  define_inspect(*volume->add_subcommand("inspect", "Show a volume"), invocation);
  define_remove(*volume->add_subcommand("remove", "Remove volumes")->alias("rm"), invocation);
}

}  // namespace msb::cli
