#include "engine/checks/path_plans.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "base/json.h"
#include "schema/identifier.h"

namespace poundlock::engine {
namespace {

constexpr double kRowsThatMatter = 100;  // a guess that is off by fewer rows harms nobody
constexpr std::size_t kShapeMax = 300;

double number(const json::Object& node, std::string_view key) {
  const auto* value = node.if_contains(key);
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

std::string text(const json::Object& node, std::string_view key) {
  const auto* value = node.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

class PlanReader {
 public:
  explicit PlanReader(PlanFacts& facts) : facts_(facts) {}

  // `relation`: the table of a bitmap's heap scan above. `cut`: something above may stop early, so that
  // fewer rows are seen than there are.
  void read(const json::Object& node, std::string relation, bool cut) {
    const std::string type = text(node, "Node Type");
    std::string name = text(node, "Relation Name");
    if (!name.empty()) relation = schema::QualifiedName{text(node, "Schema"), name}.to_sql();
    const std::string index = text(node, "Index Name");
    describe(type, name, index);
    scan(node, type, relation, index);
    cut = cut || type == "Limit" || type.find("Join") != std::string::npos ||
          type.find("Nested Loop") != std::string::npos || type.find("SubPlan") != std::string::npos;
    if (!cut) compare_rows(node, type, name);
    const auto* below = node.if_contains("Plans");
    if (below == nullptr || !below->is_array()) return;
    for (const auto& child : below->get_array())
      if (child.is_object()) read(child.get_object(), relation, cut);
  }

 private:
  void describe(const std::string& type, const std::string& name, const std::string& index) {
    if (facts_.shape.size() > kShapeMax) return;
    facts_.shape += (facts_.shape.empty() ? "" : " > ") + type + (index.empty() ? "" : " " + index) +
                    (name.empty() ? "" : " on " + name);
  }

  void scan(const json::Object& node, const std::string& type, const std::string& relation,
            const std::string& index) {
    if (relation.empty()) return;
    RelationScan& scan = facts_.scans[relation];
    if (type == "Seq Scan" || type == "Sample Scan") scan.sequential = true;
    const bool narrowed = node.if_contains("Index Cond") != nullptr || type == "Tid Scan";
    if (!narrowed) return;
    scan.by_condition = true;
    if (scan.index.empty()) scan.index = index;
  }

  void compare_rows(const json::Object& node, const std::string& type, const std::string& name) {
    if (node.if_contains("Actual Rows") == nullptr || number(node, "Actual Loops") < 1) return;
    const double expected = std::max(1.0, number(node, "Plan Rows"));
    const double seen = std::max(1.0, number(node, "Actual Rows"));
    const double factor = std::max(expected / seen, seen / expected);
    if (std::abs(expected - seen) < kRowsThatMatter || factor <= facts_.worst_factor) return;
    facts_.worst_factor = factor;
    facts_.worst_node = fmt::format("{}{}: {:.0f} rows expected, {:.0f} seen", type,
                                    name.empty() ? "" : " on " + name, expected, seen);
  }

  PlanFacts& facts_;
};

constexpr const char* kName = "poundlock_generic";

// Prepared statements outlive a transaction that is rolled back: it is taken away also where EXPLAIN fails.
Result<ports::Rows> explain_generic(ports::Session& session, const std::string& sql,
                                    const std::vector<ports::Cell>& params) {
  std::string values;
  for (const auto& one : params)
    values += (values.empty() ? "" : ", ") + (one ? schema::quote_literal(*one) : "NULL");
  PL_CHECK(session.run("SET LOCAL plan_cache_mode = force_generic_plan"));
  PL_CHECK(session.run(fmt::format("PREPARE {} AS {}", kName, sql)));
  PL_CHECK(session.run("SAVEPOINT poundlock_generic"));
  auto rows = session.run(fmt::format("EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE {}{}", kName,
                                      values.empty() ? "" : "(" + values + ")"));
  if (session.broken()) return rows;
  PL_CHECK(session.run("ROLLBACK TO SAVEPOINT poundlock_generic"));
  PL_CHECK(session.run(fmt::format("DEALLOCATE {}", kName)));
  return rows;
}

}  // namespace

Result<PlanFacts> read_plan(std::string_view text) {
  PL_TRY(const auto value, json::parse(text, "EXPLAIN", json::kOwnLimits));
  const auto* list = value.if_array();
  const auto* top = list != nullptr && !list->empty() ? list->front().if_object() : nullptr;
  const auto* plan = top != nullptr ? top->if_contains("Plan") : nullptr;
  if (plan == nullptr || !plan->is_object()) return fail(internal_error("EXPLAIN gave no plan"));
  PlanFacts facts;
  facts.cost = number(plan->get_object(), "Total Cost");
  PlanReader(facts).read(plan->get_object(), "", false);
  return facts;
}

Result<PlanFacts> plan_facts(ports::Session& session, const std::string& sql,
                             const std::vector<ports::Cell>& params, const ExplainOptions& options) {
  PL_CHECK(session.run(fmt::format("SET LOCAL enable_seqscan = {}", options.sequential ? "on" : "off")));
  const std::string how = options.analyze ? "EXPLAIN (ANALYZE, VERBOSE, TIMING OFF, FORMAT JSON) "
                                          : "EXPLAIN (VERBOSE, FORMAT JSON) ";
  PL_TRY(const auto rows,
         options.generic ? explain_generic(session, sql, params) : session.run(how + sql, params));
  if (rows.rows.empty() || rows.rows[0].empty()) return fail(internal_error("EXPLAIN gave no plan"));
  return read_plan(rows.rows[0][0].value_or(""));
}

}  // namespace poundlock::engine
