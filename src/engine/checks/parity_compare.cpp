// In what two sides differ, and what of it touches a rollout.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "engine/checks/parity_sides.h"
#include "engine/checks/parity_touched.h"
#include "schema/catalog_lines.h"

namespace poundlock::engine {
namespace {

using schema::CatalogLine;
using Names = std::unordered_set<std::string>;

// What belongs to Poundlock itself is in the environment where a rollout ran last.
const std::string kOwnSchema = "poundlock";

using Key = std::pair<std::string, std::string>;  // kind and object

struct Sorted {
  std::map<Key, const CatalogLine*> lines;
  Names standing;                                          // names of what stands by itself
  std::unordered_map<std::string, std::string> partition;  // child -> "of public.orders FOR VALUES ..."
};

Sorted sorted(const std::vector<CatalogLine>& lines) {
  Sorted out;
  for (const auto& line : lines) {
    out.lines.emplace(Key{line.kind, line.object()}, &line);
    if (line.of.empty()) out.standing.insert(line.name);
    if (line.kind == "partition") out.partition[line.of] = line.traits;
  }
  return out;
}

// "14 columns, 3 indexes": what else goes with an object that the other side does not have.
std::string parts_text(const std::map<std::string, int>& counts) {
  std::string out;
  for (const auto& [kind, count] : counts) {
    const char* plural = kind == "index" ? "es" : "s";
    const std::string word = kind == "policy" ? (count == 1 ? "policy" : "policies")
                                              : kind + (count == 1 || kind == "statistics" ? "" : plural);
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count, word);
  }
  return out;
}

class Comparison {
 public:
  Comparison(const Touched* touched, std::vector<Difference>& out) : touched_(touched), out_(out) {}

  void only(const Sorted& here, const Sorted& there, bool is_from) {
    std::unordered_map<std::string, std::map<std::string, int>> parts;
    for (const auto& [key, line] : here.lines)
      if (!line->of.empty() && gone(*line, here, there) && line->kind != "owner" &&
          line->kind != "partition" && line->kind != "extension schema" && line->kind != "aggregate")
        ++parts[line->of][line->kind];
    for (const auto& [key, line] : here.lines) {
      if (there.lines.contains(key) || gone(*line, here, there)) continue;
      const auto partition = here.partition.find(line->name);
      const bool is_partition = line->of.empty() && partition != here.partition.end();
      std::string text = is_partition ? partition->second : line->traits;
      if (line->of.empty() && !there.standing.contains(line->name)) {
        const std::string with = parts_text(parts[line->name]);
        text += (text.empty() || with.empty() ? "" : "; ") + with;
      }
      Difference one{is_partition ? "partition" : key.first, key.second, {}, {}, blocks(*line)};
      // Data makes partitions come and go; rows that fit in none of them is another matter.
      if (is_partition && touched_ != nullptr && !partition->second.ends_with("DEFAULT"))
        one.blocking = false;
      (is_from ? one.from : one.to) = text.empty() ? "is there" : std::move(text);
      out_.push_back(std::move(one));
    }
  }

  void changed(const Sorted& from, const Sorted& to) {
    for (const auto& [key, line] : from.lines) {
      const auto other = to.lines.find(key);
      if (other == to.lines.end() || other->second->traits == line->traits) continue;
      out_.push_back({key.first, key.second, line->traits, other->second->traits,
                      blocks(*line) || blocks(*other->second)});
    }
  }

 private:
  // Goes without saying: what it belongs to is missing on the other side as a whole.
  static bool gone(const CatalogLine& line, const Sorted& here, const Sorted& there) {
    return !line.of.empty() && here.standing.contains(line.of) && !there.standing.contains(line.of);
  }
  bool blocks(const CatalogLine& line) const { return touched_ == nullptr || touched_->has(line); }

  const Touched* touched_;
  std::vector<Difference>& out_;
};

// The order of the columns that both have: SELECT * and INSERT without a list go by it.
std::string order_of(const schema::Table& table, const schema::Table& other) {
  std::string out;
  for (const auto& column : table.columns)
    if (other.column(column.name) != nullptr)
      out += (out.empty() ? "" : ", ") + schema::quote_identifier(column.name);
  return out;
}

void compare_orders(const schema::Catalog& from, const schema::Catalog& to, const Touched* touched,
                    std::vector<Difference>& out) {
  std::map<schema::QualifiedName, const schema::Table*> there;
  for (const auto& table : to.tables) there.emplace(table.qualified(), &table);
  for (const auto& table : from.tables) {
    const auto found = there.find(table.qualified());
    if (found == there.end() || table.schema == kOwnSchema) continue;
    const auto same = [](const schema::Column& a, const schema::Column& b) { return a.name == b.name; };
    if (std::equal(table.columns.begin(), table.columns.end(), found->second->columns.begin(),
                   found->second->columns.end(), same))
      continue;
    const std::string a = order_of(table, *found->second), b = order_of(*found->second, table);
    if (a == b) continue;
    CatalogLine line;
    line.name = table.qualified().to_sql();
    out.push_back({"column order", line.name, a, b, touched == nullptr || touched->has(line)});
  }
}

std::string tool_of(const Fact& fact) {
  return fact.object.substr(0, fact.object.find(' '));
}

// Tools with more than one history in a side, as when each schema has its own: only then is an entry known by
// its place, too, which teams choose freely.
std::set<std::string> crowded_tools(const Side& from, const Side& to) {
  std::set<std::string> out;
  for (const auto* side : {&from, &to}) {
    std::map<std::string, std::string> places;
    for (const auto& fact : side->facts)
      if (!fact.place.empty() && places.emplace(tool_of(fact), fact.place).first->second != fact.place)
        out.insert(tool_of(fact));
  }
  return out;
}

void compare_facts(const Side& from, const Side& to, const Touched* touched, std::vector<Difference>& out) {
  std::map<Key, std::pair<const Fact*, const Fact*>> all;
  const auto crowded = crowded_tools(from, to);
  const auto key_of = [&](const Fact& fact) {
    const bool by_place = !fact.place.empty() && crowded.contains(tool_of(fact));
    return Key{fact.kind, by_place ? fmt::format("{} in {}", fact.object, fact.place) : fact.object};
  };
  // Of a migration that ran again and again the newest run counts, and comes first; of a role's setting what
  // it has for this database, which comes last.
  const auto take = [](const Fact*& slot, const Fact& fact) {
    if (slot == nullptr || fact.kind != "migration") slot = &fact;
  };
  for (const auto& fact : from.facts) take(all[key_of(fact)].first, fact);
  for (const auto& fact : to.facts) take(all[key_of(fact)].second, fact);
  for (const auto& [key, sides] : all) {
    const auto& [a, b] = sides;
    if (a && b && a->value == b->value) continue;
    // A setting that one side hides, or does not know yet, has no value to be compared with.
    if (key.first == "setting" && (!a || !b)) continue;
    const std::string tool = tool_of(*(a ? a : b));
    if (key.first == "migration" && (from.unread.contains(tool) || to.unread.contains(tool))) continue;
    const std::string& role = (a ? a : b)->role;
    const bool blocks = touched == nullptr || (key.first != "migration" && role.empty()) ||
                        (!role.empty() && touched->has_role(role));
    out.push_back({key.first, key.second, a ? std::optional(a->value) : std::nullopt,
                   b ? std::optional(b->value) : std::nullopt, blocks});
  }
}

void finish(std::vector<Difference>& all) {
  std::sort(all.begin(), all.end(), [](const Difference& a, const Difference& b) {
    return std::tie(a.kind, a.object) < std::tie(b.kind, b.object);
  });
  if (all.size() <= kDifferencesMax) return;
  // What blocks must not be among those left out.
  std::stable_partition(all.begin(), all.end(), [](const Difference& one) { return one.blocking; });
  const std::size_t left_out = all.size() - kDifferencesMax + 1;
  const bool blocks = all[kDifferencesMax - 1].blocking;
  all.resize(kDifferencesMax - 1);
  all.push_back({"more", fmt::format("{} more differences", left_out), {}, {}, blocks});
}

// A role that the other side's database uses, and this one's does not, is not missing here.
void add_roles(std::vector<CatalogLine>& lines, const std::vector<CatalogLine>& other,
               const schema::Catalog& catalog) {
  Names used;
  for (const auto& line : other)
    if (line.kind == "role") used.insert(line.name);
  for (const auto& part : catalog.parts)
    if (part.kind == "other role" && used.contains(part.name))
      lines.push_back({"role " + part.name, part.definition, "role", part.name, ""});
}

}  // namespace

std::vector<Difference> compare_sides(const Side& from, const Side& to, const Concern* concern) {
  std::optional<Touched> touched;
  if (concern != nullptr) touched.emplace(*concern, from.catalog, to.catalog);
  const Touched* limit = touched ? &*touched : nullptr;
  const schema::FingerprintOptions options{false, {kOwnSchema}};
  auto from_lines = schema::catalog_lines(from.catalog, options);
  auto to_lines = schema::catalog_lines(to.catalog, options);
  // PostgreSQL 18 names NOT NULL; to the versions before it is a trait of the column, which is compared
  // anyway.
  constexpr int kNamesNotNull = 180'000;
  const bool both =
      (from.catalog.server_version_num < kNamesNotNull) == (to.catalog.server_version_num < kNamesNotNull);
  for (auto* lines : {&from_lines, &to_lines})
    std::erase_if(*lines, [&](const CatalogLine& line) {
      return !both && line.kind == "constraint" && line.traits.starts_with("NOT NULL ");
    });
  add_roles(from_lines, to_lines, from.catalog);
  add_roles(to_lines, from_lines, to.catalog);
  const Sorted a = sorted(from_lines), b = sorted(to_lines);
  std::vector<Difference> out;
  Comparison comparison(limit, out);
  comparison.only(a, b, true);
  comparison.only(b, a, false);
  comparison.changed(a, b);
  compare_orders(from.catalog, to.catalog, limit, out);
  describe_functions(from.catalog, to.catalog, out);
  compare_facts(from, to, limit, out);
  finish(out);
  return out;
}

std::size_t blocking(const std::vector<Difference>& differences) {
  return static_cast<std::size_t>(std::count_if(differences.begin(), differences.end(),
                                                [](const Difference& one) { return one.blocking; }));
}

}  // namespace poundlock::engine
