// Boost.JSON's push parser feeds a handler of ours: its own handler keeps the last of duplicate keys
// and its doubles can be off by one unit in the last place.
#include "base/json.h"

#include <fmt/format.h>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace poundlock::json {
namespace {

namespace bj = boost::json;
using ErrorCode = bj::error_code;

// Where the handler stopped on a rule of ours. The offset is empty where an escaped key has no place
// of its own in the text: then the parser's position stands.
struct Refusal {
  std::string code;
  std::string message;
  std::optional<std::size_t> offset;
};

class Handler {
 public:
  static constexpr std::size_t max_object_size = bj::object::max_size();
  static constexpr std::size_t max_array_size = bj::array::max_size();
  static constexpr std::size_t max_key_size = bj::string::max_size();
  static constexpr std::size_t max_string_size = bj::string::max_size();

  Handler(std::string_view text, const Limits& limits) : text_(text), limits_(limits) {}

  bool on_document_begin(ErrorCode&) { return true; }
  bool on_document_end(ErrorCode&) { return true; }
  bool on_object_begin(ErrorCode& ec) {
    keys_.emplace_back();
    return count(ec);
  }
  bool on_object_end(std::size_t size, ErrorCode&) {
    keys_.pop_back();
    stack_.push_object(size);
    return true;
  }
  bool on_array_begin(ErrorCode& ec) { return count(ec); }
  bool on_array_end(std::size_t size, ErrorCode&) {
    stack_.push_array(size);
    return true;
  }
  bool on_key_part(bj::string_view part, std::size_t, ErrorCode&) {
    stack_.push_chars(part);
    key_.append(part.data(), part.size());
    return true;
  }
  bool on_key(bj::string_view last, std::size_t, ErrorCode& ec) {
    stack_.push_key(last);
    key_.append(last.data(), last.size());
    const auto offset = key_.size() == last.size() ? offset_of(last) : std::nullopt;
    const auto [first, added] = keys_.back().emplace(std::exchange(key_, {}), offset);
    if (added) return count(ec);
    std::string message = fmt::format("duplicate key {}", quote_for_message(first->first));
    if (first->second) {
      const auto place = position_at(text_, *first->second, {});
      message += fmt::format("; it stands first at line {}, column {}", place.line, place.column);
    }
    return refuse(ec, {"json.duplicate_key", std::move(message), offset});
  }
  bool on_string_part(bj::string_view part, std::size_t, ErrorCode&) {
    stack_.push_chars(part);
    return true;
  }
  bool on_string(bj::string_view last, std::size_t, ErrorCode& ec) {
    stack_.push_string(last);
    return count(ec);
  }
  bool on_number_part(bj::string_view part, ErrorCode&) {
    number_.append(part.data(), part.size());
    return true;
  }
  bool on_int64(std::int64_t number, bj::string_view, ErrorCode& ec) {
    number_.clear();
    stack_.push_int64(number);
    return count(ec);
  }
  bool on_uint64(std::uint64_t number, bj::string_view, ErrorCode& ec) {
    number_.clear();
    stack_.push_uint64(number);
    return count(ec);
  }
  bool on_double(double approximate, bj::string_view last, ErrorCode& ec) {
    number_.append(last.data(), last.size());
    const std::string digits = std::exchange(number_, {});
    double number = 0;
    const char* end = digits.data() + digits.size();
    const auto [stopped, code] = std::from_chars(digits.data(), end, number);
    // Too small for a double reads as nearly zero; too large has no value that we could stand for.
    if (code == std::errc::result_out_of_range && std::abs(approximate) < 1) {
      number = 0;
    } else if (code != std::errc{} || stopped != end || !std::isfinite(number)) {
      return refuse(ec,
                    {"json.range", fmt::format("no double holds the number {}", quote_for_message(digits)),
                     std::nullopt});
    }
    stack_.push_double(number);
    return count(ec);
  }
  bool on_bool(bool value, ErrorCode& ec) {
    stack_.push_bool(value);
    return count(ec);
  }
  bool on_null(ErrorCode& ec) {
    stack_.push_null();
    return count(ec);
  }
  bool on_comment_part(bj::string_view, ErrorCode&) { return true; }
  bool on_comment(bj::string_view, ErrorCode&) { return true; }

  void begin() { stack_.reset(); }
  Value release() { return stack_.release(); }
  const std::optional<Refusal>& refusal() const { return refusal_; }

 private:
  bool refuse(ErrorCode& ec, Refusal refusal) {
    refusal_ = std::move(refusal);
    ec = bj::make_error_code(bj::error::input_error);
    return false;
  }
  bool count(ErrorCode& ec) {
    if (++nodes_ <= limits_.nodes_max) return true;
    return refuse(ec, {"json.size", fmt::format("more than {} values", limits_.nodes_max), std::nullopt});
  }
  // A key without escapes is handed over in place: its address says where it stands.
  std::optional<std::size_t> offset_of(bj::string_view part) const {
    const std::less_equal<> not_after;
    const char* end = text_.data() + text_.size();
    if (!not_after(text_.data(), part.data()) || !not_after(part.data(), end)) return std::nullopt;
    const auto offset = static_cast<std::size_t>(part.data() - text_.data());
    return offset > 0 ? offset - 1 : 0;  // the quote before it
  }

  using Keys = std::map<std::string, std::optional<std::size_t>, std::less<>>;
  std::string_view text_;
  const Limits& limits_;
  bj::value_stack stack_;
  std::vector<Keys> keys_;  // one for each open object
  std::string key_;
  std::string number_;
  std::size_t nodes_ = 0;
  std::optional<Refusal> refusal_;
};

Error syntax_error(const ErrorCode& ec, const Limits& limits) {
  if (ec == bj::error::too_deep) {
    return user_error("json.depth", fmt::format("nested deeper than {} levels", limits.depth_max));
  }
  if (ec == bj::error::incomplete) return user_error("json.syntax", "the JSON text ends too early");
  if (ec == bj::error::extra_data) return user_error("json.syntax", "text after the end of the JSON value");
  if (ec == bj::error::exponent_overflow) return user_error("json.range", "no double holds this number");
  return user_error("json.syntax", fmt::format("invalid JSON: {}", ec.message()));
}

}  // namespace

Result<Value> parse(std::string_view text, std::string file, const Limits& limits) {
  if (text.size() > limits.bytes_max) {
    return fail(user_error("json.size", fmt::format("the text has {} bytes; {} are allowed", text.size(),
                                                    limits.bytes_max))
                    .at({std::move(file), 1, 1}));
  }
  if (const std::size_t bad = first_invalid_utf8(text); bad != std::string_view::npos) {
    return fail(user_error("json.syntax", "invalid UTF-8").at(position_at(text, bad, std::move(file))));
  }
  bj::parse_options options;
  options.max_depth = limits.depth_max;
  bj::basic_parser<Handler> parser(options, text, limits);
  parser.handler().begin();
  ErrorCode ec;
  std::size_t offset = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec && offset < text.size()) ec = bj::make_error_code(bj::error::extra_data);
  if (!ec) return parser.handler().release();
  if (const auto& refusal = parser.handler().refusal()) {
    return fail(user_error(refusal->code, refusal->message)
                    .at(position_at(text, refusal->offset.value_or(offset), std::move(file))));
  }
  return fail(syntax_error(ec, limits).at(position_at(text, offset, std::move(file))));
}

}  // namespace poundlock::json
