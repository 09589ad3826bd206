#include "engine/traffic_script.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

namespace poundlock::engine {
namespace {

struct Range {
  std::int64_t low = 0, high = 0;
};

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}
bool is_name(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

class Reader {
 public:
  Reader(std::string_view text, std::string file, std::int64_t scale, Jitter& random)
      : text_(text), file_(std::move(file)), random_(random) {
    variables_["scale"] = {scale, scale};
    variables_["client_id"] = {0, 0};
  }

  Result<std::vector<ports::TrafficStatement>> read() {
    while (skip_blank()) {
      if (text_[at_] == '\\') {
        PL_CHECK(meta());
      } else {
        PL_CHECK(command());
      }
      if (out_.size() > kTrafficStatementsMax)
        return fail(wrong(fmt::format("more than {} statements", kTrafficStatementsMax)));
    }
    if (out_.empty()) return fail(wrong("no statement"));
    return std::move(out_);
  }

 private:
  Error wrong(std::string message) const {
    return user_error("traffic.script", std::move(message)).at({file_, line_, 1});
  }
  char next() {
    if (text_[at_] == '\n') ++line_;
    return text_[at_++];
  }
  // White space and comments; false at the end.
  bool skip_blank() {
    while (at_ < text_.size()) {
      if (is_space(text_[at_])) {
        next();
      } else if (text_.substr(at_).starts_with("--")) {
        while (at_ < text_.size() && text_[at_] != '\n') next();
      } else {
        return true;
      }
    }
    return false;
  }

  // INTEGER, or :NAME, or a product of two of them.
  std::optional<std::int64_t> number(std::string_view text) const {
    text = trimmed(text);
    if (const auto star = text.find('*'); star != std::string_view::npos) {
      const auto a = number(text.substr(0, star)), b = number(text.substr(star + 1));
      std::int64_t product = 0;
      if (!a || !b || __builtin_mul_overflow(*a, *b, &product)) return std::nullopt;
      return product;
    }
    if (text.starts_with(':')) {
      const auto found = variables_.find(std::string(text.substr(1)));
      if (found == variables_.end() || found->second.low != found->second.high) return std::nullopt;
      return found->second.low;
    }
    std::int64_t value = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end.ec != std::errc() || end.ptr != text.data() + text.size()) return std::nullopt;
    return value;
  }

  Status meta() {
    const std::size_t begin = at_;
    const Error unknown = wrong("only \\set NAME NUMBER and \\set NAME random(LOW, HIGH) are understood");
    while (at_ < text_.size() && text_[at_] != '\n') next();
    std::string_view line = trimmed(text_.substr(begin, at_ - begin));
    if (line.starts_with("\\sleep")) return {};  // the replay thinks for a moment after each statement
    if (!line.starts_with("\\set ")) return fail(unknown);
    line = trimmed(line.substr(5));
    std::size_t size = 0;
    while (size < line.size() && is_name(line[size])) ++size;
    const std::string name(line.substr(0, size));
    std::string_view value = trimmed(line.substr(size));
    if (name.empty()) return fail(unknown);
    if (!value.starts_with("random")) {
      const auto one = number(value);
      if (!one) return fail(unknown);
      variables_[name] = {*one, *one};
      return {};
    }
    value = trimmed(value.substr(6));
    const auto comma = value.find(',');
    if (!value.starts_with('(') || !value.ends_with(')') || comma == std::string_view::npos)
      return fail(unknown);
    const auto low = number(value.substr(1, comma - 1));
    const auto high = number(value.substr(comma + 1, value.size() - comma - 2));
    if (!low || !high || *low > *high) return fail(unknown);
    variables_[name] = {*low, *high};
    return {};
  }

  // To the semicolon that stands in no quotes, :NAME replaced by $1, $2, ...
  Status command() {
    const int line = line_;
    std::string sql;
    std::vector<std::string> used;
    char quote = '\0';
    while (at_ < text_.size() && (quote != '\0' || text_[at_] != ';')) {
      const char c = next();
      if (quote != '\0') {
        if (c == quote) quote = '\0';
        sql += c;
        continue;
      }
      if (c == '\'' || c == '"') quote = c;
      const bool cast = c == ':' && at_ < text_.size() && text_[at_] == ':';
      if (cast) {
        next();
        sql += "::";
        continue;
      }
      if (c != ':' || at_ == text_.size() || !is_name(text_[at_])) {
        sql += c;
        continue;
      }
      std::string name;
      while (at_ < text_.size() && is_name(text_[at_])) name += next();
      if (!variables_.contains(name)) return fail(wrong(fmt::format("the variable {} is not set", name)));
      auto place = std::find(used.begin(), used.end(), name);
      if (place == used.end()) place = used.insert(used.end(), name);
      sql += fmt::format("${}", place - used.begin() + 1);
    }
    if (at_ < text_.size()) next();
    add(std::string(trimmed(sql)), used, line);
    return {};
  }

  void add(std::string sql, const std::vector<std::string>& used, int line) {
    if (sql.empty()) return;
    std::string word;
    for (const char c : sql.substr(0, 6)) word += static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
    if (word == "BEGIN") sql = "BEGIN";
    ports::TrafficStatement statement{fmt::format("{}:{}", file_, line), std::move(sql), {}};
    for (int i = 0; !used.empty() && i < kTrafficSamples; ++i) {
      std::vector<ports::Cell> row;
      for (const auto& name : used) {
        const Range range = variables_.at(name);
        const auto width = static_cast<std::uint64_t>(range.high - range.low) + 1;
        const std::uint64_t offset = width == 0 ? random_.next() : random_.next() % width;
        row.emplace_back(std::to_string(range.low + static_cast<std::int64_t>(offset)));
      }
      statement.samples.push_back(std::move(row));
    }
    out_.push_back(std::move(statement));
  }

  std::string_view text_;
  std::string file_;
  Jitter& random_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::map<std::string, Range> variables_;
  std::vector<ports::TrafficStatement> out_;
};

}  // namespace

Result<std::vector<ports::TrafficStatement>> parse_traffic(std::string_view text, const std::string& file,
                                                           std::int64_t scale, Jitter& random) {
  return Reader(text, file, scale, random).read();
}

}  // namespace poundlock::engine
