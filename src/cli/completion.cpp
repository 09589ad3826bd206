#include "cli/completion.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/text.h"

namespace poundlock::cli {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

// First words, each once: "flag" for "flag list" and "flag set".
std::vector<std::string> first_words(const std::vector<VerbInfo>& verbs) {
  std::vector<std::string> out;
  for (const auto& verb : verbs) {
    const std::string word = verb.name.substr(0, verb.name.find(' '));
    if (std::find(out.begin(), out.end(), word) == out.end()) out.push_back(word);
  }
  return out;
}

std::vector<std::string> second_words(const std::vector<VerbInfo>& verbs, const std::string& first) {
  std::vector<std::string> out;
  for (const auto& verb : verbs)
    if (verb.name.starts_with(first + " ")) out.push_back(verb.name.substr(first.size() + 1));
  return out;
}

// In single quotes for sh and fish; descriptions are our own and hold neither line ends nor controls.
std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// The words that may follow, by what stands before; shared by bash and zsh (through bashcompinit).
std::string bash_script(const std::vector<VerbInfo>& verbs, const std::vector<std::string>& globals) {
  std::string cases;
  for (const auto& first : first_words(verbs)) {
    const auto seconds = second_words(verbs, first);
    if (!seconds.empty()) cases += fmt::format("    '{}') words={} ;;\n", first, shell_quoted(joined(seconds)));
  }
  for (const auto& verb : verbs)
    cases += fmt::format("    '{}') words={}; files={} ;;\n", verb.name, shell_quoted(joined(verb.options)),
                         verb.takes_file ? 1 : 0);
  return fmt::format(R"(_poundlock() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" verb="" word words="" files=0 i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${{COMP_WORDS[i]}}"
    case "$word" in
      -*) ;;
      *) [ -z "$verb" ] && verb="$word" || {{ [ "$verb" = flag ] && verb="flag $word"; }} ;;
    esac
  done
  case "$verb" in
    '') words={} ;;
{}  esac
  [ "${{current#-}}" != "$current" ] && words="$words {}"
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ "$files" = 1 ] && [ "${{current#-}}" = "$current" ]; then
    COMPREPLY+=($(compgen -f -- "$current"))
  fi
}}
complete -o filenames -F _poundlock poundlock
)",
                     shell_quoted(joined(first_words(verbs))), cases, joined(globals));
}

std::string fish_script(const std::vector<VerbInfo>& verbs, const std::vector<std::string>& globals) {
  std::string out = "complete -c poundlock -f\n";
  for (const auto& option : globals) out += fmt::format("complete -c poundlock -l {}\n", option.substr(2));
  for (const auto& first : first_words(verbs)) {
    std::string description;
    for (const auto& verb : verbs)
      if (verb.name == first) description = verb.description;
    out += fmt::format("complete -c poundlock -n __fish_use_subcommand -a {} -d {}\n", first,
                       shell_quoted(description));
    for (const auto& second : second_words(verbs, first))
      out += fmt::format("complete -c poundlock -n '__fish_seen_subcommand_from {}' -a {}\n", first, second);
  }
  for (const auto& verb : verbs) {
    const std::string word = verb.name.substr(verb.name.rfind(' ') + 1);
    const std::string when = fmt::format("-n '__fish_seen_subcommand_from {}'", word);
    for (const auto& option : verb.options)
      if (option.starts_with("--"))
        out += fmt::format("complete -c poundlock {} -l {}\n", when, option.substr(2));
    if (verb.takes_file) out += fmt::format("complete -c poundlock {} -F\n", when);
  }
  return out;
}

}  // namespace

Result<std::string> completion_script(std::string_view shell, const std::vector<VerbInfo>& verbs,
                                      const std::vector<std::string>& globals) {
  if (shell == "bash") return bash_script(verbs, globals);
  if (shell == "zsh")
    return "#compdef poundlock\nautoload -U +X bashcompinit && bashcompinit\n" + bash_script(verbs, globals);
  if (shell == "fish") return fish_script(verbs, globals);
  return fail(user_error("completion.shell", fmt::format("no completion for {}", clean(shell)))
                  .with_hint("bash, zsh or fish"));
}

}  // namespace poundlock::cli
