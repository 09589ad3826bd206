#include "engine/checks/parity_touched.h"

#include <algorithm>

namespace poundlock::engine {
namespace {

constexpr int kRoundsMax = 32;  // views over views, functions that call functions

bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool in_name(char c) {
  return begins_name(c) || (c >= '0' && c <= '9') || c == '$';
}

// The identifier that begins at `at`; leaves `at` behind it. "" where a quote begins none: a literal may hold
// half a pair of them, and what follows has to be read all the same.
std::string read_name(std::string_view text, std::size_t& at) {
  std::string out;
  const std::size_t begin = at;
  if (text[at] != '"') {
    for (; at < text.size() && in_name(text[at]); ++at)
      out += text[at] >= 'A' && text[at] <= 'Z' ? static_cast<char>(text[at] - 'A' + 'a') : text[at];
    return out;
  }
  for (++at; at < text.size(); ++at) {
    if (text[at] == '"') {
      if (at + 1 == text.size() || text[at + 1] != '"') break;
      ++at;
    }
    out += text[at];
    if (out.size() > schema::kIdentifierBytesMax || text[at] == '\n') {
      at = begin + 1;
      return {};
    }
  }
  if (at < text.size()) ++at;
  return out;
}

bool opens_a_call(std::string_view text, std::size_t at) {
  at = text.find_first_not_of(" \t\n\r", at);
  return at != std::string_view::npos && text[at] == '(';
}

std::string signature_of(const schema::Function& function) {
  return schema::QualifiedName{function.schema, function.name}.to_sql() + '(' + function.arguments + ')';
}

}  // namespace

std::vector<NameInText> names_in(std::string_view text) {
  std::vector<NameInText> out;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '"' && !begins_name(text[at])) {
      // A number is no name, and neither is what follows its digits.
      const bool number = in_name(text[at]);
      do ++at;
      while (number && at < text.size() && in_name(text[at]));
      continue;
    }
    const bool cast = at >= 2 && text.substr(at - 2, 2) == "::";
    NameInText one{"", read_name(text, at)};
    if (one.name.empty()) continue;
    bool qualified = false;
    while (at + 1 < text.size() && text[at] == '.' && (text[at + 1] == '"' || begins_name(text[at + 1]))) {
      ++at;
      one = {std::move(one.name), read_name(text, at)};
      qualified = true;
      if (!one.name.empty()) out.push_back(one);
    }
    if (qualified) continue;
    one.called = cast || opens_a_call(text, at);
    out.push_back(std::move(one));
  }
  return out;
}

Touched::Touched(const Concern& concern, const schema::Catalog& from, const schema::Catalog& to)
    : concerned_(concern.tables) {
  for (const auto& table : concern.tables) tables_.insert(table.to_sql());
  // Twice: a trigger that only one side has calls a function whose other version calls something else.
  for (int round = 0; round < 2; ++round) {
    for (const auto* catalog : {&from, &to}) add_partitions(*catalog);
    for (const auto* catalog : {&from, &to}) add_related(*catalog);
  }
  // Where only one side has a member, nothing of the change's is missing: people come and go.
  const auto is_in = [](const schema::Catalog& catalog, const std::string& role) {
    return std::any_of(catalog.parts.begin(), catalog.parts.end(), [&](const schema::Part& part) {
      return (part.kind == "role" || part.kind == "other role") && part.name == role;
    });
  };
  std::erase_if(members_, [&](const std::string& role) { return !is_in(from, role) || !is_in(to, role); });
}

void Touched::add_partitions(const schema::Catalog& catalog) {
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto& part : catalog.parts)
      if ((part.kind == "partition" || part.kind == "inheritance") && tables_.contains(part.name))
        grew = tables_.insert(part.of).second || grew;
  }
}

void Touched::add_related(const schema::Catalog& catalog) {
  for (const auto& table : catalog.tables) {
    const std::string name = table.qualified().to_sql();
    if (tables_.contains(name))
      add_table(table);
    else
      add_referring(table, name);
  }
  add_parts(catalog);
  add_members(catalog);
  add_views(catalog);
  add_used(catalog);
  for (const auto& sequence : catalog.sequences) {
    const bool owned = std::any_of(tables_.begin(), tables_.end(), [&](const std::string& table) {
      return sequence.owned_by.starts_with(table + '.');
    });
    if (owned || used(sequence.schema, sequence.name))
      related_.insert(schema::QualifiedName{sequence.schema, sequence.name}.to_sql());
  }
}

void Touched::add_table(const schema::Table& table) {
  related_.insert(schema::quote_identifier(table.schema));
  for (const auto& trigger : table.triggers) use(trigger.definition);
  for (const auto& constraint : table.constraints) use(constraint.definition);
  for (const auto& index : table.indexes) use(index.definition);
  for (const auto& column : table.columns) {
    use(column.type);
    if (!column.collation.empty()) related_.insert(column.collation);
    if (column.default_expr) use(*column.default_expr);
  }
}

// Foreign keys to a touched table stand in the way of a change.
void Touched::add_referring(const schema::Table& table, const std::string& name) {
  for (const auto& constraint : table.constraints)
    if (tables_.contains(constraint.references))
      related_.insert(schema::quote_identifier(constraint.name) + " on " + name);
}

void Touched::add_parts(const schema::Catalog& catalog) {
  for (const auto& part : catalog.parts) {
    if (!tables_.contains(part.of)) continue;
    if (part.kind == "extension" || part.kind == "publication") related_.insert(part.name);
    if (part.kind == "policy" || part.kind == "rule") use(part.definition);
    if (part.kind == "grant") roles_.insert(part.name.substr(0, part.name.find(" (")));
    if (part.kind == "owner") roles_.insert(part.definition);
  }
}

// Who is a member of a role that uses the tables uses them, too.
void Touched::add_members(const schema::Catalog& catalog) {
  bool grew = true;
  for (int round = 0; grew && round < kRoundsMax; ++round) {
    grew = false;
    for (const auto& part : catalog.parts) {
      const std::size_t at = part.kind == "role" ? part.definition.find("member of ") : std::string::npos;
      if (at == std::string::npos || roles_.contains(part.name) || members_.contains(part.name)) continue;
      const std::string of = ' ' + part.definition.substr(at + 10) + ' ';
      const auto named = [&](const std::string& role) {
        return of.find(' ' + role + ' ') != std::string::npos;
      };
      if (std::any_of(roles_.begin(), roles_.end(), named) ||
          std::any_of(members_.begin(), members_.end(), named))
        grew = members_.insert(part.name).second || grew;
    }
  }
}

// Views over a touched table, and over such views: all of them are in the way of a change.
void Touched::add_views(const schema::Catalog& catalog) {
  bool grew = true;
  for (int round = 0; grew && round < kRoundsMax; ++round) {
    grew = false;
    for (const auto& view : catalog.tables) {
      const std::string name = view.qualified().to_sql();
      if (view.view_definition.empty() || related_.contains(name)) continue;
      for (const auto& one : names_in(view.view_definition)) {
        const std::string read = schema::QualifiedName{one.schema, one.name}.to_sql();
        if (one.schema.empty() || (!tables_.contains(read) && !related_.contains(read))) continue;
        grew = related_.insert(name).second || grew;
      }
    }
  }
}

// Functions that the tables call, functions and types that these use in turn, and functions that name a
// table.
void Touched::add_used(const schema::Catalog& catalog) {
  const auto names_a_table = [&](const schema::Function& function) {
    const auto all = names_in(function.definition);
    return std::any_of(all.begin(), all.end(), [&](const NameInText& one) {
      return std::any_of(concerned_.begin(), concerned_.end(), [&](const schema::QualifiedName& table) {
        return one.name == table.name && (one.schema.empty() || one.schema == table.schema);
      });
    });
  };
  for (const auto& function : catalog.functions)
    if (names_a_table(function)) related_.insert(signature_of(function));
  Names read;
  bool grew = true;
  for (int round = 0; grew && round < kRoundsMax; ++round) {
    grew = false;
    for (const auto& type : catalog.types) {
      const std::string name = schema::QualifiedName{type.schema, type.name}.to_sql();
      if (!used(type.schema, type.name) || !read.insert(name).second) continue;
      related_.insert(name);
      use(type.definition);
      grew = true;
    }
    for (const auto& function : catalog.functions) {
      if (!used(function.schema, function.name) || !read.insert(signature_of(function)).second) continue;
      related_.insert(signature_of(function));
      use(function.definition, true);
      grew = true;
    }
  }
}

// The server writes every name of people's with its schema, and columns without; people may leave it to the
// search_path.
void Touched::use(std::string_view text, bool written_by_people) {
  for (auto& one : names_in(text))
    if (!one.schema.empty() || (written_by_people && one.called))
      used_.insert({std::move(one.schema), std::move(one.name)});
}

bool Touched::used(const std::string& schema, const std::string& name) const {
  return used_.contains({schema, name}) || used_.contains({"", name});
}

bool Touched::has(const schema::CatalogLine& line) const {
  if (line.kind == "role") return has_role(line.name);
  if (line.kind == "event trigger") return true;        // acts on any DDL
  if (line.kind == "default privileges") return false;  // no change of a table that is there meets them
  if (line.kind == "publication" && line.of.empty() && line.traits.starts_with("all tables")) return true;
  if (tables_.contains(line.of) || related_.contains(line.of)) return true;
  if (line.of.empty()) return tables_.contains(line.name) || related_.contains(line.name);
  return related_.contains(line.name + " on " + line.of);
}

}  // namespace poundlock::engine
