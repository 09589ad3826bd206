// What lint asks a server: the catalog, and whether it reads what the grammar here does not. Changes nothing:
// every statement it sends is only parsed. One thread.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "cli/context.h"
#include "lint/lint.h"
#include "schema/catalog.h"

namespace poundlock::cli {

class LintServer {
 public:
  // Of the database: its catalog as it is now.
  static Result<LintServer> connect(ports::Database& database, bool with_catalog);

  const schema::Catalog& catalog() const { return catalog_; }
  // Of every kind and schema, without it; those of extensions, which the catalog leaves out, too.
  const std::set<std::string, std::less<>>& relations() const { return relations_; }

  // Asks about each "syntax" and "too_large" finding that knows its statement. What the server reads becomes
  // "newer_syntax"; of the others it is said that the server refuses them, too.
  Status judge(lint::Report& report);

 private:
  // nullopt: it reads it; else what it says.
  Result<std::optional<std::string>> refuses(const std::string& statement);

  std::unique_ptr<ports::Session> session_;
  schema::Catalog catalog_;
  std::set<std::string, std::less<>> relations_;
  std::string version_;  // "PostgreSQL 17.2"
};

}  // namespace poundlock::cli
