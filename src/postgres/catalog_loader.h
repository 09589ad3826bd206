// Reads a database's schema into schema::Catalog through catalog queries that any role may run.
// Objects of extensions, temporary objects and system schemas are left out. The session must have
// search_path = pg_catalog (ours do), so that types and functions come out qualified.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "ports/database.h"
#include "schema/catalog.h"
#include "schema/identifier.h"

namespace poundlock::postgres {

struct CatalogFilter {
  std::vector<std::string> schemas;           // unquoted; empty: all
  std::vector<schema::QualifiedName> tables;  // empty: all; functions and types are not filtered by it
  bool whole = false;   // Catalog::parts too, of all tables; a plan needs none of it, and it costs its time
  bool bounds = false;  // of Catalog::parts those of kind "partition": which one is the default, above all
};

// One pipeline of queries. Sees the effects of the session's own open transaction. Definitions are the
// server's own texts (pg_get_*def), so that equal schemas give equal texts on equal server versions.
Result<schema::Catalog> load_catalog(ports::Session& session, const CatalogFilter& filter = {});

}  // namespace poundlock::postgres
