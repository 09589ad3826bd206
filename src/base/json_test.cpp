#include "base/json.h"

#include <gmock/gmock.h>

#include <chrono>
#include <limits>

namespace poundlock::json {
namespace {

using ::testing::HasSubstr;

Value parsed(std::string_view text) {
  auto value = parse(text, "b.json");
  EXPECT_TRUE(value) << text << ": " << value.error().to_string();
  return value ? *value : Value{};
}

Error refused(std::string_view text, const Limits& limits = {}) {
  auto value = parse(text, "b.json", limits);
  EXPECT_FALSE(value) << text.substr(0, 100);
  return value ? Error{} : value.error();
}

std::string repeat(std::string_view text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST(Json, RoundTripsByteForByte) {
  for (const char* text :
       {"{}", "[]", "null", "true", "0", "-5", "18446744073709551615", "0.1", "1.0", "1e+30", "-2.5e-07",
        R"({"b":1,"a":[1,2,{"x":null}],"ü":"é\"\\\n\t\u0001"})", "\"\""}) {
    EXPECT_EQ(dump(parsed(text)), text);
  }
  EXPECT_EQ(dump(parsed(" [ 1 , 2 ] \n")), "[1,2]");
  EXPECT_EQ(dump(parsed(R"("\u00fc\ud83d\ude00")")), "\"ü😀\"");
}

TEST(Json, DoublesAreTheNearestOnes) {
  // Values that Boost.JSON's own conversion misses by one unit.
  for (const double number : {1.7976931348623157e308, 5e-324, 0.1 + 0.2, 123456789.123456789,
                              9007199254740993.5, 2.2250738585072014e-308, 7.2057594037927933e16 * 1.5}) {
    EXPECT_EQ(parsed("[" + dump(Value(number)) + "]").as_array()[0].as_double(), number);
  }
  EXPECT_EQ(parsed("0.30000000000000004").as_double(), 0.30000000000000004);
  EXPECT_EQ(parsed("1e-999").as_double(), 0.0);
  EXPECT_EQ(refused("[1e999]").code, "json.range");
  EXPECT_EQ(refused("1e99999999999999999999").code, "json.range");
}

TEST(Json, WhatJsonCannotSayStaysReadable) {
  EXPECT_EQ(dump(Value(std::numeric_limits<double>::infinity())), "null");
  EXPECT_EQ(dump(Value(std::numeric_limits<double>::quiet_NaN())), "null");
  const std::string text = dump(Value("a\xC3(\xFF"));
  EXPECT_EQ(text, "\"a\xEF\xBF\xBD(\xEF\xBF\xBD\"");
  parsed(text);
}

TEST(Json, SyntaxErrorsHaveLineAndColumn) {
  const Error error = refused("{\n  \"ü\": 1,\n  \"é\": x\n}");
  EXPECT_EQ(error.code, "json.syntax");
  EXPECT_EQ(error.where, (SourcePosition{"b.json", 3, 8}));
  EXPECT_THAT(refused("{\"a\": ").message, HasSubstr("ends too early"));
  EXPECT_THAT(refused("").message, HasSubstr("ends too early"));
  EXPECT_EQ(refused("1 2").where->column, 3);
  EXPECT_THAT(refused("{} x").message, HasSubstr("after the end"));
  for (const char* text :
       {"[1,]", "{\"a\":1,}", "// c\n1", "'a'", "{a:1}", "NaN", "01", "\"\\ud800\"", "\"\n\""}) {
    EXPECT_EQ(refused(text).code, "json.syntax") << text;
  }
}

TEST(Json, DuplicateKeysNameBothPlaces) {
  const Error error = refused("{\"a\": 1,\n \"b\": {\"a\": 2},\n \"a\": 3}");
  EXPECT_EQ(error.code, "json.duplicate_key");
  EXPECT_EQ(error.to_string(), "b.json:3:2: duplicate key 'a'; it stands first at line 1, column 2");
  EXPECT_EQ(refused(R"({"a":1,"\u0061":2})").code, "json.duplicate_key");
  EXPECT_EQ(refused(R"({"x\n":1,"x\n":2})").code, "json.duplicate_key");
  parsed(R"([{"a":1},{"a":1}])");
}

TEST(Json, LimitsHold) {
  EXPECT_EQ(refused(repeat("[", 33) + repeat("]", 33)).code, "json.depth");
  parsed(repeat("[", 32) + repeat("]", 32));
  EXPECT_EQ(refused("[1,2,3]", {.nodes_max = 3}).code, "json.size");
  EXPECT_EQ(refused("[1,2,3]", {.bytes_max = 3}).code, "json.size");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(refused(repeat("[", 200'000)).code, "json.depth");
  EXPECT_EQ(refused(repeat("{\"a\":", 200'000)).code, "json.depth");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

TEST(Json, InvalidUtf8IsRefused) {
  for (const char* text :
       {"\"\xC3(\"", "\"\xED\xA0\x80\"", "\"\xC0\x80\"", "\"\xF4\x90\x80\x80\"", "\"\xE2\x82\""}) {
    const Error error = refused(text);
    EXPECT_EQ(error.code, "json.syntax");
    EXPECT_EQ(error.where->column, 2);
    EXPECT_THAT(error.message, HasSubstr("UTF-8"));
  }
}

TEST(JsonAccess, RequiredKeys) {
  const Value value =
      parsed(R"({"s":"x","i":7,"d":1.5,"b":true,"o":{},"a":[],"n":null,"u":18446744073709551615})");
  const Object& object = value.get_object();
  EXPECT_EQ(get_string(object, "s").value(), "x");
  EXPECT_EQ(get_int(object, "i").value(), 7);
  EXPECT_EQ(get_uint(object, "u").value(), 18446744073709551615U);
  EXPECT_EQ(get_double(object, "i").value(), 7.0);
  EXPECT_TRUE(get_bool(object, "b").value());
  EXPECT_TRUE(get_object(object, "o").value()->empty());
  EXPECT_TRUE(get_array(object, "a").value()->empty());
  EXPECT_EQ(get_string(object, "zz").error().code, "json.missing_key");
  EXPECT_EQ(get_string(object, "n").error().message, "the key 'n' is missing");
  EXPECT_EQ(get_string(object, "i").error().message, "i: expected text, found 7");
  EXPECT_EQ(get_int(object, "s", 0, 9).error().message,
            "s: expected a whole number from 0 to 9, found the text 'x'");
  EXPECT_EQ(get_int(object, "i", 0, 5).error().code, "json.range");
  EXPECT_EQ(get_int(object, "u").error().code, "json.range");
  EXPECT_EQ(get_int(object, "d").error().code, "json.type");
  EXPECT_EQ(get_double(object, "d", 2, 3).error().message, "d: expected a number from 2 to 3, found 1.5");
  EXPECT_EQ(get_bool(object, "a").error().message, "a: expected true or false, found a list");
  EXPECT_EQ(as_uint(Value(-1), "n").error().code, "json.range");
  EXPECT_EQ(as_uint(Value(11), "n", 10).error().code, "json.range");
  EXPECT_EQ(as_int(Value(std::uint64_t{5}), "n", -9, -1).error().code, "json.range");
}

TEST(JsonAccess, OptionalKeys) {
  const Value value = parsed(R"({"s":"x","n":null})");
  const Object& object = value.get_object();
  EXPECT_EQ(optional_string(object, "s").value(), "x");
  EXPECT_EQ(optional_string(object, "n").value(), std::nullopt);
  EXPECT_EQ(optional_int(object, "zz").value(), std::nullopt);
  EXPECT_EQ(optional_int(object, "s").error().code, "json.type");
  EXPECT_EQ(optional_object(object, "zz").value(), nullptr);
  EXPECT_EQ(optional_array(object, "s").error().code, "json.type");
  EXPECT_EQ(optional_double(object, "n").value().value_or(3), 3);
  EXPECT_FALSE(optional_bool(object, "n").value().value_or(false));
  EXPECT_EQ(optional_uint(object, "n").value().value_or(4), 4U);
}

}  // namespace
}  // namespace poundlock::json
