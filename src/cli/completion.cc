// msb completion bash|zsh|fish: completion scripts made from the command table itself.
#include <cstdio>

#include "cli/commands.h"
#include "cli/output.h"

namespace msb::cli {
namespace {

struct Completions {
  std::string path;   // "image ls", empty for msb itself
  std::string words;  // subcommands and options, separated by spaces
};

void collect(const CLI::App& app, const std::string& path, std::vector<Completions>& found) {
  Completions here{path, {}};
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_group().empty()) continue;
    std::vector<std::string> names = command->get_aliases();
    names.push_back(command->get_name());
    for (const auto& name : names) {
      here.words += name + " ";
      collect(*command, path.empty() ? name : path + " " + name, found);
    }
  }
  for (const auto* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) here.words += "--" + name + " ";
    for (const auto& name : option->get_snames()) here.words += "-" + name + " ";
  }
  found.push_back(std::move(here));
}

std::string bash_script(const std::vector<Completions>& all) {
  std::string text =
      "_msb() {\n"
      "  local path= word i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    word=${COMP_WORDS[i]}\n"
      "    case $word in -*) continue ;; esac\n"
      "    case \"${path:+$path }$word\" in\n";
  for (const auto& entry : all) {
    if (!entry.path.empty()) text += "      '" + entry.path + "') path='" + entry.path + "' ;;\n";
  }
  text +=
      "    esac\n"
      "  done\n"
      "  local words=\n"
      "  case $path in\n";
  for (const auto& entry : all) text += "    '" + entry.path + "') words='" + entry.words + "' ;;\n";
  text +=
      "  esac\n"
      "  case $path in\n"
      "    exec|shell|start|stop|restart|kill|remove|rm|status|ps|inspect|logs|ping)\n"
      "      words+=\" $(msb ls -q 2>/dev/null)\" ;;\n"
      "    run|create|pull|save|rmi|image\\ *)\n"
      "      words+=\" $(msb image ls -q 2>/dev/null)\" ;;\n"
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
      "}\n"
      "complete -o default -F _msb msb\n";
  return text;
}

std::string fish_script(const std::vector<Completions>& all) {
  std::string text = "complete -c msb -f\n";
  for (const auto& entry : all) {
    std::string condition = "__fish_use_subcommand";
    if (!entry.path.empty()) {
      condition.clear();
      std::string words = entry.path + " ";
      for (size_t space; (space = words.find(' ')) != std::string::npos; words.erase(0, space + 1))
        condition += (condition.empty() ? "" : "; and ") + ("__fish_seen_subcommand_from " + words.substr(0, space));
    }
    text += "complete -c msb -n '" + condition + "' -a '" + entry.words + "'\n";
  }
  return text;
}

}  // namespace

void add_completion(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("completion", "Print a completion script");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")->required();
  on_run(*command, invocation, [&root, shell]() -> Result<int> {
    std::vector<Completions> all;
    collect(root, "", all);
    std::string text;
    if (*shell == "bash") text = bash_script(all);
    if (*shell == "zsh") text = "#compdef msb\nautoload -U +X bashcompinit && bashcompinit\n" + bash_script(all);
    if (*shell == "fish") text = fish_script(all);
    if (text.empty()) return fail(wrong_usage(cat("no completion for '", *shell, "'; use bash, zsh or fish")));
    std::fputs(text.c_str(), stdout);
    return 0;
  });
}

}  // namespace msb::cli
