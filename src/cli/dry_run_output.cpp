#include "cli/dry_run_output.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/xml.h"
#include "cli/bar.h"
#include "cli/table.h"
#include "cli/text.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
using engine::DryRunReport;
using engine::DryRunStatement;

bj::array names(const std::vector<std::string>& texts) {
  return bj::array(texts.begin(), texts.end());
}

bj::object statement_json(const DryRunStatement& one) {
  bj::array locks;
  for (const auto& lock : one.trace.locks)
    locks.push_back(bj::object{{"relation", lock.relation},
                               {"mode", lock.mode},
                               {"table", lock.table.empty() ? lock.relation : lock.table},
                               {"taken_here", lock.taken}});
  bj::object out{{"sql", one.trace.sql},
                 {"seconds", one.trace.seconds},
                 {"locks", std::move(locks)},
                 {"rewrites", names(one.trace.rewrites)},
                 {"scans", names(one.trace.scans)},
                 {"wal_bytes", one.trace.wal_bytes},
                 {"disk_bytes", one.trace.disk_bytes},
                 {"index_builds", names(one.trace.index_builds)},
                 {"notes", names(one.trace.notes)},
                 {"source", one.source},
                 {"blocks_writers", one.blocks_writers},
                 {"in_transaction", !one.trace.standalone},
                 {"scaled_seconds", one.scaled_seconds},
                 {"basis", one.basis}};
  if (one.line > 0) out["line"] = one.line;
  if (one.trace.error) out["error"] = error_json(*one.trace.error).at("error");
  return out;
}

std::string xml(std::string_view text) {
  return xml_escaped(clean_lines(text));
}

std::string first_line(const std::string& sql) {
  std::string line = clean(sql.substr(0, 400));
  std::string out;
  for (const char c : line)
    if (c != ' ' || (!out.empty() && out.back() != ' ')) out += c;
  return out;
}

// What steps begin with locks nothing and is nobody's statement; one of a file has its line.
bool is_of_ours(const DryRunStatement& one) {
  const std::string& sql = one.trace.sql;
  return one.line == 0 && !one.trace.error &&
         (sql.starts_with("SET LOCAL search_path = ") || sql.starts_with("SET search_path = "));
}

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : ", ") + text;
  return out;
}

// For people; --output json has all of them. A table of hundreds of partitions would make lines of 20,000
// characters.
constexpr std::size_t kNamed = 5;

std::string some_of(const std::vector<std::string>& texts) {
  std::string out;
  for (std::size_t i = 0; i < texts.size() && i < kNamed; ++i) out += (i == 0 ? "" : ", ") + texts[i];
  if (texts.size() > kNamed) out += fmt::format(" and {} more", texts.size() - kNamed);
  return out;
}

std::string lock_text(const engine::Trace& trace) {
  std::vector<std::string> locks;
  for (const auto& lock : trace.locks) {
    if (!lock.table.empty() || lock.mode == "AccessShareLock") continue;
    std::string mode = lock.mode;
    if (mode.ends_with("Lock")) mode.resize(mode.size() - 4);
    locks.push_back(mode + " on " + lock.relation);
  }
  return locks.empty() ? "-" : some_of(locks);
}

std::string work_text(const DryRunStatement& one) {
  std::string out;
  const auto add = [&](const char* what, const std::vector<std::string>& tables) {
    if (!tables.empty()) out += fmt::format("{}{} {}", out.empty() ? "" : "; ", what, some_of(tables));
  };
  if (one.trace.error) return one.trace.error->message;
  add("rewrites", one.trace.rewrites);
  add("builds", one.trace.index_builds);
  if (one.trace.rewrites.empty()) add("scans", one.trace.scans);
  return out.empty() ? "-" : out;
}

std::string bytes_text(std::int64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (bytes >= 10LL << 20) return fmt::format("{:.0f} MB", value / (1 << 20));
  if (bytes >= 10LL << 10) return fmt::format("{:.0f} kB", value / (1 << 10));
  return fmt::format("{} B", bytes);
}

std::string statement_of(const std::string& sql) {
  std::string text = sql;
  while (!text.empty() && (text.back() == ';' || text.back() == '\n')) text.pop_back();
  return text + ";\n";
}

}  // namespace

bj::object dry_run_json(const DryRunReport& report) {
  bj::array statements;
  for (const auto& one : report.statements) statements.push_back(statement_json(one));
  bj::array tables;
  for (const auto& size : report.shadow.tables)
    tables.push_back(bj::object{{"table", size.table.to_sql()},
                                {"source_rows", size.source_rows},
                                {"shadow_rows", size.shadow_rows},
                                {"source_bytes", size.source_bytes},
                                {"shadow_bytes", size.shadow_bytes}});
  bj::array left_out;
  for (const auto& one : report.left_out)
    left_out.push_back(
        bj::object{{"file", one.file}, {"line", one.line}, {"sql", one.sql}, {"why", one.why}});
  bj::object out{{"passed", report.passed},
                 {"seconds", report.seconds},
                 {"blocking_seconds", report.blocking_seconds},
                 {"statements", std::move(statements)},
                 {"queue", bj::object{{"longest_stall_ms", report.queue.longest_stall.count()},
                                      {"longest_stall_ms_without_policy",
                                       report.queue.longest_stall_without_policy.count()},
                                      {"transactions", report.queue.groups},
                                      {"application_statements", report.queue.statements},
                                      {"lock_tries", report.queue.lock_tries},
                                      {"failed", report.queue.failed},
                                      {"deadlocks", report.queue.deadlocks},
                                      {"notes", names(report.queue.notes)}}},
                 {"shadow", bj::object{{"description", report.shadow.description},
                                       {"statistics", report.shadow.statistics},
                                       {"kept", report.shadow.kept},
                                       {"tables", std::move(tables)}}},
                 {"why_not", names(report.why_not)},
                 {"left_out", std::move(left_out)},
                 {"notes", names(report.notes)}};
  if (report.replayed)
    out["replay"] = bj::object{{"statements", report.replay.statements},
                               {"errors", report.replay.errors},
                               {"contention", report.replay.long_waits + report.replay.deadlocks},
                               {"longest_wait_ms", report.replay.longest_wait.count()}};
  return out;
}

std::string dry_run_junit(const DryRunReport& report) {
  std::size_t failures = report.passed ? 0 : 1;
  std::string cases;
  for (const auto& one : report.statements) {
    cases += fmt::format("    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3f}\">", xml(one.source),
                         xml(first_line(one.trace.sql)), one.trace.seconds);
    if (one.trace.error) {
      ++failures;
      cases += fmt::format("<failure message=\"{}\"/>", xml(one.trace.error->to_string()));
    }
    cases += fmt::format("<system-out>{}</system-out></testcase>\n",
                         xml(lock_text(one.trace) + "; " + work_text(one)));
  }
  cases += "    <testcase classname=\"dry-run\" name=\"verdict\">";
  if (!report.passed) cases += fmt::format("<failure message=\"{}\"/>", xml(joined(report.why_not)));
  cases += "</testcase>\n";
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"poundlock dry-run\" "
      "tests=\"{}\" failures=\"{}\" time=\"{:.3f}\">\n{}  </testsuite>\n</testsuites>\n",
      report.statements.size() + 1, failures, report.seconds, cases);
}

std::string dry_run_text(const Context& context, const DryRunReport& report) {
  const Paint paint = context.paint();
  std::string out = paint(Colour::kDim, clean(report.shadow.description)) + "\n";
  if (!report.shadow.statistics.empty()) out += paint(Colour::kDim, clean(report.shadow.statistics)) + "\n";
  Table table({Column("#", Align::kRight), "statement", Column("seconds", Align::kRight),
               Column("on the real tables", Align::kRight), "locks", "work", Column("WAL", Align::kRight)});
  std::size_t number = 0;
  for (const auto& one : report.statements) {
    if (is_of_ours(one)) continue;
    std::string sql = fit(first_line(one.trace.sql), 60);
    table.add({fmt::format("{}", ++number), sql, fmt::format("{:.3f}", one.trace.seconds),
               fmt::format("{:.3f}", one.scaled_seconds),
               Cell(lock_text(one.trace), one.blocks_writers ? Colour::kYellow : Colour::kPlain),
               Cell(work_text(one), one.trace.error ? Colour::kRed : Colour::kPlain),
               bytes_text(one.trace.wal_bytes)});
  }
  out += table.render(paint, context.width);
  for (const auto& one : report.statements)
    if (!one.basis.empty())
      out += fmt::format("- {}: {}\n", clean(fit(first_line(one.trace.sql), 40)), clean(one.basis));
  if (report.queue.groups > 0)
    out += fmt::format(
        "lock queue: the application's longest stall is {} ms with our lock time-out and retries, {} ms "
        "without "
        "({} transaction{}, {} statements played)\n",
        report.queue.longest_stall.count(), report.queue.longest_stall_without_policy.count(),
        report.queue.groups, report.queue.groups == 1 ? "" : "s", report.queue.statements);
  if (report.replayed)
    out += fmt::format("traffic: {} statements played beside it, the longest wait for a lock {} ms\n",
                       report.replay.statements, report.replay.longest_wait.count());
  for (const auto* notes : {&report.notes, &report.queue.notes})
    for (const auto& note : *notes) out += "- " + clean(note) + "\n";
  for (const auto& why : report.why_not) out += paint(Colour::kRed, "no: ") + clean(why) + "\n";
  out += report.passed ? paint(Colour::kGreen, "passed") : paint(Colour::kRed, "did not pass");
  out += fmt::format(": {:.1f} s in all, {:.1f} s of them would block writers, the limit is {:.0f} s\n",
                     report.seconds, report.blocking_seconds, engine::kBlockingSecondsMax);
  return out;
}

std::string plan_sql_file(const rollout::Plan& plan) {
  std::string out = fmt::format("-- {}\n", clean(plan.rollout));
  for (const auto& item : plan.items) {
    if (!item.step || item.step->kind == change::StepKind::kCheck) continue;
    const change::Step& step = *item.step;
    const bool transaction = step.kind == change::StepKind::kTransaction;
    out +=
        fmt::format("\n-- {} ({}): {}\n", clean(step.id), change::to_string(step.phase), clean(step.title));
    if (step.in_step) {
      out += "-- batch by batch, rows where " + clean(step.in_step->out_of_step) + "\n";
      if (step.kind == change::StepKind::kBackfill)
        out += "-- UPDATE " + step.in_step->table + " SET " + clean(step.in_step->assignment) + "\n";
    }
    if (step.sql.empty()) continue;
    if (transaction) out += "BEGIN;\n";
    out +=
        fmt::format("SET{} lock_timeout = '{}ms';\n", transaction ? " LOCAL" : "", step.lock_timeout.count());
    if (step.statement_timeout.count() > 0)
      out += fmt::format("SET{} statement_timeout = '{}ms';\n", transaction ? " LOCAL" : "",
                         step.statement_timeout.count());
    for (const auto& sql : step.sql) out += statement_of(sql);
    if (transaction) out += "COMMIT;\n";
  }
  return out;
}

std::string scripts_sql_file(const std::vector<engine::Script>& scripts) {
  std::string out;
  for (const auto& script : scripts) {
    out += fmt::format("{}-- {}\n", out.empty() ? "" : "\n", clean(script.file));
    if (script.in_transaction) out += "BEGIN;\n";
    for (const auto& one : script.statements) out += statement_of(one.sql);
    if (script.in_transaction) out += "COMMIT;\n";
  }
  return out;
}

}  // namespace poundlock::cli
