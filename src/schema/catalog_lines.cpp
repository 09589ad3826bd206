#include "schema/catalog_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/text.h"

namespace poundlock::schema {
namespace {

// A definition on one line: a fingerprint is compared and shown line by line. The server breaks and indents
// lines outside of quotes only; in a literal each space means something.
std::string one_line(std::string_view text) {
  std::string out;
  char quote = 0;
  for (const char c : text) {
    if (quote == 0 ? c == '\'' || c == '"' : c == quote) quote = quote == 0 ? c : 0;
    const bool space = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (quote != 0 && space && c != ' ') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
      continue;
    }
    if (quote == 0 && space && (out.empty() || out.back() == ' ')) continue;
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

const char* type_name(char kind) {
  switch (kind) {
    case 'd': return "domain";
    case 'c': return "composite";
    case 'r': return "range";
    default: return "enum";
  }
}

std::string bound(std::string_view word, const std::optional<std::int64_t>& value) {
  return value ? fmt::format("{}{}", word, *value) : "";
}

class Lines {
 public:
  explicit Lines(const FingerprintOptions& options) : options_(options) {}

  void add(const Table& table) {
    if (ignored(table.schema)) return;
    const std::string kind = kind_name(table.kind);
    const std::string name = table.qualified().to_sql();
    const auto put_part = [&](std::string_view part, const std::string& part_name, std::string traits) {
      put({std::string(part), quote_identifier(part_name), kind, name}, std::move(traits));
    };
    put({kind, name, {}, {}}, table_traits(table));
    int position = 0;
    for (const Column& column : table.columns) {
      const std::string order = options_.column_order ? fmt::format("number {} ", ++position) : "";
      put_part("column", column.name, order + column_traits(column));
    }
    for (const Index& index : table.indexes)
      put_part("index", index.name,
               one_line(index.definition) + (index.valid && index.ready ? "" : " (invalid)"));
    for (const Constraint& constraint : table.constraints)
      put_part("constraint", constraint.name,
               one_line(constraint.definition) + (constraint.validated ? "" : " (not validated)"));
    for (const Trigger& trigger : table.triggers)
      put_part("trigger", trigger.name,
               one_line(trigger.definition) +
                   (trigger.enabled == 'O' ? "" : fmt::format(" (enabled: {})", trigger.enabled)));
  }

  void add(const Sequence& sequence) {
    if (ignored(sequence.schema)) return;
    put({"sequence", QualifiedName{sequence.schema, sequence.name}.to_sql(), {}, {}},
        fmt::format("{} increment {}{}{}{}{}{}", sequence.type, sequence.increment,
                    bound(" minvalue ", sequence.min_value), bound(" maxvalue ", sequence.max_value),
                    bound(" start ", sequence.start), sequence.cycle ? " cycle" : "",
                    sequence.owned_by.empty() ? "" : " owned by " + sequence.owned_by));
  }

  void add(const Function& function) {
    if (ignored(function.schema)) return;
    // A body is long, and two spaces in it may matter: its hash stands for it.
    const std::string name = QualifiedName{function.schema, function.name}.to_sql();
    put({"function", fmt::format("{}({})", name, function.arguments), {}, {}},
        fmt::format("{} body {}", function.kind, hash_hex(function.definition).substr(0, 16)));
  }

  void add(const Type& type) {
    if (ignored(type.schema)) return;
    put({"type", QualifiedName{type.schema, type.name}.to_sql(), {}, {}},
        fmt::format("{} {}", type_name(type.kind), one_line(type.definition)));
  }

  void add(const Extension& extension) {
    put({"extension", quote_identifier(extension.name), {}, {}}, extension.version);
  }

  void add(const Part& part) {
    if (part.kind == "other role") return;  // of the server, and not of this database
    // Its name is quoted already; what belongs to an ignored schema begins with it.
    for (const auto& schema : options_.ignore_schemas) {
      const std::string quoted = quote_identifier(schema);
      const std::string& owner = part.of.empty() ? part.name : part.of;
      if (owner == quoted || owner.starts_with(quoted + '.')) return;
    }
    put({part.kind, part.name, part.of_kind, part.of}, one_line(part.definition));
  }

  std::vector<CatalogLine> sorted() && {
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
  struct Name {
    std::string kind, name, of_kind, of;
  };
  void put(Name what, std::string traits) {
    std::string head =
        what.of.empty() ? what.kind : fmt::format("{} {}: {}", what.of_kind, what.of, what.kind);
    if (!what.name.empty()) head += ' ' + what.name;
    lines_.push_back(
        {std::move(head), std::move(traits), std::move(what.kind), std::move(what.name), std::move(what.of)});
  }

  const FingerprintOptions& options_;
  std::vector<CatalogLine> lines_;
};

}  // namespace

std::string CatalogLine::object() const {
  if (of.empty()) return name;
  if (name.empty() || kind == "partition") return of;
  return kind == "column" ? of + '.' + name : name + " on " + of;
}

std::vector<CatalogLine> catalog_lines(const Catalog& catalog, const FingerprintOptions& options) {
  Lines lines(options);
  for (const auto& table : catalog.tables) lines.add(table);
  for (const auto& sequence : catalog.sequences) lines.add(sequence);
  for (const auto& function : catalog.functions) lines.add(function);
  for (const auto& type : catalog.types) lines.add(type);
  for (const auto& extension : catalog.extensions) lines.add(extension);
  for (const auto& part : catalog.parts) lines.add(part);
  return std::move(lines).sorted();
}

}  // namespace poundlock::schema
