// What a check of a change needs, without a server: the shadow, the database that it stands for where there
// is one, traffic and clock, as an engine::CheckContext. Made from --shadow, --database-url and
// poundlock.yaml. Used by one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/context.h"
#include "engine/checks.h"
#include "postgres/database.h"
#include "rollout/plan.h"
#include "rollout/spec.h"

namespace CLI {
class App;
}

namespace poundlock::cli {

struct WorkbenchArguments {
  std::string shadow;        // a URL; "": poundlock.yaml's, else one is made beside the database
  std::string database_url;  // "": poundlock.yaml's; may be absent where a shadow with tables is given
  std::string database;      // a name of poundlock.yaml; "" for the only one
  // Commands that make a shadow and take it away (postgres/hook_shadow.h); both or none, with a source.
  std::string shadow_create, shadow_destroy;
  bool in_place = false;   // work on a given shadow itself, not on a copy of it
  bool whole = false;      // copy the database as a whole, in which nobody may be
  std::uint64_t rows = 0;  // sampled from each table of a shadow that is made; 0: poundlock.yaml's, or 20,000
};
void add_workbench(CLI::App& verb, WorkbenchArguments& arguments);  // the options that fill it

class Workbench {
 public:
  // Opens what the arguments name; nothing is made yet. kUser "workbench.nothing" when there is neither a
  // shadow nor a database. `database`: the rollout file's, where the arguments name none.
  static Result<std::unique_ptr<Workbench>> open(Context& context, const WorkbenchArguments& arguments,
                                                 const std::string& database = "");
  ~Workbench();  // takes the shadow away

  // The production schema; without a source the shadow's own. kRefused where that bears no mark.
  Result<schema::Catalog> catalog();
  Result<rollout::Plan> plan(const rollout::RolloutSpec& spec);
  engine::CheckContext check(const rollout::Plan& plan) const { return {ports_, plan}; }

  const engine::ExecutorPorts& ports() const { return ports_; }
  ports::Database* source() const { return source_.get(); }  // null: none
  // What the caller should tell: a database of poundlock.yaml that cannot be opened.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  Workbench() = default;
  Status open_site(Context& context, const WorkbenchArguments& arguments, const std::string& database);
  Status open_hooks(Context& context);
  Status open_shadow(Context& context, const WorkbenchArguments& arguments);

  std::unique_ptr<postgres::PgDatabase> source_;
  std::unique_ptr<postgres::PgDatabase> given_;                      // the shadow's, for its catalog
  std::vector<std::unique_ptr<postgres::PgDatabase>> environments_;  // none of them is a shadow
  std::unique_ptr<ports::Shadow> shadow_;
  std::unique_ptr<ports::Traffic> traffic_;
  std::unique_ptr<ports::LockSampler> sampler_;
  std::string create_, destroy_;  // commands, of the arguments or of poundlock.yaml
  std::uint64_t rows_ = rollout::ShadowConfig{}.rows;
  std::vector<std::string> notes_;
  engine::ExecutorPorts ports_;
};

}  // namespace poundlock::cli
