#include "engine/collector.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "rollout/question_text.h"
#include "schema/identifier.h"

namespace poundlock::engine {
namespace {

using rollout::Observation;
using rollout::Question;

constexpr Millis kReconnectAfter{1000};
constexpr Millis kViewEvery{5000};
constexpr std::size_t kSamplesMax = 1024;

// Read only, and bounded whatever the server is set to; LOCAL settings would need a transaction for each.
constexpr std::string_view kSettings[] = {
    "SET statement_timeout = '2s'", "SET lock_timeout = '200ms'", "SET default_transaction_read_only = on",
    "SET jit = off",  // compiling costs more than these statements run
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

Collector::Collector(ports::Databases databases, const rollout::Plan& plan) : plan_(plan) {
  primary_.database = databases.primary;
  primary_.source = "primary";
  for (std::size_t i = 0; i < databases.replicas.size(); ++i) {
    Server& replica = replicas_.emplace_back();
    replica.database = databases.replicas[i];
    replica.source = fmt::format("replica {}", i + 1);
  }
  for (const rollout::Gate* gate : rollout::all_gates()) {
    if (!gate->questions) continue;
    for (Question& question : gate->questions(plan)) {
      const rollout::Moments moments =
          question.in_baseline ? gate->moments | rollout::Moment::kBaseline : gate->moments;
      // Several gates may share a question: it is asked once, at every moment of any of them.
      const auto known = std::find_if(asked_.begin(), asked_.end(),
                                      [&](const Asked& one) { return one.question.name == question.name; });
      if (known != asked_.end()) {
        known->moments |= moments;
        continue;
      }
      Asked& asked = asked_.emplace_back();
      asked.moments = moments;
      asked.answers.resize(question.target == Question::Target::kPrimary ? 1 : replicas_.size());
      asked.question = std::move(question);
    }
  }
}

void Collector::collect(rollout::Observations& into, rollout::Moments moments, TimePoint now) {
  if (moments != 0) find_statements_view(now);
  double errors = 0;
  std::string detail;
  for (Asked& asked : asked_) {
    if ((asked.moments & moments) != 0 && now >= asked.due) {
      ask(asked, now);
      asked.due = now + asked.question.every;
    }
    tell(asked, into);
    if (asked.trouble.empty()) continue;
    ++errors;
    detail += fmt::format("{}{}: {}", detail.empty() ? "" : "; ", asked.question.name, asked.trouble);
  }
  into.values["collector.errors"] = {errors, now, "collector", detail};
  into.values["collector.replicas"] = {static_cast<double>(replicas_.size()), now, "collector", ""};
  // Not known while nobody answers: absent and unreachable are different things.
  if (primary_.session) {
    into.values["collector.pg_stat_statements"] = {statements_view_.empty() ? 0.0 : 1.0, now, "primary",
                                                   statements_trouble_};
  }
  if (evicted_.at.ms != 0) into.values["collector.statements_evicted"] = evicted_;
}

ports::Session* Collector::session(Server& server, TimePoint now) {
  if (server.session && server.session->broken()) server.session.reset();
  if (server.session) return server.session.get();
  if (!server.database || now < server.retry_at) return nullptr;
  server.retry_at = now + kReconnectAfter;
  auto connected = server.database->connect();
  if (!connected) {
    server.trouble = connected.error().to_string();
    return nullptr;
  }
  for (const std::string_view setting : kSettings) {
    if (auto set = (*connected)->run(std::string(setting)); !set) {
      server.trouble = set.error().to_string();
      return nullptr;
    }
  }
  server.trouble.clear();
  server.session = *std::move(connected);
  return server.session.get();
}

// The extension may be anywhere, may come while we run, and may be installed without being loaded.
void Collector::find_statements_view(TimePoint now) {
  if (now < statements_due_) return;
  statements_due_ = now + kViewEvery;
  ports::Session* on = session(primary_, now);
  if (!on) return;
  const auto where = on->run(
      "SELECT n.nspname, to_regclass(quote_ident(n.nspname) || '.pg_stat_statements_info') IS NOT NULL "
      "FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace "
      "WHERE e.extname = 'pg_stat_statements'");
  if (!where) {
    statements_trouble_ = where.error().to_string();
    return;
  }
  statements_view_.clear();
  statements_info_.clear();
  statements_trouble_ = "the extension pg_stat_statements is not installed in this database";
  if (where->rows.empty() || !where->rows[0][0]) return;
  const std::string schema = schema::force_quote_identifier(*where->rows[0][0]);
  const std::string view = schema + ".pg_stat_statements";
  const auto loaded = on->run(fmt::format("SELECT count(*) FROM {} LIMIT 1", view));
  if (!loaded) {
    statements_trouble_ = loaded.error().to_string();
    return;
  }
  statements_trouble_.clear();
  statements_view_ = view;
  if (where->rows[0][1] != "t") return;
  statements_info_ = schema + ".pg_stat_statements_info";
  if (const auto info = on->run(fmt::format("SELECT dealloc FROM {}", statements_info_));
      info && !info->rows.empty()) {
    if (const auto value = rollout::number_in(info->rows[0][0])) evicted_ = {*value, now, "primary", ""};
  }
}

void Collector::ask(Asked& asked, TimePoint now) {
  asked.trouble.clear();
  const bool primary = asked.question.target == Question::Target::kPrimary;
  for (std::size_t i = 0; i < asked.answers.size(); ++i) {
    Server& server = primary ? primary_ : replicas_[i];
    auto answers = ask_one(asked, server, now);
    if (!answers) {
      asked.trouble = fmt::format("{}: {}", server.source, answers.error().to_string());
      continue;
    }
    // What this answer leaves out is not known any more, but keeps its age: one NULL is no reason to hold.
    for (auto& [name, observation] : *answers) asked.answers[i][name] = std::move(observation);
  }
  if (asked.question.sliding.count() == 0) return;
  for (const auto& [name, observation] : combined(asked)) {
    auto& samples = asked.samples[name];
    if (samples.empty() || samples.back().first < observation.at)
      samples.emplace_back(observation.at, observation.value);
    while (!samples.empty() &&
           (samples.size() > kSamplesMax || now - samples.front().first > asked.question.sliding))
      samples.pop_front();
  }
}

Result<Collector::Answers> Collector::ask_one(const Asked& asked, Server& server, TimePoint now) {
  std::string sql = asked.question.sql;
  if (const auto at = sql.find(rollout::kStatementsView); at != std::string::npos) {
    if (statements_view_.empty())
      return fail(make_error(Disposition::kRetry, "collector.absent", statements_trouble_));
    sql.replace(at, rollout::kStatementsView.size(), statements_view_);
  }
  ports::Session* on = session(server, now);
  if (!on) {
    const std::string why = server.trouble.empty() ? "no connection" : server.trouble;
    return fail(make_error(Disposition::kReconnect, "collector.connection", why));
  }
  PL_TRY(const ports::Rows rows, on->run(ports::Sql{std::move(sql), asked.question.params}));
  Answers out;
  if (asked.question.digest) {
    out = asked.question.digest(rows.rows, plan_);
  } else if (!rows.rows.empty()) {
    for (std::size_t i = 0; i < rows.columns.size(); ++i) {
      if (const auto value = rollout::number_in(rows.rows[0][i])) out[rows.columns[i]].value = *value;
    }
  }
  for (auto& [name, observation] : out) {
    observation.at = now;
    observation.source = server.source;
  }
  return out;
}

// Of several replicas the largest value counts, with the age of the oldest: one that does not answer makes
// the whole observation go stale, instead of vanishing behind the others.
Collector::Answers Collector::combined(const Asked& asked) const {
  if (asked.answers.empty()) return {};
  Answers out = asked.answers.front();
  for (std::size_t i = 1; i < asked.answers.size(); ++i) {
    for (auto it = out.begin(); it != out.end();) {
      const auto other = asked.answers[i].find(it->first);
      if (other == asked.answers[i].end()) {
        it = out.erase(it);
        continue;
      }
      const TimePoint oldest = std::min(it->second.at, other->second.at);
      if (other->second.value > it->second.value) it->second = other->second;
      it->second.at = oldest;
      ++it;
    }
  }
  return out;
}

void Collector::tell(const Asked& asked, rollout::Observations& into) const {
  for (auto& [name, observation] : combined(asked)) {
    const std::string full = asked.question.name + "." + name;
    into.values[full] = observation;
    const auto samples = asked.samples.find(name);
    if (samples == asked.samples.end() || samples->second.empty()) continue;
    const auto& kept = samples->second;
    if (kept.back().first - kept.front().first < asked.question.sliding / 2) continue;
    std::vector<double> values;
    for (const auto& sample : kept) values.push_back(sample.second);
    into.values[full + "_median"] = {median(std::move(values)), kept.back().first, observation.source, ""};
  }
}

}  // namespace poundlock::engine
