#include "engine/traffic_script.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <set>

#include "engine/traffic_expression.h"

namespace poundlock::engine {
namespace {

constexpr std::size_t kRuns = 1'024;  // of all scripts together, of which the values are drawn
constexpr std::size_t kRunsMin = 8, kRunsMax = 64;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name(char c) {
  return c == '_' || is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// \set where `sql` is empty, else a command with $1, $2, ... for `names`.
struct Command {
  SourcePosition where;
  std::string name, expression;
  std::string sql;
  std::vector<std::string> names;
};

class Reader {
 public:
  Reader(std::string_view text, std::string file) : text_(text), file_(std::move(file)) {
    for (const char* known : {"scale", "client_id", "random_seed", "default_seed"}) set_.insert(known);
  }

  Result<std::vector<Command>> read() {
    while (skip_blank()) {
      if (text_[at_] == '\\') {
        PL_CHECK(meta());
      } else {
        PL_CHECK(command());
      }
      if (out_.size() > static_cast<std::size_t>(kTrafficStatementsMax) * 10)
        return fail(wrong("too many commands", at_));
    }
    return std::move(out_);
  }

 private:
  SourcePosition place(std::size_t at) const {
    const auto before = text_.substr(0, at);
    const auto newline = before.rfind('\n');
    const auto begin = newline == std::string_view::npos ? 0 : newline + 1;
    return {file_, 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n')),
            1 + static_cast<int>(at - begin)};
  }
  Error wrong(std::string message, std::size_t at) const {
    return user_error("traffic.script", std::move(message)).at(place(at));
  }
  bool starts(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  void to_end_of_line() {
    while (at_ < text_.size() && text_[at_] != '\n') ++at_;
  }
  // False: it does not end.
  bool skip_comment() {
    if (starts("--")) {
      to_end_of_line();
      return true;
    }
    int depth = 0;  // they nest
    do {
      if (at_ >= text_.size()) return false;
      const int step = starts("/*") ? 1 : starts("*/") ? -1 : 0;
      depth += step;
      at_ += step == 0 ? 1 : 2;
    } while (depth > 0);
    return true;
  }
  bool at_comment() const { return starts("--") || starts("/*"); }
  // White space and comments; false at the end.
  bool skip_blank() {
    while (at_ < text_.size()) {
      if (is_space(text_[at_])) {
        ++at_;
      } else if (!at_comment() || !skip_comment()) {
        return at_ < text_.size();
      }
    }
    return false;
  }
  std::string name_at(std::size_t at) const {
    std::size_t end = at;
    while (end < text_.size() && is_name(text_[end])) ++end;
    return std::string(text_.substr(at, end - at));
  }

  Error unknown(std::size_t at) const {
    return wrong(fmt::format("\\{} is not understood: only \\set and \\sleep are", name_at(at + 1)), at);
  }

  // To the end of its line; a backslash there continues it on the next.
  Status meta() {
    const std::size_t begin = at_;
    const std::string verb = name_at(begin + 1);
    std::string line;
    for (; at_ < text_.size() && text_[at_] != '\n'; ++at_) {
      const bool goes_on = text_[at_] == '\\' && at_ > begin && trimmed_line(at_ + 1);
      if (!goes_on) {
        line += text_[at_];
        continue;
      }
      while (text_[at_] != '\n') {
        line += ' ';
        ++at_;
      }
      line += ' ';
    }
    if (verb == "sleep") return {};  // the replay thinks for a moment after each statement
    if (verb != "set") return fail(unknown(begin));
    std::size_t at = 4;
    while (at < line.size() && is_space(line[at])) ++at;
    Command out;
    out.where = place(begin);
    out.name = name_at(begin + at);
    if (out.name.empty() || at == 4) return fail(wrong("\\set takes a name and an expression", begin));
    at += out.name.size();
    out.expression = line.substr(at);
    out.where.column += static_cast<int>(at);
    set_.insert(out.name);
    out_.push_back(std::move(out));
    return {};
  }
  bool trimmed_line(std::size_t at) const {  // nothing but white space to the end of a line
    while (at < text_.size() && text_[at] != '\n' && is_space(text_[at])) ++at;
    return at < text_.size() && text_[at] == '\n';
  }

  // What stands in quotes, as it is. Empty: no quote begins here.
  Result<std::string> quoted() {
    const std::size_t begin = at_;
    std::string_view close;
    if (text_[at_] == '\'' || text_[at_] == '"') {
      close = text_.substr(at_, 1);
    } else if (text_[at_] == '$' && (at_ == 0 || !is_name(text_[at_ - 1]))) {
      const auto end = at_ + 1 + name_at(at_ + 1).size();
      const bool tag = end < text_.size() && text_[end] == '$' && !is_digit(text_[at_ + 1]);
      if (tag) close = text_.substr(at_, end - at_ + 1);
    }
    if (close.empty()) return std::string();
    const auto end = text_.find(close, at_ + close.size());
    if (end == std::string_view::npos) return fail(wrong("the quote does not end", begin));
    for (std::size_t i = begin; i < end; ++i)
      if (text_[i] == ':' && close != "\"" && set_.contains(name_at(i + 1)))
        return fail(wrong(
            fmt::format("pgbench puts :{} into the text here; write it outside the quotes", name_at(i + 1)),
            i));
    at_ = end + close.size();
    return std::string(text_.substr(begin, at_ - begin));
  }

  // To its semicolon, :NAME replaced by $1, $2, ...
  Status command() {
    Command out;
    out.where = place(at_);
    while (at_ < text_.size() && text_[at_] != ';') {
      PL_TRY(const std::string text, quoted());
      if (!text.empty()) {
        out.sql += text;
      } else if (at_comment()) {
        if (!skip_comment()) return fail(wrong("the comment does not end", at_));
        out.sql += ' ';
      } else if (text_[at_] == '\\') {
        return fail(unknown(at_));  // \gset and the like end a command as well
      } else if (starts("::")) {
        out.sql += "::";
        at_ += 2;
      } else {
        PL_CHECK(character(out));
      }
    }
    if (at_ < text_.size()) ++at_;
    out.sql = trimmed(out.sql);
    if (out.sql.empty()) return {};
    std::string word = out.sql;
    for (char& c : word) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
    if (word == "BEGIN") out.sql = word;  // by which the player knows a transaction
    out_.push_back(std::move(out));
    return {};
  }

  Status character(Command& out) {
    const std::string name = text_[at_] == ':' ? name_at(at_ + 1) : "";
    // Digits are no name: arrays have bounds.
    if (name.empty() || std::ranges::all_of(name, is_digit)) {
      out.sql += text_[at_++];
      return {};
    }
    if (!set_.contains(name)) return fail(wrong(fmt::format("the variable {} is not set", name), at_));
    auto found = std::find(out.names.begin(), out.names.end(), name);
    if (found == out.names.end()) found = out.names.insert(out.names.end(), name);
    out.sql += fmt::format("${}", found - out.names.begin() + 1);
    at_ += 1 + name.size();
    return {};
  }

  std::string_view text_;
  std::string file_;
  std::size_t at_ = 0;
  std::set<std::string> set_;
  std::vector<Command> out_;
};

// One run of a script: the values of its commands, a row for each that is SQL.
Status run(const std::vector<Command>& commands, std::int64_t scale, Jitter& random,
           std::vector<std::vector<ports::Cell>>& rows) {
  TrafficVariables variables;
  variables["scale"].integer = scale;
  for (const char* seed : {"client_id", "random_seed", "default_seed"}) variables[seed] = {};
  for (const auto& one : commands) {
    if (one.sql.empty()) {
      PL_TRY(variables[one.name], traffic_value(one.expression, one.where, variables, random));
      continue;
    }
    std::vector<ports::Cell> row;
    for (const auto& name : one.names) row.emplace_back(variables.at(name).text());
    rows.push_back(std::move(row));
  }
  return {};
}

// The scripts' numbers in the order in which they are played: often those of great weight.
std::vector<std::size_t> order_of(std::span<const TrafficScript> scripts) {
  int divisor = 0, total = 0;
  for (const auto& script : scripts) divisor = std::gcd(divisor, script.weight);
  if (divisor == 0) return {};
  std::vector<int> credit(scripts.size(), 0);
  for (const auto& script : scripts) total += script.weight / divisor;
  std::vector<std::size_t> out;
  for (int turn = 0; turn < total; ++turn) {
    std::size_t best = 0;
    for (std::size_t i = 0; i < scripts.size(); ++i) {
      credit[i] += scripts[i].weight / divisor;
      if (credit[i] > credit[best]) best = i;
    }
    credit[best] -= total;
    out.push_back(best);
  }
  return out;
}

}  // namespace

Result<TrafficScript> parse_traffic_name(const std::string& name) {
  TrafficScript out;
  out.file = name;
  const auto at = name.rfind('@');
  if (at == std::string::npos) return out;
  const std::string weight = name.substr(at + 1);
  const auto read = std::from_chars(weight.data(), weight.data() + weight.size(), out.weight);
  if (weight.empty() || read.ec != std::errc() || read.ptr != weight.data() + weight.size() ||
      out.weight < 0 || out.weight > kTrafficWeightMax)
    return fail(user_error("traffic.weight", fmt::format("{}: the weight after @ is a number of 0 to {}",
                                                         name, kTrafficWeightMax)));
  out.file = name.substr(0, at);
  return out;
}

Result<std::vector<ports::TrafficStatement>> parse_traffic(std::span<const TrafficScript> scripts,
                                                           std::int64_t scale, Jitter& random) {
  std::vector<std::vector<Command>> all;
  for (const auto& script : scripts) {
    PL_TRY(auto commands, Reader(script.text, script.file).read());
    if (std::ranges::all_of(commands, [](const Command& one) { return one.sql.empty(); }))
      return fail(user_error("traffic.script", "no statement").at({script.file, 1, 1}));
    all.push_back(std::move(commands));
  }
  std::vector<ports::TrafficStatement> out;
  const auto order = order_of(scripts);
  for (const std::size_t number : order)
    for (const auto& one : all[number]) {
      if (one.sql.empty()) continue;
      out.push_back({fmt::format("{}:{}", one.where.file, one.where.line), one.sql, {}});
      if (out.size() > kTrafficStatementsMax)
        return fail(user_error("traffic.script",
                               fmt::format("the scripts have more than {} statements, each as often as its "
                                           "weight says",
                                           kTrafficStatementsMax)));
    }
  if (out.empty()) return fail(user_error("traffic.script", "no statement"));
  const std::size_t count = out.size(), runs = std::clamp(kRuns / count, kRunsMin, kRunsMax);
  for (std::size_t i = 0; i < runs; ++i) {
    std::vector<std::vector<ports::Cell>> rows;
    for (const std::size_t number : order) PL_CHECK(run(all[number], scale, random, rows));
    // The player takes the row of its count of statements: the same run for each of a round.
    for (std::size_t at = 0; at < count; ++at)
      if (!rows[at].empty()) out[at].samples.insert(out[at].samples.end(), count, rows[at]);
  }
  return out;
}

}  // namespace poundlock::engine
