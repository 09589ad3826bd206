// Which relations and columns a statement touches, read from its tree. What the tree alone cannot settle
// (an unqualified column with two tables in sight, SELECT *) is reported as possible: a reference gate that
// overlooks a reader drops a column under it.
// Pure functions on an immutable Statement; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schema/identifier.h"
#include "schema/sql.h"

namespace poundlock::schema {

struct RelationUse {
  QualifiedName name;
  std::string alias;     // the name that columns are qualified with; "" when it has none of its own
  bool written = false;  // INSERT, UPDATE, DELETE, MERGE, COPY FROM, TRUNCATE or DDL
  bool operator==(const RelationUse&) const = default;
};

struct ColumnReference {
  std::string qualifier;  // as written: "o" of o.status; "" when bare
  std::string column;
  bool written = false;                  // an INSERT's or COPY's column list, SET column =
  std::vector<QualifiedName> relations;  // those it can belong to; one: certain; none: none of the tables
  ByteRange range;                       // in the statement's text; empty where the grammar keeps no place
};

struct References {
  std::vector<RelationUse> relations;           // each use once, in order of appearance
  std::vector<ColumnReference> columns;         // each occurrence
  std::vector<QualifiedName> star;              // SELECT *, t.*, RETURNING *, COPY without a list, NATURAL
  std::vector<QualifiedName> whole_row;         // the row as one value: SELECT o FROM orders o
  std::vector<QualifiedName> inserts_unlisted;  // INSERT or COPY FROM without a column list
  std::vector<QualifiedName> copies_out;        // COPY t (columns) TO, as pg_dump writes it
  bool writes = false;                          // any part of it writes, a WITH's INSERT too
};

References references(const Statement& statement);

// How a statement touches one column. `all_columns`: by star, whole row or an insert without a list, which
// break or change when the column comes or goes, and which read it when it is there.
struct Touch {
  bool reads = false;
  bool writes = false;
  bool all_columns = false;
  bool any() const { return reads || writes || all_columns; }
};
// A relation without a schema in the statement, or in `table`, matches by its name.
Touch touches(const References& references, const QualifiedName& table, std::string_view column);
bool uses_relation(const References& references, const QualifiedName& table);

}  // namespace poundlock::schema
