#include "cli/script_flags.h"

#include "base/fd.h"
#include "base/units.h"

namespace msb::cli {
namespace {

// One byte more than all scripts together may have, so that the right error is told.
constexpr size_t kMaxScript = 16 * kMiB + 1;

Result<std::pair<std::string, std::string>> split(const std::string& text, char separator, std::string_view flag,
                                                  std::string_view form) {
  const size_t at = text.find(separator);
  if (at == 0 || at == text.npos)
    return fail(Error(ErrorKind::invalid_config, cat(flag, " '", text.substr(0, 80), "' does not name a script"))
                    .hint(cat("write ", form)));
  return std::pair(text.substr(0, at), text.substr(at + 1));
}

Result<Script> parse_text(const std::string& text, const std::string& shell) {
  MSB_TRY(auto pair, split(text, '=', "--script", "NAME=TEXT, for example 'setup=apt-get update'"));
  Script script{pair.first, cat("#!", shell, "\n")};
  script.text += decode_escapes(pair.second);
  if (!script.text.ends_with('\n')) script.text += '\n';
  return script;
}

Result<Script> parse_path(const std::string& text) {
  MSB_TRY(auto pair, split(text, ':', "--script-path", "NAME:PATH, for example setup:./setup.sh"));
  auto contents = read_file(pair.second, kMaxScript);
  if (contents) return Script{pair.first, std::move(*contents)};
  const bool missing = contents.error().errnum() == ENOENT;
  Error error = std::move(contents).error().context(cat("the script '", pair.first, "'"));
  return fail(missing ? std::move(error).as(ErrorKind::path_not_found) : std::move(error));
}

}  // namespace

std::string decode_escapes(std::string_view text) {
  constexpr std::string_view kLetters = "ntr\\\"'", kMeanings = "\n\t\r\\\"'";
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t known = text[i] == '\\' && i + 1 < text.size() ? kLetters.find(text[i + 1]) : kLetters.npos;
    decoded += known == kLetters.npos ? text[i] : kMeanings[known];
    if (known != kLetters.npos) ++i;
  }
  return decoded;
}

void ScriptFlags::add_to(CLI::App& command) {
  add_repeatable(command, "--script", texts_, "NAME=TEXT: a script in the PATH, run by the shell; \\n is a new line");
  add_repeatable(command, "--script-raw", raw_, "NAME=TEXT: a script as it stands, first line included");
  add_repeatable(command, "--script-path", paths_, "NAME:PATH: a file of this host as a script");
}

Result<std::vector<Script>> ScriptFlags::scripts(const std::string& shell) const {
  std::vector<Script> scripts;
  for (const auto& text : texts_) {
    MSB_TRY(auto script, parse_text(text, shell));
    scripts.push_back(std::move(script));
  }
  for (const auto& text : raw_) {
    MSB_TRY(auto pair, split(text, '=', "--script-raw", "NAME=TEXT"));
    scripts.push_back({pair.first, pair.second});
  }
  for (const auto& text : paths_) {
    MSB_TRY(auto script, parse_path(text));
    scripts.push_back(std::move(script));
  }
  return scripts;
}

}  // namespace msb::cli
