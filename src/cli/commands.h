// One function per command: it adds the subcommand, its options and its body to the parser.
#pragma once

#include "cli/invocation.h"

namespace msb::cli {

void add_run(CLI::App& root, Invocation& invocation);
void add_create(CLI::App& root, Invocation& invocation);
void add_exec(CLI::App& root, Invocation& invocation);
void add_shell(CLI::App& root, Invocation& invocation);
void add_copy(CLI::App& root, Invocation& invocation);

void add_start(CLI::App& root, Invocation& invocation);
void add_stop(CLI::App& root, Invocation& invocation);
void add_restart(CLI::App& root, Invocation& invocation);
void add_kill(CLI::App& root, Invocation& invocation);
void add_modify(CLI::App& root, Invocation& invocation);
void add_remove(CLI::App& root, Invocation& invocation);

void add_list(CLI::App& root, Invocation& invocation);
void add_status(CLI::App& root, Invocation& invocation);
void add_inspect(CLI::App& root, Invocation& invocation);
void add_logs(CLI::App& root, Invocation& invocation);
void add_metrics(CLI::App& root, Invocation& invocation);
void add_net(CLI::App& root, Invocation& invocation);
void add_ping(CLI::App& root, Invocation& invocation);

// `msb image ...`, and pull, load, save at the top level.
void add_image(CLI::App& root, Invocation& invocation);

// `msb volume ...`, `msb snapshot ...`.
void add_volume(CLI::App& root, Invocation& invocation);
void add_snapshot(CLI::App& root, Invocation& invocation);

void add_doctor(CLI::App& root, Invocation& invocation);
void add_version(CLI::App& root, Invocation& invocation);
void add_completion(CLI::App& root, Invocation& invocation);

}  // namespace msb::cli
