// What a change of some tables may meet, found in the catalogs of both sides: partitions, the functions and
// types that the tables use, views and functions that read them, roles with rights on them. A name in a text
// counts where it can be the object's: rather too much is compared than too little, but a name that is only
// part of another one is another name. Values; not for several threads.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "engine/checks/parity_sides.h"
#include "schema/catalog_lines.h"

namespace poundlock::engine {

// A name in SQL: "shop.touch" of "EXECUTE FUNCTION shop.touch()". Unquoted parts in lower case. Inside of
// literals and comments, too: nextval('shop.numbers'::regclass), EXECUTE 'SELECT ...'.
struct NameInText {
  std::string schema;  // "" where none was written
  std::string name;
  bool called = false;  // without a schema: "(" follows it, or "::" comes before it
  bool operator==(const NameInText&) const = default;
};
std::vector<NameInText> names_in(std::string_view text);

class Touched {
 public:
  Touched(const Concern& concern, const schema::Catalog& from, const schema::Catalog& to);

  bool has(const schema::CatalogLine& line) const;
  bool has_role(const std::string& role) const { return roles_.contains(role) || members_.contains(role); }

 private:
  using Names = std::unordered_set<std::string>;
  void add_partitions(const schema::Catalog& catalog);
  void add_related(const schema::Catalog& catalog);
  void add_table(const schema::Table& table);
  void add_referring(const schema::Table& table, const std::string& name);
  void add_parts(const schema::Catalog& catalog);
  void add_members(const schema::Catalog& catalog);
  void add_views(const schema::Catalog& catalog);
  void add_used(const schema::Catalog& catalog);
  void use(std::string_view text, bool written_by_people = false);
  bool used(const std::string& schema, const std::string& name) const;

  std::vector<schema::QualifiedName> concerned_;
  Names tables_, related_, roles_;
  Names members_;                         // of these roles, directly or not
  std::set<schema::QualifiedName> used_;  // names in the definitions of what is touched
};

}  // namespace poundlock::engine
