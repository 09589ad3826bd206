// Version 3 of `fractional`, its CBOR, and the switch. Bytes are from the examples of RFC 8949, appendix A,
// or follow from its section 4.2.1 by hand.
#include "flag/fractional.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/murmur3.h"
#include "flag/cbor.h"
#include "flag/definition.h"

namespace poundlock::flag {
namespace {

using testing::HasSubstr;

std::string hex(std::string_view text) {
  auto value = json::parse(text, "value");
  EXPECT_TRUE(value) << value.error().to_string();
  Scratch scratch;
  std::string out;
  for (const char c : cbor(from_json(*value, scratch), scratch)) {
    out += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    out += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

TEST(Cbor, NumbersTakeTheirShortestForm) {
  const struct {
    const char* json;
    const char* bytes;
  } cases[] = {
      {"0", "00"},
      {"-0.0", "00"},
      {"1.0", "01"},
      {"23", "17"},
      {"24", "1818"},
      {"255", "18ff"},
      {"256", "190100"},
      {"65536", "1a00010000"},
      {"4294967296", "1b0000000100000000"},
      {"1000000000000", "1b000000e8d4a51000"},
      {"-1", "20"},
      {"-24", "37"},
      {"-25", "3818"},
      {"-9223372036854775808", "3b7fffffffffffffff"},
      {"9223372036854775808", "1b8000000000000000"},
      {"18446744073709551616", "fa5f800000"},
      {"1.5", "f93e00"},
      {"-4.1", "fbc010666666666666"},
      {"1.1", "fb3ff199999999999a"},
      {"5.960464477539063e-8", "f90001"},
      {"0.00006103515625", "f90400"},
      {"8.940696716308594e-8", "fa33c00000"},
      {"3.4028234663852886e+38", "fa7f7fffff"},
      {"3.5e+38", "fb47f074f8c4d3cd7b"},
      {"1.0e+300", "fb7e37e43c8800759c"},
  };
  for (const auto& one : cases) EXPECT_EQ(hex(one.json), one.bytes) << one.json;
}

TEST(Cbor, TextListsAndMaps) {
  EXPECT_EQ(hex(R"("")"), "60");
  EXPECT_EQ(hex(R"("IETF")"), "6449455446");
  EXPECT_EQ(hex(R"("水")"), "63e6b0b4");
  EXPECT_EQ(hex("[]"), "80");
  EXPECT_EQ(hex("[1, [2, 3], null, false, true]"), "8501820203f6f4f5");
  EXPECT_EQ(hex(R"({"b": [2, 3], "a": 1})"), "a26161016162820203");
  // A longer key has a greater head byte, so it comes later, whatever it begins with.
  EXPECT_EQ(hex(R"({"aa": 2, "z": 1, "": 0})"),
            "a3600061"
            "7a0162616102");
  EXPECT_EQ(hex("\"" + std::string(24, 'a') + "\"").substr(0, 6), "781861");
}

TEST(Cbor, MemoryIsBounded) {
  Scratch scratch;
  const std::string long_text(Scratch::kSpillBytesMax + 1, 'x');
  EXPECT_TRUE(cbor(Value::text(long_text), scratch).empty());
}

std::string definition(const char* switched, const char* rule) {
  return std::string(R"({"metadata": {)") + switched +
         R"(}, "flags": {"f": {"state": "ENABLED", "variants": {"a": 1, "b": 2, "c": 3},
         "targeting": )" +
         rule + "}}}";
}

std::string answer(const std::string& document, const json::Object& context) {
  auto parsed = parse_definition(document, "f.json");
  EXPECT_TRUE(parsed) << parsed.error().to_string();
  auto snapshot = Snapshot::compile(json::dump(json::Object{{"flags", parsed->flags}}), "f.json");
  EXPECT_TRUE(snapshot) << snapshot.error().to_string();
  const Resolution got = (*snapshot)->evaluate("f", JsonAttributes(context), 0);
  return got.variant == nullptr ? to_string(got.reason) : got.variant->name;
}

constexpr const char* kThree = R"("poundlock.fractional": 3)";

// What the formula gives for the bytes, over three equal shares.
std::string third_of(std::string_view bytes) {
  return std::string(1, static_cast<char>('a' + slot_of(murmur3_x86_32(bytes), 3)));
}

TEST(FractionalThree, HashesTheFirstOperandAsCbor) {
  const std::string by_id = definition(kThree, R"({"fractional": [{"var": "id"}, ["a"], ["b"], ["c"]]})");
  EXPECT_EQ(answer(by_id, {{"id", "IETF"}}), third_of("\x64IETF"));
  EXPECT_EQ(answer(by_id, {{"id", 24}}), third_of("\x18\x18"));
  EXPECT_EQ(answer(by_id, {{"id", true}}), third_of("\xf5"));
  EXPECT_EQ(answer(by_id, {{"id", {{"b", 1}, {"a", 1.5}}}}), third_of(std::string_view("\xa2\x61"
                                                                                       "a\xf9\x3e\x00\x61"
                                                                                       "b\x01",
                                                                                       9)));
  EXPECT_EQ(answer(by_id, {{"targetingKey", "u"}}), "DEFAULT");
}

TEST(FractionalThree, WithoutAnInputThePairOfKeysIsHashed) {
  const std::string shorthand = definition(kThree, R"({"fractional": [["a"], ["b"], ["c"]]})");
  EXPECT_EQ(answer(shorthand, {{"targetingKey", "u"}}), third_of("\x82\x61"
                                                                 "f\x61u"));
  EXPECT_EQ(answer(shorthand, {}), "DEFAULT");
  EXPECT_EQ(answer(shorthand, {{"targetingKey", ""}}), "DEFAULT");
  EXPECT_EQ(answer(shorthand, {{"targetingKey", 5}}), "DEFAULT");
}

TEST(FractionalThree, OnlyUnderTheSwitch) {
  const char* rule = R"({"fractional": [{"var": "id"}, ["a"], ["b"], ["c"]]})";
  const json::Object text{{"id", "IETF"}};
  EXPECT_EQ(answer(definition("", rule), text), third_of("IETF"));
  EXPECT_EQ(answer(definition(R"("poundlock.fractional": 2)", rule), text), third_of("IETF"));
  EXPECT_EQ(answer(definition("", rule), {{"id", 24}}), "DEFAULT");
}

TEST(FractionalThree, TheSwitchIsCheckedAndWarnedOf) {
  const char* rule = R"({"fractional": [{"var": "id"}, ["a"]]})";
  auto three = parse_definition(definition(kThree, rule), "f.json");
  ASSERT_TRUE(three);
  ASSERT_EQ(three->warnings.size(), 1u);
  EXPECT_THAT(three->warnings[0], HasSubstr("f.json:1:39: version 3 of 'fractional' is not portable"));
  auto four = parse_definition(definition(R"("poundlock.fractional": 4)", rule), "f.json");
  ASSERT_TRUE(four);
  ASSERT_EQ(four->problems.size(), 1u);
  EXPECT_THAT(four->problems[0].to_string(),
              HasSubstr("f.json:1:39: metadata 'poundlock.fractional': expected 2"));
}

TEST(FractionalThree, ARolloutsUsersStayWhereTheyAre) {
  auto plain = parse_definition("feature_flags: {f: {initial_percentage: 50}}\n", "f.yaml");
  auto switched = parse_definition(
      "metadata: {poundlock.fractional: 3}\nfeature_flags: {f: {initial_percentage: 50}}\n", "f.yaml");
  ASSERT_TRUE(plain && switched);
  auto before = Snapshot::compile(json::dump(json::Object{{"flags", plain->flags}}), "before");
  auto after = Snapshot::compile(
      json::dump(json::Object{{"flags", switched->flags}, {"metadata", switched->metadata}}), "after");
  ASSERT_TRUE(before && after);
  for (int i = 0; i < 200; ++i) {
    const json::Object user{{"targetingKey", std::to_string(i)}};
    EXPECT_EQ((*before)->evaluate("f", JsonAttributes(user), 0).variant->name,
              (*after)->evaluate("f", JsonAttributes(user), 0).variant->name);
  }
}

}  // namespace
}  // namespace poundlock::flag
