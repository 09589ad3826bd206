// In what two sides differ, and what of it touches a rollout.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "engine/checks/parity_sides.h"
#include "schema/catalog_lines.h"

namespace poundlock::engine {
namespace {

using schema::CatalogLine;
using Names = std::unordered_set<std::string>;

// What belongs to Poundlock itself is in the environment where a rollout ran last.
const std::string kOwnSchema = "poundlock";

// Names of everything that a change of its tables may meet.
class Touched {
 public:
  explicit Touched(const Concern& concern) {
    for (const auto& table : concern.tables) tables_.insert(table.to_sql());
  }

  // Of both catalogs, before anything is asked.
  void add_partitions(const schema::Catalog& catalog) {
    for (bool grew = true; grew;) {
      grew = false;
      for (const auto& part : catalog.parts)
        if ((part.kind == "partition" || part.kind == "inheritance") && tables_.contains(part.name))
          grew = tables_.insert(part.of).second || grew;
    }
  }

  void add_related(const schema::Catalog& catalog) {
    for (const auto& table : catalog.tables) {
      const std::string name = table.qualified().to_sql();
      if (tables_.contains(name)) {
        add_table(table);
      } else {
        add_referring(table, name);
      }
    }
    for (const auto& sequence : catalog.sequences) {
      const std::string name = schema::QualifiedName{sequence.schema, sequence.name}.to_sql();
      const bool owned = std::any_of(tables_.begin(), tables_.end(), [&](const std::string& table) {
        return sequence.owned_by.starts_with(table + '.');
      });
      if (owned || defaults_.find('\'' + name + '\'') != std::string::npos) related_.insert(name);
    }
    for (const auto& part : catalog.parts) {
      if (!tables_.contains(part.of)) continue;
      if (part.kind == "extension" || part.kind == "publication") related_.insert(part.name);
      if (part.kind == "grant") roles_.insert(part.name.substr(0, part.name.find(" (")));
      if (part.kind == "owner") roles_.insert(part.definition);
    }
  }

  bool has(const CatalogLine& line) const {
    if (line.kind == "role") return roles_.contains(line.name);
    if (line.kind == "event trigger") return true;  // acts on any DDL
    if (line.kind == "publication" && line.of.empty() && line.traits.starts_with("all tables")) return true;
    if (tables_.contains(line.of) || related_.contains(line.of)) return true;
    if (line.of.empty()) return tables_.contains(line.name) || related_.contains(line.name);
    return related_.contains(line.name + " on " + line.of);
  }
  bool has_role(const std::string& role) const { return roles_.contains(role); }

 private:
  void add_table(const schema::Table& table) {
    related_.insert(schema::quote_identifier(table.schema));
    for (const auto& trigger : table.triggers) related_.insert(trigger.function + "()");
    for (const auto& column : table.columns) {
      related_.insert(column.type.substr(0, column.type.find_first_of("[(")));
      if (column.default_expr) defaults_ += *column.default_expr + '\n';
    }
  }
  // Views over a touched table, and foreign keys to it: both stand in the way of a change.
  void add_referring(const schema::Table& table, const std::string& name) {
    for (const auto& constraint : table.constraints)
      if (tables_.contains(constraint.references))
        related_.insert(schema::quote_identifier(constraint.name) + " on " + name);
    if (table.view_definition.empty()) return;
    for (const auto& touched : tables_)
      if (table.view_definition.find(touched) != std::string::npos) related_.insert(name);
  }

  Names tables_, related_, roles_;
  std::string defaults_;
};

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
      if (!line->of.empty() && gone(*line, here, there) && line->kind != "owner" && line->kind != "partition")
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

void compare_facts(const Side& from, const Side& to, const Touched* touched, std::vector<Difference>& out) {
  std::map<Key, std::pair<const Fact*, const Fact*>> all;
  for (const auto& fact : from.facts) all[{fact.kind, fact.object}].first = &fact;
  for (const auto& fact : to.facts) all[{fact.kind, fact.object}].second = &fact;
  for (const auto& [key, sides] : all) {
    const auto& [a, b] = sides;
    if (a && b && a->value == b->value) continue;
    // A setting that one side hides, or does not know yet, has no value to be compared with.
    if (key.first == "setting" && (!a || !b)) continue;
    const std::string tool = key.second.substr(0, key.second.find(' '));
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

}  // namespace

std::vector<Difference> compare_sides(const Side& from, const Side& to, const Concern* concern) {
  std::optional<Touched> touched;
  if (concern != nullptr) {
    touched.emplace(*concern);
    touched->add_partitions(from.catalog);
    touched->add_partitions(to.catalog);
    touched->add_related(from.catalog);
    touched->add_related(to.catalog);
  }
  const Touched* limit = touched ? &*touched : nullptr;
  const schema::FingerprintOptions options{false, {kOwnSchema}};
  const auto from_lines = schema::catalog_lines(from.catalog, options);
  const auto to_lines = schema::catalog_lines(to.catalog, options);
  const Sorted a = sorted(from_lines), b = sorted(to_lines);
  std::vector<Difference> out;
  Comparison comparison(limit, out);
  comparison.only(a, b, true);
  comparison.only(b, a, false);
  comparison.changed(a, b);
  compare_orders(from.catalog, to.catalog, limit, out);
  compare_facts(from, to, limit, out);
  finish(out);
  return out;
}

std::size_t blocking(const std::vector<Difference>& differences) {
  return static_cast<std::size_t>(std::count_if(differences.begin(), differences.end(),
                                                [](const Difference& one) { return one.blocking; }));
}

}  // namespace poundlock::engine
