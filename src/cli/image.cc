// msb image pull|ls|inspect|load|save|rm|prune, and pull, load, save, images, rmi at the top.
#include <cstdio>
#include <iostream>

#include <microsandbox/image.h>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/pull_display.h"

namespace msb::cli {
namespace {

void define_pull(CLI::App& command, Invocation& invocation) {
  struct State {
    std::string reference;
    bool force = false, quiet = false, insecure = false;
    std::vector<std::string> ca_certs;
  };
  auto state = std::make_shared<State>();
  command.add_option("REFERENCE", state->reference, "For example python:3.12")->required();
  command.add_flag("-f,--force", state->force, "Download again what is there already");
  command.add_flag("-q,--quiet", state->quiet, "No progress");
  command.add_flag("--insecure", state->insecure, "Allow plain HTTP and unverified TLS");
  add_repeatable(command, "--ca-certs", state->ca_certs, "PEM file with CAs to trust");
  on_run(command, invocation, [state]() -> Result<int> {
    MSB_CHECK(usage(Image::check_reference(state->reference)));
    auto quiet = state->quiet ? Quiet::yes : Quiet::no;
    auto started = std::chrono::steady_clock::now();
    auto detail = [&] {
      PullDisplay display(quiet);
      PullOptions options;
      options.policy = PullPolicy::always;
      options.force = state->force;
      options.registry.insecure = state->insecure;
      options.registry.ca_cert_files = state->ca_certs;
      options.progress = display.callback();
      return Image::pull(state->reference, options);
    }();
    if (!detail) return fail(std::move(detail).error());
    auto took = std::chrono::steady_clock::now() - started;
    success(quiet, "Pulled", detail->info.reference, std::chrono::duration_cast<std::chrono::milliseconds>(took));
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
  command.add_flag("-q,--quiet", state->quiet, "Only the references");
  on_run(command, invocation, [state]() -> Result<int> {
    MSB_TRY(auto format, parse_format(state->format));
    MSB_TRY(auto images, Image::list());
    Listing listing({"REFERENCE", "DIGEST", "SIZE", "CREATED"});
    for (const auto& image : images)
      listing.add(image.reference,
                  {image.reference, short_digest(image.manifest_digest), format_size(image.size_bytes),
                   local_time(image.created_at_ms)},
                  {{"reference", image.reference},
                   {"digest", image.manifest_digest},
                   {"architecture", image.architecture},
                   {"os", image.os},
                   {"layer_count", image.layer_count},
                   {"size_bytes", image.size_bytes},
                   {"created_at", rfc3339(image.created_at_ms)}});
    listing.print(format, state->quiet ? Quiet::yes : Quiet::no);
    return 0;
  });
}

Json to_json(const ImageDetail& detail) {
  Json layers = Json::array();
  for (const auto& layer : detail.layers)
    layers.push_back({{"diff_id", layer.diff_id},
                      {"blob_digest", layer.blob_digest},
                      {"media_type", layer.media_type},
                      {"compressed_size_bytes", layer.compressed_size},
                      {"erofs_size_bytes", layer.erofs_size}});
  const auto& config = detail.config;
  return {{"reference", detail.info.reference},
          {"digest", detail.info.manifest_digest},
          {"architecture", detail.info.architecture},
          {"os", detail.info.os},
          {"size_bytes", detail.info.size_bytes},
          {"created_at", rfc3339(detail.info.created_at_ms)},
          {"config",
           {{"digest", detail.config_digest},
            {"env", config.env},
            {"entrypoint", config.entrypoint},
            {"cmd", config.cmd},
            {"working_dir", config.working_dir},
            {"user", config.user},
            {"labels", config.labels},
            {"stop_signal", config.stop_signal}}},
          {"layers", std::move(layers)}};
}

void print_text(const ImageDetail& detail) {
  print_line(cat("Reference     ", detail.info.reference));
  print_line(cat("Digest        ", detail.info.manifest_digest));
  print_line(cat("Platform      ", detail.info.os, "/", detail.info.architecture));
  print_line(cat("Size          ", format_size(detail.info.size_bytes)));
  auto words = [](const std::vector<std::string>& list) { return printable(Json(list).dump()); };
  print_line(cat("Entrypoint    ", words(detail.config.entrypoint)));
  print_line(cat("Cmd           ", words(detail.config.cmd)));
  print_line(cat("Workdir       ", printable(detail.config.working_dir)));
  print_line(cat("User          ", printable(detail.config.user)));
  for (const auto& variable : detail.config.env) print_line(cat("Env           ", printable(variable)));
  for (const auto& layer : detail.layers)
    print_line(cat("Layer         ", layer.diff_id, "  ", format_size(layer.erofs_size)));
}

void define_inspect(CLI::App& command, Invocation& invocation) {
  auto reference = std::make_shared<std::string>();
  auto format = std::make_shared<std::string>();
  command.add_option("REFERENCE", *reference, "Image")->required();
  command.add_option("--format", *format, "table or json");
  on_run(command, invocation, [reference, format]() -> Result<int> {
    MSB_TRY(auto form, parse_format(*format));
    MSB_TRY(auto detail, Image::inspect(*reference));
    if (form == Format::json) {
      print_line(json_text(to_json(detail)));
    } else {
      print_text(detail);
    }
    return 0;
  });
}

void define_load(CLI::App& command, Invocation& invocation) {
  struct State {
    std::string input = "-";
    std::vector<std::string> tags;
    bool quiet = false;
  };
  auto state = std::make_shared<State>();
  command.add_option("-i,--input", state->input, "Archive or directory (standard input)");
  command.add_option("-t,--tag", state->tags, "Name for the image")
      ->type_size(1)
      ->allow_extra_args(false)
      ->type_name("");
  command.add_flag("-q,--quiet", state->quiet, "Only the references");
  on_run(command, invocation, [state]() -> Result<int> {
    if (state->input == "-" && stdin_is_terminal())
      return fail(Error(ErrorKind::invalid_config, "standard input is a terminal")
                      .hint("name the archive with -i FILE, or pipe it in"));
    auto quiet = state->quiet ? Quiet::yes : Quiet::no;
    auto images = [&] {
      PullDisplay display(quiet);
      return Image::load(state->input, state->tags, display.callback());
    }();
    if (!images) return fail(std::move(images).error());
    for (const auto& image : *images) print_line(state->quiet ? image.reference : cat("Loaded ", image.reference));
    return 0;
  });
}

void define_save(CLI::App& command, Invocation& invocation) {
  struct State {
    std::vector<std::string> references;
    std::string format = "docker";
    std::string output = "-";
    bool quiet = false;
  };
  auto state = std::make_shared<State>();
  command.add_option("REFERENCES", state->references, "Images")->required();
  command.add_option("--format", state->format, "docker or oci");
  command.add_option("-o,--output", state->output, "File to write (standard output)");
  command.add_flag("-q,--quiet", state->quiet, "No ticks");
  on_run(command, invocation, [state]() -> Result<int> {
    if (state->format != "docker" && state->format != "oci")
      return fail(wrong_usage(cat("unknown format '", state->format, "'; use docker or oci")));
    if (state->output == "-" && stdout_is_terminal())
      return fail(Error(ErrorKind::invalid_config, "refusing to write an archive to a terminal")
                      .hint("use -o FILE, or redirect the output"));
    auto format = state->format == "oci" ? ArchiveFormat::oci : ArchiveFormat::docker;
    MSB_CHECK(Image::save(state->references, state->output, format));
    if (state->output != "-") success(state->quiet ? Quiet::yes : Quiet::no, "Saved", state->output);
    return 0;
  });
}

void define_remove(CLI::App& command, Invocation& invocation) {
  struct State {
    std::vector<std::string> references;
    bool force = false, quiet = false;
  };
  auto state = std::make_shared<State>();
  command.add_option("REFERENCES", state->references, "Images")->required();
  command.add_flag("-f,--force", state->force, "Even when a sandbox has it");
  command.add_flag("-q,--quiet", state->quiet, "No ticks");
  on_run(command, invocation, [state]() -> Result<int> {
    return for_each_name(state->references, "Removed", state->quiet ? Quiet::yes : Quiet::no,
                         [&](const std::string& reference) { return Image::remove(reference, state->force); });
  });
}

void define_prune(CLI::App& command, Invocation& invocation) {
  struct State {
    bool yes = false, quiet = false;
    std::string format;
  };
  auto state = std::make_shared<State>();
  command.add_flag("-y,--yes", state->yes, "Do not ask");
  command.add_option("--format", state->format, "table or json");
  command.add_flag("-q,--quiet", state->quiet, "No report");
  on_run(command, invocation, [state]() -> Result<int> {
    MSB_TRY(auto format, parse_format(state->format));
    if (!state->yes && stdin_is_terminal()) {
      std::fprintf(stderr, "Remove every image that no sandbox uses? [y/N] ");
      std::string answer;
      std::getline(std::cin, answer);
      if (answer != "y" && answer != "Y" && answer != "yes") return 0;
    }
    MSB_TRY(auto report, Image::prune());
    if (format == Format::json) {
      print_line(json_text({{"image_refs_removed", report.image_refs_removed},
                            {"manifests_removed", report.manifests_removed},
                            {"layers_removed", report.layers_removed},
                            {"bytes_reclaimed", report.bytes_reclaimed}}));
    } else if (!state->quiet) {
      print_line(cat("Removed ", report.image_refs_removed, " images and ", report.layers_removed, " layers, ",
                     format_size(report.bytes_reclaimed)));
    }
    return 0;
  });
}

}  // namespace

void add_image(CLI::App& root, Invocation& invocation) {
  auto* image = root.add_subcommand("image", "Manage images");
  image->require_subcommand(1);
  define_pull(*image->add_subcommand("pull", "Pull an image"), invocation);
  define_list(*image->add_subcommand("list", "List images")->alias("ls"), invocation);
  define_inspect(*image->add_subcommand("inspect", "Show an image"), invocation);
  define_load(*image->add_subcommand("load", "Load images from an archive"), invocation);
  define_save(*image->add_subcommand("save", "Write images to an archive"), invocation);
  define_remove(*image->add_subcommand("remove", "Remove images")->alias("rm"), invocation);
  define_prune(*image->add_subcommand("prune", "Remove images that nothing uses"), invocation);

  define_pull(*root.add_subcommand("pull", "Pull an image"), invocation);
  define_load(*root.add_subcommand("load", "Load images from an archive"), invocation);
  define_save(*root.add_subcommand("save", "Write images to an archive"), invocation);
  // Hidden short forms.
  define_list(*root.add_subcommand("images", "List images")->group(""), invocation);
  define_remove(*root.add_subcommand("rmi", "Remove images")->group(""), invocation);
}

}  // namespace msb::cli
