#include "base/yaml.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <ctime>
#include <string>

namespace poundlock::yaml {
namespace {

using ::testing::HasSubstr;

Node parsed(std::string_view text) {
  auto node = parse(text, "f.yaml");
  EXPECT_TRUE(node) << node.error().to_string();
  return node ? std::move(*node) : Node{};
}

Error refused(std::string_view text, const Limits& limits = {}) {
  auto node = parse(text, "f.yaml", limits);
  EXPECT_FALSE(node) << text.substr(0, 200);
  return node ? Error{} : node.error();
}

std::string place(const Node& node) {
  return std::to_string(node.where.line) + ":" + std::to_string(node.where.column);
}

std::string repeat(std::string_view text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST(Yaml, BuildsTheTreeWithPositionsInCharacters) {
  const Node root = parsed("a: 1\nlist:\n  - x\n  - {é: ü, y: \"q\\n\"}\nempty:\ntext: |\n  two\n  lines\n");
  ASSERT_EQ(root.kind, Kind::kMapping);
  ASSERT_EQ(root.entries.size(), 4U);
  EXPECT_EQ(root.entries[1].first.scalar, "list");
  EXPECT_EQ(place(root.entries[1].first), "2:1");
  const Node* list = root.find("list");
  ASSERT_TRUE(list);
  ASSERT_EQ(list->items.size(), 2U);
  EXPECT_EQ(place(list->items[0]), "3:5");
  const Node* y = list->items[1].find("y");
  ASSERT_TRUE(y);
  EXPECT_EQ(y->scalar, "q\n");
  EXPECT_TRUE(y->quoted);
  EXPECT_EQ(place(*y), "4:16");  // bytes would say 18
  EXPECT_EQ(root.find("empty")->kind, Kind::kNull);
  EXPECT_EQ(place(*root.find("empty")), "5:6");
  EXPECT_EQ(root.find("text")->scalar, "two\nlines\n");
  EXPECT_TRUE(root.find("text")->quoted);
  EXPECT_EQ(root.find("absent"), nullptr);
}

TEST(Yaml, SingleQuotesHoldEveryQuoteThatWasDoubled) {
  EXPECT_EQ(parsed("up: 'coalesce(a, '''')'").find("up")->scalar, "coalesce(a, '')");
  EXPECT_EQ(parsed("up: 'case when a = '''' then ''x'' else a end'").find("up")->scalar,
            "case when a = '' then 'x' else a end");
  EXPECT_EQ(parsed("\xEF\xBB\xBF[{é: ü}, '" + repeat("''", 200) + "ä']").items.at(1).scalar,
            repeat("'", 200) + "ä");
  EXPECT_EQ(parsed("{'a''''b': 1}").entries.at(0).first.scalar, "a''b");
  EXPECT_EQ(parsed("['']").items.at(0).scalar, "");
  EXPECT_EQ(parsed("['''']").items.at(0).scalar, "'");
}

TEST(Yaml, SingleQuotedLinesAreFolded) {
  EXPECT_EQ(parsed("a: ' x \t\r\n  y\r\n\r\n \r\n  z '").find("a")->scalar, " x y\n\nz ");
  EXPECT_EQ(parsed("a: '\n  x\n  '").find("a")->scalar, " x ");
  EXPECT_EQ(parsed("a: '\n\n  ''x'").find("a")->scalar, "\n'x");
  EXPECT_EQ(parsed("a: '\n\n  '").find("a")->scalar, "\n");
}

// libfyaml reckons one byte more or less than these have, and leaves there what the memory held.
TEST(Yaml, FoldedAndQuotedTextsEndWhereTheyEnd) {
  EXPECT_EQ(parsed("k: >+\n  \n  a\n  \n\n   b\n").find("k")->scalar.find('\0'), std::string::npos);
  EXPECT_EQ(parsed("k: \"a\\\n \n b \n \n \"").find("k")->scalar, "a\nb\n");
}

TEST(Yaml, AnEmptyTextIsNothing) {
  EXPECT_EQ(parsed("").kind, Kind::kNull);
  EXPECT_EQ(parsed("# only a comment\n").kind, Kind::kNull);
}

TEST(Yaml, AByteOrderMarkAndCarriageReturnsAreRead) {
  const Node root = parsed(
      "\xEF\xBB\xBF"
      "a:\r\n  b: 1\r\n");
  ASSERT_TRUE(root.find("a"));
  EXPECT_EQ(place(*root.find("a")->find("b")), "2:6");
}

TEST(Yaml, ADuplicateKeyNamesBothPlaces) {
  const Error error = refused("a: 1\nb: {x: 1, y: 2,\n    x: 3}\n");
  EXPECT_EQ(error.code, "yaml.duplicate_key");
  EXPECT_EQ(error.to_string(), "f.yaml:3:5: duplicate key 'x'; it stands first at line 2, column 5");
  EXPECT_EQ(refused("a: 1\n\"a\": 2\n").code, "yaml.duplicate_key");
  parsed("a: {x: 1}\nb: {x: 1}\n");  // the same name in two mappings is fine
}

TEST(Yaml, AliasesAnchorsAndTagsAreRefusedWhereTheyStand) {
  const Error anchor = refused("a: &x {b: 1}\nc: *x\n");
  EXPECT_EQ(anchor.code, "yaml.alias");
  EXPECT_EQ(anchor.where->line, 1);
  EXPECT_EQ(refused("a: *x\n").code, "yaml.alias");
  EXPECT_EQ(refused("*x : 1\n").code, "yaml.alias");
  const Error tag = refused("a: 1\nb: !!int 5\n");
  EXPECT_EQ(tag.code, "yaml.syntax");
  EXPECT_EQ(tag.where->line, 2);
  EXPECT_EQ(refused("a: !foo [1]\n").code, "yaml.syntax");
}

TEST(Yaml, OnlyOneDocument) {
  const Error error = refused("a: 1\n---\nb: 2\n");
  EXPECT_EQ(error.code, "yaml.syntax");
  EXPECT_EQ(error.where->line, 2);
  parsed("---\na: 1\n...\n");
}

TEST(Yaml, SyntaxErrorsHaveLineColumnAndGoNowhereElse) {
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  const Error quote = refused("ok: 1\na: 'x\n");
  const Error nested = refused("x: ü: 5\n");
  const Error open = refused("a: [1, 2\n");
  const Error swallowed = refused("a: [1, 2\nb: 3\n");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(quote.code, "yaml.syntax");
  EXPECT_EQ(quote.to_string(), "f.yaml:2:5: single-quoted scalar without closing quote");
  EXPECT_EQ(nested.where, (SourcePosition{"f.yaml", 1, 5}));
  EXPECT_THAT(open.hint, HasSubstr("opens at line 1, column 4"));
  EXPECT_EQ(swallowed.where, (SourcePosition{"f.yaml", 1, 8}));
  EXPECT_THAT(swallowed.hint, HasSubstr("missing"));
}

TEST(Yaml, KeysAreText) {
  EXPECT_EQ(refused("? [a]\n: b\n").code, "yaml.syntax");
  EXPECT_EQ(refused(": b\n").code, "yaml.syntax");
  EXPECT_TRUE(parsed("null: 1\n").find("null"));
}

TEST(Yaml, BytesThatAreNoTextAreRefused) {
  const Error utf8 = refused("a: é\nb: \xC3\x28\n");
  EXPECT_EQ(utf8.where, (SourcePosition{"f.yaml", 2, 4}));
  EXPECT_THAT(utf8.message, HasSubstr("UTF-8"));
  EXPECT_EQ(refused(std::string_view("a: b\0c", 6)).where->column, 5);
  EXPECT_THAT(refused("a: \x1b[31m\n").message, HasSubstr("U+001B"));
}

TEST(Yaml, DepthSizeAndNodesAreLimited) {
  EXPECT_EQ(refused(repeat("[", 33) + repeat("]", 33)).code, "yaml.depth");
  parsed(repeat("[", 32) + repeat("]", 32));
  EXPECT_EQ(refused("a: {b: {c: 1}}", {.depth_max = 2}).code, "yaml.depth");
  EXPECT_EQ(refused("[1, 2, 3]", {.nodes_max = 3}).code, "yaml.size");
  EXPECT_EQ(refused("a: 12345", {.bytes_max = 4}).code, "yaml.size");
}

TEST(Yaml, BombsEndQuicklyInLittleMemory) {
  // Of CPU time: a machine that is busy with something else is no failure.
#ifdef __SANITIZE_THREAD__
  constexpr std::clock_t kSecondsMax = 50;
#else
  constexpr std::clock_t kSecondsMax = 5;
#endif
  [[maybe_unused]] rusage before{};
  getrusage(RUSAGE_SELF, &before);
  for (const char* bomb :
       {"[", "{", "- ", "? ", "{a: ", "[a, ", "\"\\n", "[?", "- - [", "a: [{", "&a ", "!a "}) {
    const std::clock_t start = std::clock();
    refused(repeat(bomb, 200'000));
    EXPECT_LT(std::clock() - start, kSecondsMax * CLOCKS_PER_SEC) << bomb;
  }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they keep memory of their own
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 * 1024) << "KiB";
#endif
}

TEST(YamlNode, NumbersAreCheckedAndShown) {
  const Node root =
      parsed("a: 101\nb: '5'\nc: x\nd: 010\ne: -3\nf: 99999999999999999999\ng: [1]\nh: 1.5\ni:\n");
  EXPECT_EQ(root.find("e")->as_int("e", -5, 5).value(), -3);
  const auto error_of = [&](const char* key) { return root.find(key)->as_int(key, 0, 100).error(); };
  EXPECT_EQ(error_of("a").code, "yaml.range");
  EXPECT_EQ(error_of("a").to_string(), "f.yaml:1:4: a: expected a whole number from 0 to 100, found 101");
  EXPECT_EQ(error_of("b").message, "b: expected a whole number from 0 to 100, found the text '5'");
  EXPECT_EQ(error_of("c").message, "c: expected a whole number from 0 to 100, found 'x'");
  EXPECT_EQ(error_of("d").code, "yaml.type");
  EXPECT_EQ(error_of("f").code, "yaml.range");
  EXPECT_THAT(error_of("g").message, HasSubstr("found a list"));
  EXPECT_THAT(error_of("h").message, HasSubstr("found 1.5"));
  EXPECT_THAT(error_of("i").message, HasSubstr("found nothing"));
  EXPECT_DOUBLE_EQ(root.find("h")->as_double("h", 0, 2).value(), 1.5);
  EXPECT_DOUBLE_EQ(root.find("e")->as_double("e", -10, 2).value(), -3);
  EXPECT_EQ(root.find("h")->as_double("h", 0, 1).error().message,
            "h: expected a number from 0 to 1, found 1.5");
}

TEST(YamlNode, OddNumbersAreNoNumbers) {
  for (const char* text : {".inf", ".nan", "inf", "nan", "0x10", "1_000", "5%", "1e", "''"}) {
    const Node node = parsed(text);
    EXPECT_EQ(node.as_double("n", -1e300, 1e300).error().code, "yaml.type") << text;
    EXPECT_EQ(node.as_int("n", -1000, 1000).error().code, "yaml.type") << text;
  }
  EXPECT_EQ(parsed("1e999").as_double("n", -1e300, 1e300).error().code, "yaml.range");
}

TEST(YamlNode, BooleansAndTextAreToldApartByQuotes) {
  const Node root = parsed("a: true\nb: 'true'\nc: yes\nd: False\ne: {}\nf: 1.10\n");
  EXPECT_TRUE(root.find("a")->as_bool("a").value());
  EXPECT_FALSE(root.find("d")->as_bool("d").value());
  EXPECT_EQ(root.find("b")->as_bool("b").error().message, "b: expected true or false, found the text 'true'");
  EXPECT_EQ(root.find("c")->as_bool("c").error().message, "c: expected true or false, found 'yes'");
  EXPECT_EQ(root.find("f")->as_string("f").value(), "1.10");
  EXPECT_EQ(root.find("e")->as_string("e").error().message, "e: expected text, found a mapping");
}

TEST(YamlFields, AnUnknownKeyGetsASuggestion) {
  const Node root = parsed("steps: [1]\nstpes: [2]\n");
  auto fields = Fields::of(root, "rollout");
  ASSERT_TRUE(fields);
  EXPECT_TRUE(fields->required("steps"));
  EXPECT_EQ(fields->optional("interval"), nullptr);
  const Status status = fields->finish();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, "yaml.unknown_key");
  EXPECT_EQ(status.error().to_string(), "f.yaml:2:1: unknown key 'stpes' in rollout; did you mean 'steps'?");
}

TEST(YamlFields, AFarFetchedKeyGetsTheList) {
  const Node root = parsed("colour: 1\n");
  auto fields = Fields::of(root, "rollout");
  fields->optional("steps");
  fields->optional("interval");
  EXPECT_EQ(fields->finish().error().hint, "known keys: steps, interval");
  fields->optional("colour");
  EXPECT_TRUE(fields->finish());
}

TEST(YamlFields, AMissingKeyNamesTheOneThatWasMeantByIt) {
  const Node root = parsed("to: b\nform: a\n");
  auto fields = Fields::of(root, "change_column");
  const auto missing = fields->required("from");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, "yaml.missing_key");
  EXPECT_EQ(missing.error().to_string(),
            "f.yaml:2:1: change_column lacks the key 'from'; did you mean it by 'form'?");
}

TEST(YamlFields, AKeyThatWasReadAlreadyIsNoMisspeltOne) {
  const Node root = parsed("form: a\n");
  auto fields = Fields::of(root, "change_column");
  EXPECT_NE(fields->optional("form"), nullptr);
  EXPECT_EQ(fields->required("from").error().to_string(), "f.yaml:1:1: change_column lacks the key 'from'");
}

TEST(YamlFields, MissingKeysAndWrongKinds) {
  const Node root = parsed("a:\n  b: 1\nc: [1]\n");
  auto fields = Fields::of(*root.find("a"), "flag");
  EXPECT_EQ(fields->required("key").error().to_string(), "f.yaml:2:3: flag lacks the key 'key'");
  EXPECT_EQ(fields->required("key").error().code, "yaml.missing_key");
  EXPECT_EQ(Fields::of(*root.find("c"), "flag").error().to_string(),
            "f.yaml:3:4: flag: expected a mapping, found a list");
}

}  // namespace
}  // namespace poundlock::yaml
