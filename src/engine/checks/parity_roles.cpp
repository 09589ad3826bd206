// Roles that are one and the same to people, and are called otherwise in each environment.
#include <algorithm>
#include <vector>

#include "engine/checks/parity_sides.h"
#include "schema/identifier.h"

namespace poundlock::engine {
namespace {

// The end of the identifier that begins at `at`, as quote_ident() writes it.
std::size_t end_of_name(std::string_view text, std::size_t at) {
  if (at >= text.size() || text[at] != '"') return std::min(text.find_first_of(", (", at), text.size());
  for (++at; at < text.size(); ++at) {
    if (text[at] != '"') continue;
    if (at + 1 < text.size() && text[at + 1] == '"')
      ++at;
    else
      return at + 1;
  }
  return text.size();
}

class Renaming {
 public:
  explicit Renaming(const RoleNames& names) {
    for (const auto& [from, to] : names)
      names_.emplace(schema::quote_identifier(from), schema::quote_identifier(to));
    for (const auto& [from, to] : names) {
      const std::string taken = schema::quote_identifier(to);
      names_.emplace(taken, taken + " (unmapped)");  // nothing where it gets a name of its own
    }
  }

  std::string name(const std::string& quoted) const {
    const auto found = names_.find(quoted);
    return found == names_.end() ? quoted : found->second;
  }

  // The names from `at` on, with `between` them, renamed and in the order of their bytes: servers sort by
  // locales of their own. What follows the last one stays.
  std::string list(const std::string& text, std::size_t at, std::string_view between) const {
    std::vector<std::string> all;
    std::size_t end = at;
    while (end < text.size()) {
      const std::size_t begin = all.empty() ? end : end + between.size();
      end = end_of_name(text, begin);
      all.push_back(name(text.substr(begin, end - begin)));
      if (text.compare(end, between.size(), between) != 0) break;
    }
    std::sort(all.begin(), all.end());
    std::string out = text.substr(0, at);
    for (const auto& one : all) out += (&one == all.data() ? "" : std::string(between)) + one;
    return out + text.substr(end);
  }

  void after(std::string& text, std::string_view words, std::string_view between) const {
    const std::size_t at = text.find(words);
    if (at != std::string::npos) text = list(text, at + words.size(), between);
  }

 private:
  std::map<std::string, std::string> names_;  // quoted
};

void rename_in(schema::Part& part, const Renaming& renaming) {
  if (part.kind == "owner") part.definition = renaming.name(part.definition);
  if (part.kind == "schema" && part.definition.starts_with("owner "))
    part.definition = "owner " + renaming.name(part.definition.substr(6));
  // "reader on tables of app"
  if (part.kind == "default privileges") {
    if (const std::size_t of = part.name.find(" of ", end_of_name(part.name, 0)); of != std::string::npos)
      part.name = part.name.substr(0, of + 4) + renaming.name(part.name.substr(of + 4));
  }
  if (part.kind == "grant" || part.kind == "user mapping" || part.kind == "default privileges") {
    const std::size_t end = end_of_name(part.name, 0);  // a right on a column has it behind the name
    part.name = renaming.name(part.name.substr(0, end)) + part.name.substr(end);
  }
  if (part.kind == "policy") renaming.after(part.definition, " TO ", ", ");
  if (part.kind == "role" || part.kind == "other role") {
    part.name = renaming.name(part.name);
    renaming.after(part.definition, "member of ", " ");
  }
}

}  // namespace

void rename_roles(Side& side, const RoleNames& names) {
  const Renaming renaming(names);
  for (auto& part : side.catalog.parts) rename_in(part, renaming);
  for (auto& fact : side.facts) {
    if (fact.role.empty()) continue;
    const std::string renamed = renaming.name(fact.role);
    if (fact.object.ends_with(" of " + fact.role))
      fact.object = fact.object.substr(0, fact.object.size() - fact.role.size()) + renamed;
    fact.role = renamed;
  }
}

}  // namespace poundlock::engine
