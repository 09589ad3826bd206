// Scripts of SQL as authors write them, made at random and valid: each statement is run where the script
// would run it, and kept if PostgreSQL takes it. The same seed gives the same script.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ports/database.h"
#include "schema/catalog.h"

namespace poundlock::scenario {

// Several schemas, quoted names, partitions, children, identity, generated and serial columns, views, rows.
extern const char* const kRandomWorld;

class RandomScript {
 public:
  explicit RandomScript(std::uint64_t seed);
  // At most `statements_max`. Tried in a transaction of `session` that is rolled back; what `wanted` refuses
  // is left out.
  using Wanted = std::function<bool(const std::vector<std::string>& statements)>;
  std::vector<std::string> make(ports::Session& session, std::size_t statements_max, const Wanted& wanted);
  std::size_t below(std::size_t n);
  bool chance(int percent) { return below(100) < static_cast<std::size_t>(percent); }

 private:
  std::string statement();
  std::string alter();
  std::string action(const schema::Table& table);
  std::string add_column();
  std::string add_constraint(const schema::Table& table);
  std::string index();
  std::string create_table();
  std::string drop();
  std::string rename();
  std::string rows();
  std::string view();
  std::string code();
  std::string other();
  std::string setting();

  const schema::Table& table(const std::string& kinds);
  std::string name(const schema::Table& table);  // with its schema or without
  std::string column(const schema::Table& table);
  std::string expression(const schema::Table& table, std::string& type);
  std::string new_name();
  std::string type();
  std::string pick(std::initializer_list<const char*> words);

  std::uint64_t state_;
  schema::Catalog catalog_;
  std::string path_ = "public";  // first schema of the search_path
  std::vector<std::string> dropped_;
};

}  // namespace poundlock::scenario
