// msb snapshot create|ls|inspect|verify|rm|save|load.
#include <microsandbox/snapshot.h>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/sandbox_flags.h"

namespace msb::cli {
namespace {

Json to_json(const SnapshotInfo& info) {
  return {{"name", info.name},
          {"digest", info.id},
          {"path", info.path},
          {"scope", "disk"},
          {"image", info.image},
          {"manifest_digest", text_or_null(info.manifest_digest)},
          {"source_sandbox", info.source_sandbox},
          {"parent", text_or_null(info.parent)},
          {"root_disk", info.root_disk},
          {"size_bytes", info.size_bytes},
          {"allocated_bytes", info.allocated_bytes},
          {"integrity", info.has_integrity},
          {"labels", info.labels},
          {"created_at", rfc3339(info.created_at_ms)}};
}

void print_text(const SnapshotInfo& info) {
  print_line(cat("Name       ", info.name));
  print_line(cat("Digest     ", info.id));
  print_line(cat("Path       ", printable(info.path)));
  print_line(cat("Image      ", printable(info.image)));
  if (!info.manifest_digest.empty()) print_line(cat("Manifest   ", info.manifest_digest));
  print_line(cat("Made from  ", printable(info.source_sandbox)));
  if (!info.parent.empty()) print_line(cat("Parent     ", info.parent));
  print_line(cat("Root disk  ", info.root_disk, ", ", format_size(info.size_bytes), ", of which on this host ",
                 format_size(info.allocated_bytes)));
  print_line(cat("Integrity  ", info.has_integrity ? "recorded" : "not recorded"));
  print_line(cat("Created    ", local_time(info.created_at_ms)));
  for (const auto& [key, value] : info.labels) print_line(cat("Label      ", printable(cat(key, "=", value))));
}

void define_create(CLI::App& command, Invocation& invocation) {
  struct State {
    SnapshotConfig config;
    std::vector<std::string> labels;
    bool resumable = false, quiet = false;
  };
  auto state = std::make_shared<State>();
  command.add_option("NAME", state->config.name, "Snapshot")->required();
  command.add_option("--from", state->config.sandbox, "Stopped sandbox whose disk it is")->required();
  command.add_option("--dest-dir", state->config.dest_dir, "Directory to keep it in");
  add_repeatable(command, "--label", state->labels, "KEY=VALUE");
  command.add_flag("-f,--force", state->config.force, "Replace one of that name");
  command.add_flag("--integrity", state->config.integrity, "Record digests of its contents, for `verify`");
  command.add_flag("--resumable", state->resumable, "With memory: not in this version");
  command.add_flag("-q,--quiet", state->quiet, "Only the name");
  on_run(command, invocation, [state]() -> Result<int> {
    if (state->resumable)
      return fail(Error(ErrorKind::unsupported, "snapshots of a running sandbox's memory are not in this version")
                      .hint("stop the sandbox and leave --resumable away"));
    SnapshotConfig config = state->config;
    for (const auto& label : state->labels) config.labels.insert(parse_label(label));
    MSB_TRY(auto info, Snapshot::create(config));
    if (state->quiet) {
      print_line(info.name);
    } else {
      success(Quiet::no, "Created", info.name);
    }
    return 0;
  });
}

void define_list(CLI::App& command, Invocation& invocation) {
  struct State {
    std::string format;
    bool quiet = false;
  };
  auto state = std::make_shared<State>();
  command.add_option("--format", state->format, "table or json");
  command.add_flag("-q,--quiet", state->quiet, "Only the digests");
  on_run(command, invocation, [state]() -> Result<int> {
    MSB_TRY(auto format, parse_format(state->format));
    MSB_TRY(auto snapshots, Snapshot::list());
    Listing listing({"NAME", "SCOPE", "IMAGE", "SIZE", "CREATED", "DIGEST"});
    for (const auto& info : snapshots)
      listing.add(info.id,
                  {info.name, "disk", printable(info.image, 36), format_size(info.allocated_bytes),
                   local_time(info.created_at_ms), short_digest(info.id)},
                  to_json(info));
    listing.print(format, state->quiet ? Quiet::yes : Quiet::no);
    return 0;
  });
}

void define_inspect(CLI::App& command, Invocation& invocation) {
  struct State {
    std::string name, format;
    bool verify = false;
  };
  auto state = std::make_shared<State>();
  command.add_option("SNAPSHOT", state->name, "Name or path")->required();
  command.add_flag("--verify", state->verify, "Check its contents, too");
  command.add_option("--format", state->format, "table or json");
  on_run(command, invocation, [state]() -> Result<int> {
    MSB_TRY(auto form, parse_format(state->format));
    MSB_TRY(auto info, state->verify ? Snapshot::verify(state->name) : Snapshot::get(state->name));
    if (form == Format::json) {
      print_line(json_text(to_json(info)));
    } else {
      print_text(info);
    }
    return 0;
  });
}

void define_verify(CLI::App& command, Invocation& invocation) {
  auto name = std::make_shared<std::string>();
  command.add_option("SNAPSHOT", *name, "Name or path")->required();
  on_run(command, invocation, [name]() -> Result<int> {
    MSB_TRY(auto info, Snapshot::verify(*name));
    print_line(info.has_integrity ? cat(info.name, ": its contents are those it was made with")
                                  : cat(info.name, ": its files are whole; digests were not recorded (--integrity)"));
    return 0;
  });
}

bool is_missing(const std::string& name) {
  auto found = Snapshot::get(name);
  return !found && found.error().kind() == ErrorKind::snapshot_not_found;
}

void define_remove(CLI::App& command, Invocation& invocation) {
  struct State {
    std::vector<std::string> names;
    bool force = false, quiet = false;
  };
  auto state = std::make_shared<State>();
  command.add_option("SNAPSHOTS", state->names, "Names or paths")->required();
  command.add_flag("-f,--force", state->force, "No error for one that is not there");
  command.add_flag("-q,--quiet", state->quiet, "No ticks");
  on_run(command, invocation, [state]() -> Result<int> {
    auto names = state->names;
    if (state->force) std::erase_if(names, is_missing);
    return for_each_name(names, "Removed", state->quiet ? Quiet::yes : Quiet::no, Snapshot::remove);
  });
}

void define_save(CLI::App& command, Invocation& invocation) {
  struct State {
    std::string name, output;
    SnapshotSaveOptions options;
  };
  auto state = std::make_shared<State>();
  command.add_option("SNAPSHOT", state->name, "Name or path")->required();
  command.add_option("OUT", state->output, "File to write, - for standard output")->required();
  command.add_flag("--with-parents", state->options.with_parents, "And the snapshots it came from");
  command.add_flag("--with-image", state->options.with_image, "And the image beneath it");
  command.add_flag("--plain-tar", state->options.plain_tar, "Do not compress");
  on_run(command, invocation, [state]() -> Result<int> {
    if (state->output == "-" && stdout_is_terminal())
      return fail(Error(ErrorKind::invalid_config, "refusing to write an archive to a terminal")
                      .hint("name a file, or redirect the output"));
    MSB_CHECK(Snapshot::save(state->name, state->output, state->options));
    if (state->output != "-") success(Quiet::no, "Saved", state->output);
    return 0;
  });
}

void define_load(CLI::App& command, Invocation& invocation) {
  auto input = std::make_shared<std::string>();
  command.add_option("ARCHIVE", *input, "File to read, - for standard input")->required();
  on_run(command, invocation, [input]() -> Result<int> {
    if (*input == "-" && stdin_is_terminal())
      return fail(Error(ErrorKind::invalid_config, "standard input is a terminal").hint("name the archive"));
    MSB_TRY(auto loaded, Snapshot::load(*input));
    for (const auto& info : loaded) print_line(info.name);
    return 0;
  });
}

}  // namespace

void add_snapshot(CLI::App& root, Invocation& invocation) {
  auto* snapshot = root.add_subcommand("snapshot", "Manage snapshots of disks")->alias("snap");
  snapshot->require_subcommand(1);
  define_create(*snapshot->add_subcommand("create", "Keep the disk of a stopped sandbox"), invocation);
  define_list(*snapshot->add_subcommand("list", "List snapshots")->alias("ls"), invocation);
  define_inspect(*snapshot->add_subcommand("inspect", "Show a snapshot"), invocation);
  define_verify(*snapshot->add_subcommand("verify", "Check a snapshot's contents"), invocation);
  define_remove(*snapshot->add_subcommand("remove", "Remove snapshots")->alias("rm"), invocation);
  define_save(*snapshot->add_subcommand("save", "Write snapshots to an archive"), invocation);
  define_load(*snapshot->add_subcommand("load", "Read snapshots from an archive"), invocation);
}

}  // namespace msb::cli
