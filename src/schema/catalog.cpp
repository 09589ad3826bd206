#include "schema/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "schema/text.h"

namespace poundlock::schema {
namespace {

constexpr std::size_t kDifferencesMax = 1'000;

template <typename T>
const T* find_named(const std::vector<T>& items, std::string_view name) {
  const auto found = std::ranges::find(items, name, &T::name);
  return found == items.end() ? nullptr : &*found;
}

// A definition on one line: a fingerprint is compared and shown line by line.
std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool space = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (space && (out.empty() || out.back() == ' ')) continue;
    out += space ? ' ' : c;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

const char* kind_name(char kind) {
  switch (kind) {
    case 'v': return "view";
    case 'm': return "materialized view";
    case 'f': return "foreign table";
    case 'p': return "partitioned table";
    default: return "table";
  }
}

// One line of a fingerprint: which object, and what it is like.
struct Line {
  std::string object;  // "table public.orders: column legacy_status"
  std::string traits;  // "text NOT NULL"
  auto operator<=>(const Line&) const = default;
  std::string text() const { return traits.empty() ? object : object + ' ' + traits; }
};

class Lines {
 public:
  explicit Lines(const FingerprintOptions& options) : options_(options) {}

  void add(const Table& table) {
    if (ignored(table.schema)) return;
    const std::string head = fmt::format("{} {}", kind_name(table.kind), table.qualified().to_sql());
    put(head, table_traits(table));
    int position = 0;
    for (const Column& column : table.columns) {
      const std::string order = options_.column_order ? fmt::format("number {} ", ++position) : "";
      put(fmt::format("{}: column {}", head, quote_identifier(column.name)), order + column_traits(column));
    }
    for (const Index& index : table.indexes)
      put(fmt::format("{}: index {}", head, quote_identifier(index.name)),
          one_line(index.definition) + (index.valid && index.ready ? "" : " (invalid)"));
    for (const Constraint& constraint : table.constraints)
      put(fmt::format("{}: constraint {}", head, quote_identifier(constraint.name)),
          one_line(constraint.definition) + (constraint.validated ? "" : " (not validated)"));
    for (const Trigger& trigger : table.triggers)
      put(fmt::format("{}: trigger {}", head, quote_identifier(trigger.name)),
          one_line(trigger.definition) +
              (trigger.enabled == 'O' ? "" : fmt::format(" (enabled: {})", trigger.enabled)));
  }

  void add(const Sequence& sequence) {
    if (ignored(sequence.schema)) return;
    put("sequence " + QualifiedName{sequence.schema, sequence.name}.to_sql(),
        fmt::format("{} increment {}{}{}", sequence.type, sequence.increment, sequence.cycle ? " cycle" : "",
                    sequence.owned_by.empty() ? "" : " owned by " + sequence.owned_by));
  }

  void add(const Function& function) {
    if (ignored(function.schema)) return;
    // A body is long, and two spaces in it may matter: its hash stands for it.
    const std::string name = QualifiedName{function.schema, function.name}.to_sql();
    put(fmt::format("function {}({})", name, function.arguments),
        fmt::format("{} body {}", function.kind, hash_hex(function.definition).substr(0, 16)));
  }

  void add(const Type& type) {
    if (ignored(type.schema)) return;
    put("type " + QualifiedName{type.schema, type.name}.to_sql(),
        fmt::format("{} {}", type.kind, one_line(type.definition)));
  }

  void add(const Extension& extension) {
    put("extension " + quote_identifier(extension.name), extension.version);
  }

  std::vector<Line> sorted() && {
    std::ranges::sort(lines_);
    return std::move(lines_);
  }

 private:
  static std::string table_traits(const Table& table) {
    std::string traits;
    const auto put_trait = [&](std::string_view trait) {
      if (!traits.empty()) traits += ' ';
      traits += trait;
    };
    if (table.persistence == 'u') put_trait("unlogged");
    if (table.is_partition) put_trait("partition");
    if (!table.partition_key.empty()) put_trait("partitioned by " + table.partition_key);
    if (table.row_security) put_trait("row security");
    if (table.replica_identity != 'd') put_trait(fmt::format("replica identity {}", table.replica_identity));
    auto settings = table.options;
    std::ranges::sort(settings);
    for (const auto& setting : settings) put_trait(setting);
    if (!table.view_definition.empty()) put_trait("as " + one_line(table.view_definition));
    return traits;
  }

  static std::string column_traits(const Column& column) {
    std::string traits = column.type;
    if (!column.collation.empty()) traits += " COLLATE " + column.collation;
    if (column.not_null) traits += " NOT NULL";
    if (!column.identity.empty()) traits += " IDENTITY " + column.identity;
    if (column.default_expr)
      traits += (column.generated.empty() ? " DEFAULT " : " GENERATED ") + one_line(*column.default_expr);
    return traits;
  }

  bool ignored(const std::string& schema) const {
    return std::ranges::find(options_.ignore_schemas, schema) != options_.ignore_schemas.end();
  }
  void put(std::string object, std::string traits) {
    lines_.push_back({std::move(object), std::move(traits)});
  }

  const FingerprintOptions& options_;
  std::vector<Line> lines_;
};

std::vector<Line> lines_of(const Catalog& catalog, const FingerprintOptions& options) {
  Lines lines(options);
  for (const auto& table : catalog.tables) lines.add(table);
  for (const auto& sequence : catalog.sequences) lines.add(sequence);
  for (const auto& function : catalog.functions) lines.add(function);
  for (const auto& type : catalog.types) lines.add(type);
  for (const auto& extension : catalog.extensions) lines.add(extension);
  return std::move(lines).sorted();
}

}  // namespace

const Column* Table::column(std::string_view column_name) const {
  return find_named(columns, column_name);
}
const Index* Table::index(std::string_view index_name) const {
  return find_named(indexes, index_name);
}
const Constraint* Table::constraint(std::string_view constraint_name) const {
  return find_named(constraints, constraint_name);
}
const Trigger* Table::trigger(std::string_view trigger_name) const {
  return find_named(triggers, trigger_name);
}

const Table* Catalog::table(const QualifiedName& wanted) const {
  const Table* only = nullptr;
  int candidates = 0;
  for (const Table& candidate : tables) {
    if (candidate.name != wanted.name) continue;
    if (candidate.schema == (wanted.schema.empty() ? "public" : wanted.schema)) return &candidate;
    if (!wanted.schema.empty()) continue;
    only = &candidate;
    ++candidates;
  }
  return candidates == 1 ? only : nullptr;
}

Fingerprint fingerprint(const Catalog& catalog, const FingerprintOptions& options) {
  Fingerprint print;
  for (const Line& line : lines_of(catalog, options)) print.text += line.text() + '\n';
  print.hash = hash_hex(print.text);
  return print;
}

std::vector<std::string> difference(const Catalog& a, const Catalog& b, const FingerprintOptions& options) {
  const auto left = lines_of(a, options);
  const auto right = lines_of(b, options);
  std::vector<Line> only_left;
  std::vector<Line> only_right;
  std::ranges::set_difference(left, right, std::back_inserter(only_left));
  std::ranges::set_difference(right, left, std::back_inserter(only_right));
  // By object and not by sign: what changed stands side by side, a before b.
  std::vector<std::string> lines;
  auto r = only_right.begin();
  for (const Line& line : only_left) {
    for (; r != only_right.end() && r->object < line.object; ++r) lines.push_back("+ " + r->text());
    lines.push_back("- " + line.text());
  }
  for (; r != only_right.end(); ++r) lines.push_back("+ " + r->text());
  if (lines.size() > kDifferencesMax) {
    const std::size_t left_out = lines.size() - kDifferencesMax + 1;
    lines.resize(kDifferencesMax - 1);
    lines.push_back(fmt::format("... and {} more", left_out));
  }
  return lines;
}

}  // namespace poundlock::schema
