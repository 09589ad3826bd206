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

std::string names(const std::vector<OptionInfo>& options) {
  std::string out;
  for (const auto& one : options) out += (out.empty() ? "" : " ") + one.name;
  return out;
}

// Those that take a value, each once.
std::vector<OptionInfo> with_values(const std::vector<VerbInfo>& verbs,
                                    const std::vector<OptionInfo>& globals) {
  std::vector<OptionInfo> out;
  const auto add = [&](const OptionInfo& one) {
    if (one.takes_value &&
        std::none_of(out.begin(), out.end(), [&](const OptionInfo& known) { return known.name == one.name; }))
      out.push_back(one);
  };
  for (const auto& one : globals) add(one);
  for (const auto& verb : verbs)
    for (const auto& one : verb.options) add(one);
  return out;
}

// bash splits --output=json at the sign; the sign stands between an option and its value then.
constexpr const char* kBash = R"(_poundlock() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" before="" verb="" word words="" files=0 i
  [ "$COMP_CWORD" -gt 0 ] && before="${{COMP_WORDS[COMP_CWORD-1]}}"
  if [ "$current" = "=" ]; then
    current=""
  elif [ "$before" = "=" ]; then
    before="${{COMP_WORDS[COMP_CWORD-2]}}"
  fi
  case "$before" in
{values}  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${{COMP_WORDS[i]}}"
    case "$word" in
      {valued})
        [ "${{COMP_WORDS[i+1]}}" = "=" ] && i=$((i + 1))
        i=$((i + 1))
        ;;
      -*) ;;
      *) [ -z "$verb" ] && verb="$word" || {{ [ "$verb" = flag ] && verb="flag $word"; }} ;;
    esac
  done
  case "$verb" in
    '') words={verbs} ;;
{cases}  esac
  [ "${{current#-}}" != "$current" ] && words="$words {globals}"
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ "$files" = 1 ] && [ "${{current#-}}" = "$current" ]; then
    COMPREPLY+=($(compgen -f -- "$current"))
  fi
}}
complete -o filenames -F _poundlock poundlock
)";

// The words that may follow, by what stands before; shared by bash and zsh (through bashcompinit).
std::string bash_script(const std::vector<VerbInfo>& verbs, const std::vector<OptionInfo>& globals) {
  std::string cases;
  for (const auto& first : first_words(verbs)) {
    const auto seconds = second_words(verbs, first);
    if (!seconds.empty())
      cases += fmt::format("    '{}') words={} ;;\n", first, shell_quoted(joined(seconds)));
  }
  for (const auto& verb : verbs) {
    const std::string words = names(verb.options) + (verb.words.empty() ? "" : " " + joined(verb.words));
    cases += fmt::format("    '{}') words={}; files={} ;;\n", verb.name, shell_quoted(words),
                         verb.takes_file ? 1 : 0);
  }
  std::string values;
  std::string valued;
  for (const auto& one : with_values(verbs, globals)) {
    valued += (valued.empty() ? "" : "|") + one.name;
    const std::string found =
        one.takes_file ? "compgen -f" : fmt::format("compgen -W {}", shell_quoted(joined(one.values)));
    values += fmt::format("    {}) COMPREPLY=($({} -- \"$current\")); return ;;\n", one.name, found);
  }
  return fmt::format(kBash, fmt::arg("values", values), fmt::arg("valued", valued.empty() ? "''" : valued),
                     fmt::arg("verbs", shell_quoted(joined(first_words(verbs)))), fmt::arg("cases", cases),
                     fmt::arg("globals", names(globals)));
}

std::string fish_option(const OptionInfo& one, const std::string& when) {
  std::string out = fmt::format("complete -c poundlock{} -l {}", when, one.name.substr(2));
  if (one.takes_file)
    out += " -r -F";
  else if (one.takes_value)
    out += one.values.empty() ? " -x" : " -x -a " + shell_quoted(joined(one.values));
  return out + "\n";
}

std::string fish_script(const std::vector<VerbInfo>& verbs, const std::vector<OptionInfo>& globals) {
  std::string out = "complete -c poundlock -f\n";
  for (const auto& option : globals) out += fish_option(option, "");
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
    for (const auto& option : verb.options) out += fish_option(option, " " + when);
    if (!verb.words.empty())
      out += fmt::format("complete -c poundlock {} -a {}\n", when, shell_quoted(joined(verb.words)));
    if (verb.takes_file) out += fmt::format("complete -c poundlock {} -F\n", when);
  }
  return out;
}

}  // namespace

Result<std::string> completion_script(std::string_view shell, const std::vector<VerbInfo>& verbs,
                                      const std::vector<OptionInfo>& globals) {
  if (shell == "bash") return bash_script(verbs, globals);
  if (shell == "zsh")
    return "#compdef poundlock\nautoload -U +X bashcompinit && bashcompinit\n" + bash_script(verbs, globals);
  if (shell == "fish") return fish_script(verbs, globals);
  return fail(user_error("completion.shell", fmt::format("no completion for {}", clean(shell)))
                  .with_hint("bash, zsh or fish"));
}

}  // namespace poundlock::cli
