// msb copy (cp): files between the host, sandboxes and tar streams.
#include <unistd.h>

#include "base/fd.h"
#include "cli/borrowed.h"
#include "cli/commands.h"
#include "cli/copy_endpoint.h"
#include "cli/output.h"

namespace msb::cli {
namespace {

using Kind = CopyEndpoint::Kind;

Result<> write_to_stdout(std::string_view bytes) {
  return write_full(STDOUT_FILENO, as_bytes(bytes));
}

Result<size_t> read_from_stdin(std::span<char> buffer) {
  return read_some(STDIN_FILENO, {reinterpret_cast<uint8_t*>(buffer.data()), buffer.size()});
}

struct CopyCommand {
  std::string from_word;
  std::string to_word;
  bool follow = false;
  bool quiet = false;

  Result<int> run() const {
    MSB_TRY(auto from, usage(CopyEndpoint::parse(from_word)));
    MSB_TRY(auto to, usage(CopyEndpoint::parse(to_word)));
    MSB_CHECK(check(from, to));
    std::optional<Borrowed> source, target;
    if (from.kind == Kind::guest) {
      MSB_TRY(source, Borrowed::get(from.sandbox));
    }
    auto outcome = [&]() -> Result<CopyReport> {
      if (to.kind == Kind::guest) {
        MSB_TRY(target, Borrowed::get(to.sandbox));
      }
      return copy(from, source, to, target);
    }();
    for (auto* borrowed : {&target, &source}) {
      if (!*borrowed) continue;
      auto ended = (*borrowed)->give_back();
      if (outcome) MSB_CHECK(ended);
    }
    MSB_CHECK(outcome);
    for (const auto& path : outcome->skipped) warn(quiet_mode(), cat("left out the device ", path));
    if (to.kind != Kind::stream) success(quiet_mode(), "Copied", cat(from_word, " to ", to_word));
    return 0;
  }

  Quiet quiet_mode() const { return quiet ? Quiet::yes : Quiet::no; }

  static Result<> check(const CopyEndpoint& from, const CopyEndpoint& to) {
    if (from.kind != Kind::guest && to.kind != Kind::guest)
      return fail(wrong_usage("neither the source nor the destination is in a sandbox").hint("write it as NAME:/path"));
    if (to.kind == Kind::stream && stdout_is_terminal())
      return fail(wrong_usage("a tar archive is not written to a terminal").hint("redirect it: `> archive.tar`"));
    if (from.kind == Kind::stream && stdin_is_terminal())
      return fail(wrong_usage("a tar archive is not read from a terminal").hint("redirect it: `< archive.tar`"));
    return {};
  }

  Result<CopyReport> copy(const CopyEndpoint& from, const std::optional<Borrowed>& source, const CopyEndpoint& to,
                          const std::optional<Borrowed>& target) const {
    CopyOptions options{follow ? SymlinkMode::follow : SymlinkMode::keep};
    auto nothing_skipped = [] { return CopyReport{}; };
    if (from.kind == Kind::stream)
      return target->sandbox.fs().extract_tar(read_from_stdin, to.path).map(nothing_skipped);
    if (to.kind == Kind::stream)
      return source->sandbox.fs().write_tar(from.path, write_to_stdout, options).map(nothing_skipped);
    if (from.kind == Kind::host) return target->sandbox.fs().copy_from_host(from.path, to.path, options);
    if (to.kind == Kind::host) return source->sandbox.fs().copy_to_host(from.path, to.path, options);
    return source->sandbox.fs().copy_to_guest(from.path, target->sandbox.fs(), to.path, options);
  }
};

}  // namespace

void add_copy(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("copy", "Copy files between the host and sandboxes");
  command->alias("cp");
  auto state = std::make_shared<CopyCommand>();
  command->add_option("SOURCE", state->from_word, "A path, NAME:/path in a sandbox, or - for a tar archive on stdin")
      ->required();
  command->add_option("DESTINATION", state->to_word, "The same; - writes a tar archive to stdout")->required();
  command->add_flag("-L,--follow-link", state->follow, "A source that is a symbolic link: copy what it points to");
  command->add_flag("-q,--quiet", state->quiet, "No ticks, no warnings");
  command->footer(
      "A directory goes into a destination that exists, and becomes one that does not.\n"
      "`SOURCE/.` means what is in the directory.");
  on_run(*command, invocation, [state] { return state->run(); });
}

}  // namespace msb::cli
