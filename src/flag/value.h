// What a targeting rule computes with: JSON values as 16-byte views. A Value owns nothing: text, items
// and members live in the snapshot, in the caller's context, or in the evaluation's Scratch, and are
// valid as long as those are. Numbers are doubles, as in every JsonLogic implementation.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace poundlock::flag {

struct Member;
class Scratch;

class Value {
 public:
  enum class Kind : std::uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

  constexpr Value() = default;
  static constexpr Value boolean(bool value) {
    Value result(Kind::kBool, 0);
    result.boolean_ = value;
    return result;
  }
  static constexpr Value number(double value) {
    Value result(Kind::kNumber, 0);
    result.number_ = value;
    return result;
  }
  static constexpr Value text(std::string_view value) {
    Value result(Kind::kString, static_cast<std::uint32_t>(value.size()));
    result.text_ = value.data();
    return result;
  }
  static constexpr Value array(std::span<const Value> items) {
    Value result(Kind::kArray, static_cast<std::uint32_t>(items.size()));
    result.items_ = items.data();
    return result;
  }
  static Value object(std::span<const Member> members);

  constexpr Kind kind() const { return kind_; }
  constexpr bool is_null() const { return kind_ == Kind::kNull; }
  constexpr bool is_bool() const { return kind_ == Kind::kBool; }
  constexpr bool is_number() const { return kind_ == Kind::kNumber; }
  constexpr bool is_string() const { return kind_ == Kind::kString; }
  constexpr bool is_array() const { return kind_ == Kind::kArray; }
  constexpr bool is_object() const { return kind_ == Kind::kObject; }

  // Each is meaningful only for its kind.
  constexpr bool as_bool() const { return boolean_; }
  constexpr double as_number() const { return number_; }
  constexpr std::string_view as_string() const { return {text_, size_}; }
  constexpr std::span<const Value> items() const { return {items_, size_}; }
  std::span<const Member> members() const;
  Value member(std::string_view key) const;  // null where an object lacks it; of equal keys the last

 private:
  constexpr Value(Kind kind, std::uint32_t size) : kind_(kind), size_(size) {}

  Kind kind_ = Kind::kNull;
  std::uint32_t size_ = 0;
  union {
    bool boolean_;
    double number_;
    const char* text_ = nullptr;
    const Value* items_;
    const Member* members_;
  };
};

struct Member {
  std::string_view key;
  Value value;
};

inline Value Value::object(std::span<const Member> members) {
  Value result(Kind::kObject, static_cast<std::uint32_t>(members.size()));
  result.members_ = members.data();
  return result;
}
inline std::span<const Member> Value::members() const {
  return {members_, size_};
}

// JsonLogic's truth: null, false, 0, NaN, "" and [] are false; {} is false as in flagd's Go evaluator.
bool truthy(const Value& value);
// `==`: null equals null only; two strings compare as text, everything else as numbers.
bool loosely_equal(const Value& a, const Value& b);
// `===`: the same kind, then as above; arrays and objects are never equal.
bool strictly_equal(const Value& a, const Value& b);
// `<`: two strings by their bytes, everything else as numbers (never true for NaN).
bool less(const Value& a, const Value& b);
// As a comparison sees a value: null 0, true 1, blank text 0, text that is no number NaN.
double comparison_number(const Value& value);

// Decimal text without an exponent, shortest that reads back the same: 10, 0.5, 1000000000000000000000.
// `buffer` must hold kNumberText characters; the view lies in it.
inline constexpr std::size_t kNumberText = 400;
std::string_view number_text(double number, std::span<char, kNumberText> buffer);

// A view of `json`; arrays, objects and nothing else are laid out in `scratch`, once for each `json`, which
// has to outlive it. Incomplete where scratch is exhausted, which it then says. Null beyond depth 32.
Value from_json(const boost::json::value& json, Scratch& scratch, int depth = 0);
boost::json::value to_json(const Value& value);

}  // namespace poundlock::flag
