// A plan for machines and for people: of a rollout and of plain SQL alike. Pure but for the context that it
// prints to. One thread.
#pragma once

#include <boost/json.hpp>
#include <span>

#include "cli/context.h"
#include "migration/sql_plan.h"

namespace poundlock::cli {

// {id, phase, transaction_group, sql, lock_mode, lock_table, lock_timeout_ms, rewrites, scans, undo, probe}
// and what else is known; times in the unit that their name tells.
boost::json::array steps_json(std::span<const migration::SqlStep> steps);
boost::json::array decisions_json(std::span<const migration::Decision> decisions);
// The steps of a rollout's plan, each transaction a group of its own. `catalog` may be null.
std::vector<migration::SqlStep> steps_of(const rollout::Plan& plan, const schema::Catalog* catalog);

void print_sql_plan(Context& context, const migration::SqlPlan& plan, bool sql);
// Statements one below the other, each with its semicolon, under a comment.
void print_statements(Context& context, std::string_view title, const std::vector<std::string>& sql);

std::string steps_text(std::size_t count);  // "1 step", "2 steps"

// Cells that both tables share.
std::string lock_of(const change::Step& step);  // "AccessExclusive", "-"
std::string timeouts_of(
    const change::Step& step);  // the lock's for a try, and the statement's where there is one

}  // namespace poundlock::cli
