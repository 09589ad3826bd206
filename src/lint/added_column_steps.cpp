// Source of the steps: PostgreSQL's documentation of ALTER TABLE (notes); each sequence runs on a server in
// tests/scenario/lint_examples_test.cpp.
#include <fmt/format.h>

#include <algorithm>

#include "lint/columns.h"
#include "schema/expression.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::quote_identifier;

// The integer under a serial type; "" for any other.
std::string_view serial_integer(std::string_view type) {
  if (type == "bigserial" || type == "serial8") return "bigint";
  if (type == "smallserial" || type == "serial2") return "smallint";
  return type == "serial" || type == "serial4" ? "integer" : "";
}

class Steps {
 public:
  explicit Steps(const AddedColumn& column)
      : column_(column), table_(column.action.table), name_(column.plain_name) {}

  std::string text() {
    add(column_.bare());
    values();
    if (column_.traits.not_null || column_.traits.primary || column_.traits.serial || column_.traits.identity)
      add(not_null_in_steps(table_, name_));
    if (column_.traits.identity) become_identity();
    for (std::size_t i = 0; i < column_.pieces.size(); ++i) constraint(i);
    return possible_ ? text_ : "";
  }

 private:
  void add(const std::string& statements) {
    if (!text_.empty()) text_ += '\n';
    text_ += statements;
  }
  std::string own(std::string_view role) const { return schema::derive_name(table_.name, name_, role); }
  std::string qualified(std::string_view role) const {
    return schema::QualifiedName{table_.schema, own(role)}.to_sql();
  }
  // What stands behind the words in the piece: "now()" of "DEFAULT now()".
  static std::string behind(const ColumnPiece& piece, std::string_view word) {
    const std::string text = piece.text.substr(std::min(word.size(), piece.text.size()));
    const std::size_t begin = text.find_first_not_of(" \t\r\n");
    return begin == std::string::npos ? "" : text.substr(begin);
  }

  void fill(const std::string& expression, const std::string& where) {
    add(fmt::format("-- in batches:\nUPDATE {} SET {} = {} WHERE {};", table_.to_sql(), column_.name,
                    expression, where));
  }

  void values() {
    const ColumnPiece* formula = column_.piece(PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED);
    if (formula != nullptr) return derive(*formula);
    std::string expression;
    if (column_.traits.serial || column_.traits.identity) {
      expression = sequence();
    } else if (const ColumnPiece* piece = column_.piece(PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT)) {
      expression = behind(*piece, "DEFAULT");
    } else if (column_.traits.not_null || column_.traits.primary) {
      return add("-- write it from the application or a trigger, and fill the old rows in batches; then:");
    } else {
      return;
    }
    add(fmt::format("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {};", table_.to_sql(), column_.name,
                    expression));
    fill(expression, column_.name + " IS NULL");
  }

  // A sequence of the column's own, and the call that takes its next value.
  std::string sequence() {
    const ColumnPiece* identity = column_.piece(PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY);
    // Options would have to be given twice, and SEQUENCE NAME fits one of the two only.
    if (identity != nullptr && identity->text.find('(') != std::string::npos) possible_ = false;
    const std::string sequence = qualified(identity != nullptr ? "fill" : "seq");
    const std::string_view integer = serial_integer(column_.type_name);
    add(fmt::format("CREATE SEQUENCE {}{}{} OWNED BY {}.{};", sequence, integer.empty() ? "" : " AS ",
                    integer, table_.to_sql(), column_.name));
    // An identity asks no right on its sequence of those who insert; a default that calls nextval() does.
    if (identity != nullptr) add(fmt::format("GRANT USAGE ON SEQUENCE {} TO PUBLIC;", sequence));
    return fmt::format("nextval({})", schema::quote_literal(sequence));
  }

  // An identity column has to be NOT NULL first, and brings a sequence that starts anew: it goes on from the
  // one that has filled the rows.
  void become_identity() {
    const ColumnPiece* identity = column_.piece(PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY);
    add(fmt::format(
        "BEGIN;\nALTER TABLE {0} ALTER COLUMN {1} DROP DEFAULT, ALTER COLUMN {1} ADD {2};\n"
        "SELECT setval(pg_get_serial_sequence({3}, {4}), nextval({5}), false);\nCOMMIT;\n"
        "DROP SEQUENCE {6};",
        table_.to_sql(), column_.name, identity->text, schema::quote_literal(table_.to_sql()),
        schema::quote_literal(name_), schema::quote_literal(qualified("fill")), qualified("fill")));
  }

  // PostgreSQL cannot make a plain column a generated one: a trigger computes it.
  void derive(const ColumnPiece& formula) {
    const std::size_t open = formula.text.find('(');
    const std::size_t close = formula.text.rfind(')');
    if (open == std::string::npos || close == std::string::npos || close < open) {
      possible_ = false;
      return;
    }
    const std::string expression = formula.text.substr(open + 1, close - open - 1);
    const auto of_row = schema::qualify_columns(expression, "NEW");
    if (!of_row || of_row->find("$poundlock$") != std::string::npos) {
      possible_ = false;
      return;
    }
    const std::string function = qualified("derive");
    add(
        fmt::format("CREATE FUNCTION {0}() RETURNS trigger LANGUAGE plpgsql AS $poundlock$\n"
                    "BEGIN\n  NEW.{1} := {2};\n  RETURN NEW;\nEND\n$poundlock$;\n"
                    "CREATE TRIGGER {3} BEFORE INSERT OR UPDATE ON {4} FOR EACH ROW EXECUTE FUNCTION {0}();",
                    function, column_.name, *of_row, quote_identifier(own("derive")), table_.to_sql()));
    fill(expression, fmt::format("{} IS DISTINCT FROM ({})", column_.name, expression));
  }

  // DEFERRABLE and the like are pieces of their own behind the constraint that they belong to.
  std::string attributes(std::size_t index) const {
    std::string text;
    for (std::size_t i = index + 1; i < column_.pieces.size(); ++i) {
      if (column_.pieces[i].constraint->contype < PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRABLE) break;
      text += " " + column_.pieces[i].text;
    }
    return text;
  }

  // The constraint's name, quoted: its own or one that is derived.
  std::string name_of(const PgQuery__Constraint& constraint, std::string_view role) const {
    const std::string_view given = schema::text_of(constraint.conname);
    return quote_identifier(given.empty() ? own(role) : given);
  }
  // The piece without CONSTRAINT name in front.
  std::string body(const ColumnPiece& piece) const {
    if (schema::text_of(piece.constraint->conname).empty()) return piece.text;
    const auto tokens = schema::scan(piece.text);
    return tokens && tokens->size() > 2 ? piece.text.substr((*tokens)[2].range.begin) : piece.text;
  }

  void constraint(std::size_t index) {
    const ColumnPiece& piece = column_.pieces[index];
    const PgQuery__Constraint& constraint = *piece.constraint;
    const bool primary = constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
    switch (constraint.contype) {
      case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY:
      case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE: {
        if (constraint.n_options > 0 || !schema::text_of(constraint.indexspace).empty()) possible_ = false;
        const std::string name = primary && schema::text_of(constraint.conname).empty()
                                     ? quote_identifier(schema::derive_name({table_.name, "pkey"}))
                                     : name_of(constraint, "key");
        return add(
            fmt::format("CREATE UNIQUE INDEX CONCURRENTLY {0} ON {1} ({2}){5};\n"
                        "ALTER TABLE {1} ADD CONSTRAINT {0} {3} USING INDEX {0}{4};",
                        name, table_.to_sql(), column_.name, primary ? "PRIMARY KEY" : "UNIQUE",
                        attributes(index), constraint.nulls_not_distinct ? " NULLS NOT DISTINCT" : ""));
      }
      case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK:
        return not_valid(name_of(constraint, "check"), body(piece), attributes(index));
      case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
        return not_valid(name_of(constraint, "fkey"),
                         fmt::format("FOREIGN KEY ({}) {}", column_.name, body(piece)), attributes(index));
      default: return;
    }
  }

  void not_valid(const std::string& name, const std::string& body, const std::string& attributes) {
    add(fmt::format(
        "ALTER TABLE {0} ADD CONSTRAINT {1} {2}{3} NOT VALID;\nALTER TABLE {0} VALIDATE CONSTRAINT {1};",
        table_.to_sql(), name, body, attributes));
  }

  const AddedColumn& column_;
  const schema::QualifiedName& table_;
  const std::string name_;
  std::string text_;
  bool possible_ = true;
};

}  // namespace

std::string AddedColumn::bare() const {
  const std::string_view integer = serial_integer(type_name);
  return fmt::format("ALTER TABLE {} ADD COLUMN {}{} {};", action.table.to_sql(),
                     action.command.missing_ok ? "IF NOT EXISTS " : "", name,
                     integer.empty() ? std::string_view(type) : integer);
}

std::string AddedColumn::in_steps() const {
  return Steps(*this).text();
}

std::string not_null_in_steps(const schema::QualifiedName& table, std::string_view column, std::string name) {
  if (name.empty()) name = schema::derive_name(table.name, column, "not_null");
  return fmt::format(
      "ALTER TABLE {0} ADD CONSTRAINT {1} CHECK ({2} IS NOT NULL) NOT VALID;\n"
      "ALTER TABLE {0} VALIDATE CONSTRAINT {1};\nALTER TABLE {0} ALTER COLUMN {2} SET NOT NULL;\n"
      "ALTER TABLE {0} DROP CONSTRAINT {1};",
      table.to_sql(), quote_identifier(name), quote_identifier(column));
}

}  // namespace poundlock::lint
