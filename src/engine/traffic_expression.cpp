#include "engine/traffic_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <vector>

namespace poundlock::engine {
namespace {

constexpr int kDepthMax = 100;  // of parentheses
constexpr std::size_t kArgumentsMax = 32;
constexpr int kTriesMax = 1'000;  // of a distribution that is cut off
constexpr double kGaussianMin = 2.0;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_word(char c) {
  return c == '_' || is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

TrafficNumber integer(std::int64_t value) {
  return {false, value, 0};
}
TrafficNumber real(double value) {
  return {true, 0, value};
}

class Evaluator {
 public:
  Evaluator(std::string_view text, SourcePosition where, const TrafficVariables& variables, Jitter& random)
      : text_(text), where_(std::move(where)), variables_(variables), random_(random) {}

  Result<TrafficNumber> whole() {
    PL_TRY(const auto value, sum());
    skip();
    if (at_ < text_.size()) return fail(wrong(fmt::format("\"{}\" is not understood", rest())));
    return value;
  }

 private:
  std::string rest() const {
    std::size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    return std::string(text_.substr(at_, std::max<std::size_t>(1, end - at_)));
  }
  Error wrong(std::string message) const {
    SourcePosition place = where_;
    place.column += static_cast<int>(at_);
    return user_error("traffic.script", std::move(message)).at(place);
  }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Result<TrafficNumber> sum() {
    PL_TRY(auto left, product());
    for (;;) {
      const char sign = take('+') ? '+' : take('-') ? '-' : '\0';
      if (sign == '\0') return left;
      PL_TRY(const auto right, product());
      PL_TRY(left, combine(sign, left, right));
    }
  }
  Result<TrafficNumber> product() {
    PL_TRY(auto left, unary());
    for (;;) {
      const char sign = take('*') ? '*' : take('/') ? '/' : take('%') ? '%' : '\0';
      if (sign == '\0') return left;
      PL_TRY(const auto right, unary());
      PL_TRY(left, combine(sign, left, right));
    }
  }
  Result<TrafficNumber> unary() {
    if (++depth_ > kDepthMax) return fail(wrong("the expression is nested too deeply"));
    Result<TrafficNumber> value = TrafficNumber{};
    if (take('-')) {
      PL_TRY(const auto one, unary());
      value = combine('-', integer(0), one);
    } else if (take('+')) {
      value = unary();
    } else {
      value = primary();
    }
    --depth_;
    return value;
  }
  Result<TrafficNumber> combine(char sign, const TrafficNumber& a, const TrafficNumber& b) const {
    if (sign == '%' && (a.real || b.real)) return fail(wrong("% takes integers"));
    if (a.real || b.real) {
      if (sign == '/' && b.value() == 0) return fail(wrong("division by zero"));
      const double x = a.value(), y = b.value();
      return real(sign == '+' ? x + y : sign == '-' ? x - y : sign == '*' ? x * y : x / y);
    }
    const std::int64_t x = a.integer, y = b.integer;
    std::int64_t out = 0;
    bool over = false;
    switch (sign) {
      case '+': over = __builtin_add_overflow(x, y, &out); break;
      case '-': over = __builtin_sub_overflow(x, y, &out); break;
      case '*': over = __builtin_mul_overflow(x, y, &out); break;
      default:
        if (y == 0) return fail(wrong("division by zero"));
        over = y == -1 && x == INT64_MIN;
        if (!over) out = sign == '/' ? x / y : x % y;
    }
    if (over) return fail(wrong("the number is out of range"));
    return integer(out);
  }

  Result<TrafficNumber> primary() {
    if (take('(')) {
      PL_TRY(const auto value, sum());
      if (!take(')')) return fail(wrong("a ) is missing"));
      return value;
    }
    skip();
    if (at_ == text_.size()) return fail(wrong("a number is missing"));
    if (text_[at_] == ':') {
      ++at_;
      const std::string name = rest();
      const auto found = variables_.find(name);
      if (found == variables_.end()) return fail(wrong(fmt::format("the variable {} is not set", name)));
      at_ += name.size();
      return found->second;
    }
    if (is_digit(text_[at_]) || text_[at_] == '.') return constant();
    const std::string name = rest();
    const std::size_t begin = at_;
    at_ += name.size();
    if (is_word(name[0]) && take('(')) return call(name, begin);
    at_ = begin;
    return fail(wrong(fmt::format("\"{}\" is not understood", name)));
  }

  Result<TrafficNumber> constant() {
    std::int64_t whole = 0;
    double number = 0;
    const char *begin = text_.data() + at_, *end = text_.data() + text_.size();
    const auto as_real = std::from_chars(begin, end, number);
    const auto as_whole = std::from_chars(begin, end, whole);
    if (as_real.ec != std::errc()) return fail(wrong("the number is out of range"));
    at_ += static_cast<std::size_t>(as_real.ptr - begin);
    if (as_whole.ptr != as_real.ptr) return real(number);
    if (as_whole.ec != std::errc()) return fail(wrong("the number is out of range"));
    return integer(whole);
  }

  Result<TrafficNumber> call(const std::string& name, std::size_t begin) {
    std::vector<TrafficNumber> values;
    while (!take(')')) {
      if (!values.empty() && !take(',')) return fail(wrong("a , or ) is missing"));
      PL_TRY(const auto value, sum());
      values.push_back(value);
      if (values.size() > kArgumentsMax) return fail(wrong("too many arguments"));
    }
    const std::size_t end = std::exchange(at_, begin);  // errors stand at its name
    PL_TRY(const auto value, apply(name, values));
    at_ = end;
    return value;
  }

  Result<TrafficNumber> apply(const std::string& name, const std::vector<TrafficNumber>& v) {
    if (name.starts_with("random")) return draw(name, v);
    const bool one = v.size() == 1, two = v.size() == 2;
    if (name == "abs" && one) return v[0].value() < 0 ? combine('-', integer(0), v[0]) : v[0];
    if (name == "int" && one) return as_integer(v[0]);
    if (name == "double" && one) return real(v[0].value());
    if (name == "sqrt" && one) return real(std::sqrt(v[0].value()));
    if (name == "exp" && one) return real(std::exp(v[0].value()));
    if (name == "ln" && one) return real(std::log(v[0].value()));
    if (name == "pi" && v.empty()) return real(std::numbers::pi);
    if (name == "mod" && two) return combine('%', v[0], v[1]);
    if ((name == "pow" || name == "power") && two) return real(std::pow(v[0].value(), v[1].value()));
    const auto less = [](const TrafficNumber& a, const TrafficNumber& b) { return a.value() < b.value(); };
    if (name == "greatest" && !v.empty()) return *std::max_element(v.begin(), v.end(), less);
    if (name == "least" && !v.empty()) return *std::min_element(v.begin(), v.end(), less);
    return fail(wrong(fmt::format("the function {}() with {} arguments is not understood", name, v.size())));
  }
  Result<TrafficNumber> as_integer(const TrafficNumber& value) const {
    if (!value.real) return value;
    if (!(std::abs(value.number) < 9e18)) return fail(wrong("the number is out of range"));
    return integer(std::llrint(value.number));
  }

  double uniform() { return static_cast<double>(random_.next() >> 11) * 0x1.0p-53; }  // [0, 1)

  Result<TrafficNumber> draw(const std::string& name, const std::vector<TrafficNumber>& v) {
    const bool plain = name == "random";
    if (v.size() != (plain ? 2U : 3U))
      return fail(wrong(fmt::format("{}() takes {} arguments", name, plain ? "two" : "three")));
    PL_TRY(const auto low, as_integer(v[0]));
    PL_TRY(const auto high, as_integer(v[1]));
    if (low.integer > high.integer) return fail(wrong("the range is empty"));
    const std::uint64_t width =
        static_cast<std::uint64_t>(high.integer) - static_cast<std::uint64_t>(low.integer) + 1;
    const auto at = [&](double share) {  // [0, 1) of the range
      const auto offset = static_cast<std::uint64_t>(share * static_cast<double>(width));
      return integer(low.integer +
                     static_cast<std::int64_t>(width == 0 ? offset : std::min(offset, width - 1)));
    };
    if (plain) {
      const std::uint64_t offset = width == 0 ? random_.next() : random_.next() % width;
      return integer(static_cast<std::int64_t>(static_cast<std::uint64_t>(low.integer) + offset));
    }
    const double parameter = v[2].value();
    if (name == "random_exponential") {
      if (!(parameter > 0)) return fail(wrong("the parameter must be greater than 0"));
      const double cut = std::exp(-parameter);
      return at(std::min(1.0 - 0x1.0p-53, -std::log(cut + (1 - cut) * (1 - uniform())) / parameter));
    }
    if (name == "random_gaussian") {
      if (parameter < kGaussianMin) return fail(wrong("the parameter must be at least 2"));
      double x = 0;
      for (int i = 0; i < kTriesMax; ++i) {
        x = std::sqrt(-2 * std::log(1 - uniform())) * std::sin(2 * std::numbers::pi * uniform());
        if (x >= -parameter && x < parameter) break;
      }
      return at(std::clamp((x + parameter) / (parameter * 2), 0.0, 1.0 - 0x1.0p-53));
    }
    if (name == "random_zipfian") return zipfian(parameter, width, at);
    return fail(wrong(fmt::format("the function {}() is not understood", name)));
  }

  // Rejection of a Pareto draw: Devroye, Non-Uniform Random Variate Generation, page 551.
  template <typename At>
  Result<TrafficNumber> zipfian(double s, std::uint64_t width, const At& at) {
    if (s < 1.001 || s > 1000) return fail(wrong("the parameter must lie in 1.001 to 1000"));
    const double b = std::pow(2.0, s - 1), n = static_cast<double>(width);
    double x = 1;
    for (int i = 0; i < kTriesMax; ++i) {
      x = std::floor(std::pow(1 - uniform(), -1 / (s - 1)));
      const double t = std::pow(1 + 1 / x, s - 1);
      if (uniform() * x * (t - 1) / (b - 1) <= t / b && x <= n) break;
    }
    return at((std::clamp(x, 1.0, n) - 0.5) / n);
  }

  std::string_view text_;
  SourcePosition where_;
  const TrafficVariables& variables_;
  Jitter& random_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

std::string TrafficNumber::text() const {
  return real ? fmt::format("{}", number) : std::to_string(integer);
}

Result<TrafficNumber> traffic_value(std::string_view text, const SourcePosition& where,
                                    const TrafficVariables& variables, Jitter& random) {
  return Evaluator(text, where, variables, random).whole();
}

}  // namespace poundlock::engine
