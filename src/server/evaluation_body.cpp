#include "server/evaluation_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>

namespace poundlock::server {
namespace {

namespace bj = boost::json;
using flag::Member;
using flag::Value;

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

// What is complete lies on the stack: of an object a key and then its value for each member.
class EvaluationBody::Handler {
 public:
  static constexpr std::size_t max_object_size = kNodesMax;
  static constexpr std::size_t max_array_size = kNodesMax;
  static constexpr std::size_t max_key_size = kBytesMax;
  static constexpr std::size_t max_string_size = kBytesMax;
  using ErrorCode = bj::error_code;

  Handler(std::string_view text, std::vector<Member>& stack, std::pmr::memory_resource& memory)
      : text_(text), stack_(stack), memory_(memory) {}

  bool on_document_begin(ErrorCode&) { return true; }
  bool on_document_end(ErrorCode&) { return true; }
  bool on_object_begin(ErrorCode&) { return true; }
  bool on_array_begin(ErrorCode&) { return true; }
  bool on_object_end(std::size_t size, ErrorCode& ec) {
    auto* members = make<Member>(size);
    const Member* from = stack_.data() + stack_.size() - 2 * size;
    for (std::size_t i = 0; i < size; ++i) members[i] = {from[2 * i].key, from[2 * i + 1].value};
    stack_.resize(stack_.size() - 2 * size);
    return push(Value::object({members, last_of_each_key({members, size})}), ec);
  }
  bool on_array_end(std::size_t size, ErrorCode& ec) {
    auto* items = make<Value>(size);
    const Member* from = stack_.data() + stack_.size() - size;
    for (std::size_t i = 0; i < size; ++i) items[i] = from[i].value;
    stack_.resize(stack_.size() - size);
    return push(Value::array({items, size}), ec);
  }
  bool on_key_part(bj::string_view part, std::size_t, ErrorCode&) { return keep(part); }
  bool on_key(bj::string_view last, std::size_t, ErrorCode& ec) { return push({}, ec, whole(last)); }
  bool on_string_part(bj::string_view part, std::size_t, ErrorCode&) { return keep(part); }
  bool on_string(bj::string_view last, std::size_t, ErrorCode& ec) {
    return push(Value::text(whole(last)), ec);
  }
  bool on_number_part(bj::string_view part, ErrorCode&) { return keep(part); }
  bool on_int64(std::int64_t number, bj::string_view, ErrorCode& ec) {
    parts_.clear();
    return push(Value::number(static_cast<double>(number)), ec);
  }
  bool on_uint64(std::uint64_t number, bj::string_view, ErrorCode& ec) {
    parts_.clear();
    return push(Value::number(static_cast<double>(number)), ec);
  }
  // The parser's own doubles can be off by one unit in the last place.
  bool on_double(double approximate, bj::string_view last, ErrorCode& ec) {
    keep(last);
    double number = 0;
    const auto [end, code] = std::from_chars(parts_.data(), parts_.data() + parts_.size(), number);
    const bool is_tiny = code == std::errc::result_out_of_range && std::abs(approximate) < 1;
    parts_.clear();
    if (is_tiny) number = 0;
    if (!is_tiny && (code != std::errc{} || !std::isfinite(number))) {
      ec = bj::make_error_code(bj::error::exponent_overflow);
      return false;
    }
    return push(Value::number(number), ec);
  }
  bool on_bool(bool value, ErrorCode& ec) { return push(Value::boolean(value), ec); }
  bool on_null(ErrorCode& ec) { return push({}, ec); }
  bool on_comment_part(bj::string_view, ErrorCode&) { return true; }
  bool on_comment(bj::string_view, ErrorCode&) { return true; }

 private:
  template <typename T>
  T* make(std::size_t count) {
    return static_cast<T*>(memory_.allocate(count * sizeof(T), alignof(T)));
  }
  // Of equal keys the last one counts, as in Go. Moves what counts to the front, and says how much it is.
  std::size_t last_of_each_key(std::span<Member> members) {
    constexpr std::size_t kPairsMax = 16;  // up to which every pair is looked at
    dropped_.assign(members.size(), false);
    if (members.size() <= kPairsMax) {
      for (std::size_t i = 0; i < members.size(); ++i)
        for (std::size_t j = i + 1; j < members.size(); ++j)
          if (members[i].key == members[j].key) dropped_[i] = true;
    } else {
      order_.resize(members.size());
      for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<std::uint32_t>(i);
      std::sort(order_.begin(), order_.end(), [&](std::uint32_t a, std::uint32_t b) {
        const int order = members[a].key.compare(members[b].key);
        return order != 0 ? order < 0 : a < b;
      });
      for (std::size_t i = 0; i + 1 < order_.size(); ++i)
        if (members[order_[i]].key == members[order_[i + 1]].key) dropped_[order_[i]] = true;
    }
    std::size_t kept = 0;
    for (std::size_t i = 0; i < members.size(); ++i)
      if (!dropped_[i]) members[kept++] = members[i];
    return kept;
  }
  bool push(Value value, ErrorCode& ec, std::string_view key = {}) {
    if (++nodes_ > kNodesMax) {
      ec = bj::make_error_code(bj::error::array_too_large);
      return false;
    }
    stack_.push_back({key, value});
    return true;
  }
  bool keep(bj::string_view part) {
    parts_.append(part.data(), part.size());
    return true;
  }
  // Text without escapes is handed over in place, and stays there; other text lies in the parser's buffer.
  std::string_view whole(bj::string_view last) {
    const std::less_equal<> not_after;
    const bool in_place = parts_.empty() && not_after(text_.data(), last.data()) &&
                          not_after(last.data() + last.size(), text_.data() + text_.size());
    if (in_place) return {last.data(), last.size()};
    keep(last);
    char* copy = make<char>(parts_.size());
    std::memcpy(copy, parts_.data(), parts_.size());
    const std::string_view out(copy, parts_.size());
    parts_.clear();
    return out;
  }

  std::string_view text_;
  std::vector<Member>& stack_;
  std::pmr::memory_resource& memory_;
  std::string parts_;
  std::vector<std::uint8_t> dropped_;
  std::vector<std::uint32_t> order_;
  std::size_t nodes_ = 0;
};

namespace {

Error syntax_error(const bj::error_code& ec, std::size_t offset) {
  std::string why = "invalid JSON: " + ec.message();
  if (ec == bj::error::too_deep) {
    why = fmt::format("the body is nested deeper than {} levels", EvaluationBody::kDepthMax);
  } else if (ec == bj::error::array_too_large) {
    why = fmt::format("the body holds more than {} values", EvaluationBody::kNodesMax);
  } else if (ec == bj::error::exponent_overflow) {
    why = "no double holds a number of the body";
  } else if (ec == bj::error::incomplete) {
    why = "the JSON text ends too early";
  } else if (ec == bj::error::extra_data) {
    why = "text after the end of the JSON value";
  }
  return user_error("body.json", fmt::format("{} (byte {})", why, offset));
}

}  // namespace

Status EvaluationBody::read(std::string_view text) {
  members_ = {};
  by_key_.clear();
  stack_.clear();
  memory_.release();
  if (text.size() > kBytesMax) {
    return fail(user_error("body.size",
                           fmt::format("the body has {} bytes; {} are allowed", text.size(), kBytesMax)));
  }
  if (is_blank(text)) return {};
  bj::parse_options options;
  options.max_depth = kDepthMax;
  bj::basic_parser<Handler> parser(options, text, stack_, memory_);
  bj::error_code ec;
  const std::size_t offset = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec && offset < text.size()) ec = bj::make_error_code(bj::error::extra_data);
  if (ec) return fail(syntax_error(ec, offset));
  const Value whole = stack_.back().value;
  if (!whole.is_object()) return fail(user_error("body.json", "the body is not a JSON object"));
  Value context;
  for (const Member& member : whole.members())
    if (member.key == "context") context = member.value;
  if (context.is_null()) return {};
  if (!context.is_object()) return fail(user_error("body.context", "context is not an object"));
  members_ = context.members();
  if (members_.size() >= kIndexFrom) index();
  return {};
}

// Without it, a rule of many operations over a context of many members would hold up everybody else.
void EvaluationBody::index() {
  by_key_.resize(members_.size());
  for (std::size_t i = 0; i < by_key_.size(); ++i) by_key_[i] = static_cast<std::uint32_t>(i);
  std::sort(by_key_.begin(), by_key_.end(), [this](std::uint32_t a, std::uint32_t b) {
    const int order = members_[a].key.compare(members_[b].key);
    return order != 0 ? order < 0 : a < b;
  });
}

Value EvaluationBody::own(std::string_view key) const {
  if (by_key_.empty()) {
    for (std::size_t i = members_.size(); i-- > 0;)
      if (members_[i].key == key) return members_[i].value;
    return {};
  }
  const auto after =
      std::upper_bound(by_key_.begin(), by_key_.end(), key,
                       [this](std::string_view wanted, std::uint32_t i) { return wanted < members_[i].key; });
  if (after == by_key_.begin() || members_[*(after - 1)].key != key) return {};
  return members_[*(after - 1)].value;
}

Value EvaluationBody::find(std::string_view key, flag::Scratch& scratch) const {
  if (fixed_) {
    if (const auto* value = fixed_->if_contains(key)) return flag::from_json(*value, scratch);
  }
  return own(key);
}

Value EvaluationBody::all(flag::Scratch& scratch) const {
  if (!fixed_ || fixed_->empty()) return Value::object(members_);
  if (const Value* made = scratch.made_of(this)) return *made;
  auto out = scratch.make<Member>(members_.size() + fixed_->size());
  if (out.empty()) return {};
  std::size_t count = 0;
  for (const auto& entry : *fixed_)
    out[count++] = {{entry.key().data(), entry.key().size()}, flag::from_json(entry.value(), scratch)};
  for (const Member& member : members_)
    if (!fixed_->contains(member.key)) out[count++] = member;
  return scratch.remember(this, Value::object(out.first(count)));
}

}  // namespace poundlock::server
