// A SQLite store in a folder of its own, for tests.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "store/sqlite.h"
#include "store/sqlite_store.h"
#include "store/store_contract.h"

namespace poundlock::store {

class SqliteFixture : public StoreFixture {
 public:
  SqliteFixture() {
    std::string name = (std::filesystem::temp_directory_path() / "poundlock-store-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) folder_ = name;
  }
  ~SqliteFixture() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return (folder_ / "state.db").string(); }
  Result<std::unique_ptr<ports::StateStore>> open() override { return open_sqlite({path(), Millis{200}, 0}); }
  Result<std::unique_ptr<ports::StateStore>> open_nearly_full() override {
    return open_sqlite({path(), Millis{200}, 40});
  }
  bool change_value(const std::string& key) override {
    return run("UPDATE entries SET value = CAST('q' || substr(value, 2) AS BLOB) WHERE key = '" + key + "'");
  }
  bool change_audit(std::int64_t sequence) override {
    return run("DROP TRIGGER audit_no_update; UPDATE audit SET why = CAST('x' AS BLOB) WHERE sequence = " +
               std::to_string(sequence));
  }
  bool cut_audit_tail(std::int64_t last_kept) override {
    return run("DROP TRIGGER audit_no_delete; DELETE FROM audit WHERE sequence > " +
               std::to_string(last_kept));
  }
  // As somebody with the file and SQLite's own tool would.
  bool run(const std::string& sql) {
    auto database = Sqlite::open(path(), false, Millis{200});
    return database && database->run(sql).has_value();
  }

 private:
  std::filesystem::path folder_;
};

inline std::unique_ptr<StoreFixture> make_sqlite_fixture() {
  return std::make_unique<SqliteFixture>();
}

}  // namespace poundlock::store
