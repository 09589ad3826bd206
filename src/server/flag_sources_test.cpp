// Flag files as they change under a running server, and a server that was started anew.
#include "server/flag_sources.h"

#include <gmock/gmock.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "base/json.h"
#include "store/sqlite_fixture.h"
#include "telemetry/system_clock.h"

namespace poundlock::server {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string flag(const std::string& key, const std::string& variant, const std::string& more = "") {
  return "\"" + key + R"(":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":")" +
         variant + "\"" + more + "}";
}

class FlagSourcesTest : public ::testing::Test {
 protected:
  FlagSourcesTest() {
    std::string name = (fs::temp_directory_path() / "poundlock-sources-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) folder_ = name;
    fs::create_directories(folder_ / "flags");
    start();
  }
  ~FlagSourcesTest() override { fs::remove_all(folder_); }

  // As a server that was started again on the same store.
  void start() {
    sources_.reset();
    flags_.reset();
    store_.reset();
    store_ = std::move(*fixture_.open());
    flags_ = std::move(*FlagService::open(*store_, clock_));
  }
  void follow(const std::vector<std::string>& names) {
    std::vector<FlagSource> list;
    for (const auto& name : names) list.push_back({(folder_ / name).string(), name});
    sources_ = std::make_unique<FlagSources>(list, (folder_ / "override.json").string(), *flags_, clock_);
    sources_->reload();
  }
  void write(const std::string& name, const std::string& flags) {
    std::ofstream(folder_ / name) << "{\"flags\":{" << flags << "}}";
  }
  void set(const std::string& key, const std::string& variant) {
    const auto parsed = json::parse("{" + flag(key, variant) + "}", "flag");
    const auto done = flags_->set(key, parsed->as_object().at(key).as_object(), "alice", "");
    ASSERT_TRUE(done) << done.error().to_string();
  }
  void publish(const std::string& rollout, const std::string& flags) {
    const auto done = flags_->publish(rollout, "{" + flags + "}");
    ASSERT_TRUE(done) << done.error().to_string();
  }
  std::string variant(std::string_view key) const { return variant(key, *flags_->view()); }
  static std::string variant(std::string_view key, const FlagView& view) {
    const auto* found = view.snapshot->find(key);
    return !found ? "none" : found->fallback ? found->fallback->name : "-";
  }
  std::string selected(std::string_view key, const std::string& selector) const {
    const auto parsed = Selector::parse(selector);
    const auto view = flags_->view(*parsed);
    EXPECT_TRUE(view);
    return view ? variant(key, **view) : "";
  }

  fs::path folder_;
  store::SqliteFixture fixture_;
  telemetry::SystemClock clock_;
  std::unique_ptr<ports::StateStore> store_;
  std::unique_ptr<FlagService> flags_;
  std::unique_ptr<FlagSources> sources_;
};

TEST_F(FlagSourcesTest, AFolderIsReadByNameAndALaterFileWins) {
  write("flags/a.json", flag("both", "on") + "," + flag("only_a", "on"));
  std::ofstream(folder_ / "flags" / "b.yaml")
      << "flags:\n  both: {state: ENABLED, variants: {on: true, off: false}, defaultVariant: off}\n";
  write("flags/.hidden.json", flag("hidden", "on"));
  write("flags/notes.txt", flag("notes", "on"));
  follow({"flags"});
  EXPECT_EQ(variant("both"), "off");
  EXPECT_EQ(variant("only_a"), "on");
  EXPECT_EQ(variant("hidden"), "none");
  EXPECT_EQ(variant("notes"), "none");
  const auto shadowed = flags_->shadowed();
  ASSERT_EQ(shadowed.size(), 1U);
  EXPECT_THAT(shadowed[0].to_string(), testing::AllOf(HasSubstr("a.json"), HasSubstr("b.yaml defines it")));
}

TEST_F(FlagSourcesTest, TheOrderOfSourcesCountsNotTheirNames) {
  write("z.json", flag("k", "on"));
  write("a.json", flag("k", "off"));
  follow({"a.json", "z.json"});
  EXPECT_EQ(variant("k"), "on");
  follow({"z.json", "a.json"});
  EXPECT_EQ(variant("k"), "off");
}

TEST_F(FlagSourcesTest, AChangeCountsOnceTwoLooksAgree) {
  write("flags/a.json", flag("k", "off"));
  follow({"flags"});
  write("flags/a.json", flag("k", "on"));
  sources_->poll();
  EXPECT_EQ(variant("k"), "off") << "it may still be written";
  sources_->poll();
  EXPECT_EQ(variant("k"), "on");
  // An editor that moves the old file away before it writes the new one has deleted nothing.
  fs::rename(folder_ / "flags" / "a.json", folder_ / "flags" / "a.json~");
  sources_->poll();
  write("flags/a.json", flag("k", "off"));
  sources_->poll();
  EXPECT_EQ(variant("k"), "on");
  sources_->poll();
  EXPECT_EQ(variant("k"), "off");
}

TEST_F(FlagSourcesTest, AnAtomicRenameASwappedLinkAndComingAndGoingFilesAreChanges) {
  for (const char* version : {"off", "on"}) {
    fs::create_directories(folder_ / "flags" / (std::string("..") + version));
    write(std::string("flags/..") + version + "/a.json", flag("linked", version));
  }
  fs::create_directory_symlink("..off", folder_ / "flags" / "..data");
  fs::create_symlink("..data/a.json", folder_ / "flags" / "a.json");
  write("flags/b.json", flag("renamed", "off"));
  follow({"flags"});
  EXPECT_EQ(variant("linked"), "off");
  fs::create_directory_symlink("..on", folder_ / "flags" / "..tmp");
  fs::rename(folder_ / "flags" / "..tmp", folder_ / "flags" / "..data");
  write("new", flag("renamed", "on"));
  fs::rename(folder_ / "new", folder_ / "flags" / "b.json");
  write("flags/c.json", flag("came", "on"));
  sources_->poll();
  sources_->poll();
  EXPECT_EQ(variant("linked"), "on");
  EXPECT_EQ(variant("renamed"), "on");
  EXPECT_EQ(variant("came"), "on");
  fs::remove(folder_ / "flags" / "c.json");
  sources_->poll();
  sources_->poll();
  EXPECT_EQ(variant("came"), "none");
  // Gone altogether is no order: somebody replaces the folder, or has unmounted it.
  fs::rename(folder_ / "flags", folder_ / "away");
  sources_->poll();
  sources_->poll();
  EXPECT_EQ(variant("linked"), "on");
}

TEST_F(FlagSourcesTest, ABadFileKeepsItsOwnLastGoodFlagsAlsoOverARestart) {
  write("flags/a.json", flag("a", "on"));
  write("flags/b.json", flag("b", "off"));
  follow({"flags"});
  std::ofstream(folder_ / "flags" / "a.json") << "{\"flags\": {";
  write("flags/b.json", flag("b", "on"));
  sources_->reload();
  EXPECT_EQ(variant("a"), "on");
  EXPECT_EQ(variant("b"), "on") << "the other file is not held up";
  start();
  follow({"flags"});
  EXPECT_EQ(variant("a"), "on");
  EXPECT_THAT(sources_->missing(), IsEmpty());
  write("flags/a.json", flag("a", "off", R"(,"targeting":{"no_such_operator":[]})"));
  sources_->reload();
  EXPECT_EQ(variant("a"), "on") << "a rule that can never answer takes no good flag's place";
  write("flags/a.json", flag("a", "off"));
  sources_->reload();
  EXPECT_EQ(variant("a"), "off");
}

TEST_F(FlagSourcesTest, ARefusedFileIsToldUntilItIsMended) {
  const auto told = [&] {
    std::vector<std::string> out;
    for (const auto& one : sources_->refused()) out.push_back(fs::path(one.path).filename().string());
    return out;
  };
  write("flags/a.json", flag("a", "on"));
  write("flags/b.json", flag("b", "on"));
  follow({"flags", "late.json"});
  EXPECT_THAT(told(), ElementsAre("late.json"));
  write("late.json", flag("late", "on"));
  std::ofstream(folder_ / "flags" / "a.json") << "{\"flags\": {";
  write("flags/b.json", flag("b", "off", R"(,"targeting":{"no_such_operator":[]})"));
  std::ofstream(folder_ / "override.json") << "{";
  const auto began = clock_.now();
  sources_->reload();
  ASSERT_THAT(told(), ElementsAre("a.json", "b.json", "override.json"));
  const auto first = sources_->refused();
  EXPECT_THAT(first[0].why, HasSubstr("a.json:1:"));
  EXPECT_THAT(first[1].why, HasSubstr("no_such_operator"));
  EXPECT_GE(first[0].since, began);
  std::ofstream(folder_ / "flags" / "a.json") << "still nothing";
  write("flags/b.json", flag("b", "off"));
  std::ofstream(folder_ / "override.json") << R"({"flags":{}})";
  sources_->reload();
  ASSERT_THAT(told(), ElementsAre("a.json"));
  EXPECT_EQ(sources_->refused()[0].since, first[0].since) << "refused without a break";
  EXPECT_NE(sources_->refused()[0].why, first[0].why);
  fs::remove(folder_ / "flags" / "a.json");
  sources_->reload();
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(FlagSourcesTest, SourcesThatAreRefusedTogetherAtAFirstStartAreMissing) {
  std::string many;
  for (int i = 0; i < 6'000; ++i) many += (i > 0 ? "," : "") + flag("a" + std::to_string(i), "on");
  write("a.json", many);
  std::string others;
  for (int i = 0; i < 6'000; ++i) others += (i > 0 ? "," : "") + flag("b" + std::to_string(i), "on");
  write("b.json", others);
  follow({"a.json", "b.json"});
  EXPECT_EQ(sources_->missing().size(), 2U) << "12,000 flags are more than are served";
  write("b.json", flag("k", "on"));
  sources_->reload();
  EXPECT_THAT(sources_->missing(), IsEmpty());
  EXPECT_EQ(variant("k"), "on");
}

TEST_F(FlagSourcesTest, ASourceThatNeverWasGoodIsMissing) {
  follow({"flags", "none.json"});
  EXPECT_THAT(sources_->missing(), ElementsAre((folder_ / "none.json").string()));
  write("none.json", flag("k", "on"));
  sources_->reload();
  EXPECT_THAT(sources_->missing(), IsEmpty());
  EXPECT_EQ(variant("k"), "on");
}

// flagd serves such a file, and so do we, until it was good once.
TEST_F(FlagSourcesTest, AFileWithOneBadRuleIsServedWhereThereIsNothingBetter) {
  write("a.json", flag("good", "on") + "," + flag("bad", "on", R"(,"targeting":{"no_such_operator":[]})"));
  follow({"a.json"});
  EXPECT_EQ(variant("good"), "on");
  write("a.json", flag("good", "off") + "," + flag("bad", "on", R"(,"targeting":{"no_such_operator":[]})"));
  sources_->reload();
  EXPECT_EQ(variant("good"), "off") << "the old fault holds up nothing new";
}

TEST_F(FlagSourcesTest, ByHandOutlivesARestartUntilThatFlagsFileChanges) {
  write("a.json", flag("k", "on") + "," + flag("other", "on"));
  write("b.json", flag("k", "on"));
  follow({"a.json", "b.json"});
  set("k", "off");
  start();
  follow({"a.json", "b.json"});
  EXPECT_EQ(variant("k"), "off");
  write("a.json", flag("k", "on", R"(,"metadata":{"v":2})") + "," + flag("other", "off"));
  sources_->reload();
  EXPECT_EQ(variant("k"), "off") << "the definition in a.json did not count, so its change does not either";
  EXPECT_EQ(variant("other"), "off");
  write("b.json", flag("k", "on", R"(,"metadata":{"v":3})"));
  sources_->reload();
  EXPECT_EQ(variant("k"), "on");
}

// The mount is late at boot, its mount point is there without the mount, or what is there is no folder.
TEST_F(FlagSourcesTest, AFolderThatIsAwayAtARestartLosesNeitherFlagsNorOrders) {
  const auto folder = folder_ / "flags", away = folder_ / "away";
  const std::vector<std::function<void()>> troubles = {
      [&] { fs::rename(folder, away); },
      [&] { fs::rename(folder, away), fs::create_directory(folder); },
      [&] { fs::rename(folder, away), fs::create_symlink(folder_ / "plain" / "below", folder); },
  };
  for (std::size_t i = 0; i < troubles.size(); ++i) {
    SCOPED_TRACE(i);
    write("flags/a.json", flag("k", "on") + "," + flag("other", "on"));
    start();
    follow({"flags"});
    set("k", "off");
    write("plain", "");
    troubles[i]();
    start();
    follow({"flags"});
    sources_->poll();
    sources_->poll();
    EXPECT_EQ(variant("k"), "off");
    EXPECT_EQ(variant("other"), "on");
    EXPECT_THAT(sources_->missing(), IsEmpty());
    fs::remove_all(folder);
    fs::rename(away, folder);
    sources_->reload();
    EXPECT_EQ(variant("k"), "off") << "what comes back as it was undoes no order";
    write("flags/a.json", flag("k", "on", R"(,"metadata":{"v":2})"));
    sources_->reload();
    EXPECT_EQ(variant("k"), "on");
    EXPECT_EQ(variant("other"), "none");
  }
}

TEST_F(FlagSourcesTest, AFileOfAFolderThatIsAwayCountsOnce) {
  write("flags/a.json", flag("k", "on"));
  follow({"flags", "flags/a.json"});
  fs::rename(folder_ / "flags", folder_ / "away");
  start();
  follow({"flags", "flags/a.json"});
  EXPECT_EQ(variant("k"), "on");
  EXPECT_THAT(flags_->shadowed(), IsEmpty());
}

TEST_F(FlagSourcesTest, AKeyThatVanishesAndComesBackUndoesNoOrder) {
  write("a.json", flag("k", "on", R"(,"metadata":{"from":"a"})"));
  write("flags/b.json", flag("k", "on"));
  follow({"a.json", "flags"});
  set("k", "off");
  fs::remove(folder_ / "flags" / "b.json");
  sources_->reload();
  EXPECT_EQ(variant("k"), "off") << "the definition in a.json is not new";
  write("a.json", "");
  sources_->reload();
  EXPECT_EQ(variant("k"), "off");
  start();
  write("flags/b.json", flag("k", "on"));
  follow({"a.json", "flags"});
  EXPECT_EQ(variant("k"), "off");
}

TEST_F(FlagSourcesTest, AFolderThatLosesItsLastFileLosesItsFlags) {
  write("flags/a.json", flag("k", "on"));
  follow({"flags"});
  fs::remove(folder_ / "flags" / "a.json");
  sources_->reload();
  EXPECT_EQ(variant("k"), "none");
}

TEST_F(FlagSourcesTest, AFileNeverTakesARolloutsKeyOrATombstones) {
  publish("r", flag("k", "off") + "," +
                   R"("k.stage":{"state":"ENABLED","variants":{"complete":"complete","off":"off"},)" +
                   R"("defaultVariant":"complete"})");
  write("a.json", flag("k", "on") + "," + flag("plain", "on"));
  follow({"a.json"});
  EXPECT_EQ(variant("k"), "off");
  EXPECT_EQ(selected("k", "source=a.json"), "none");
  EXPECT_EQ(variant("plain"), "on");
  ASSERT_EQ(flags_->shadowed().size(), 1U);
  EXPECT_THAT(flags_->shadowed()[0].to_string(), HasSubstr("the rollout r steers this key for ever"));
  for (const auto& info : flags_->list()) EXPECT_EQ(info.owner, info.key == "plain" ? "" : "r") << info.key;
}

// What reads the old key somewhere would be steered by another change.
TEST_F(FlagSourcesTest, AKeyIsNeverUsedTwice) {
  const std::string tombstone = R"("old.stage":{"state":"ENABLED","variants":{"complete":"complete"},)"
                                R"("defaultVariant":"complete"})";
  publish("closed", flag("old", "on") + "," + tombstone);
  write("a.json", flag("in_file", "on"));
  follow({"a.json"});
  set("by_hand", "on");
  start();  // it outlives the server that closed the rollout
  for (const char* key : {"old", "in_file", "by_hand"}) {
    const auto taken = flags_->check_free(key, "new_rollout");
    ASSERT_FALSE(taken) << key;
    EXPECT_EQ(taken.error().code, "flag.taken");
  }
  EXPECT_TRUE(flags_->check_free("old", "closed")) << "its own";
  EXPECT_TRUE(flags_->check_free("fresh", "new_rollout"));
  const auto stolen = flags_->publish("new_rollout", "{" + tombstone + "}");
  ASSERT_FALSE(stolen);
  EXPECT_EQ(stolen.error().code, "flag.taken");
  const auto parsed = json::parse("{" + flag("old", "off") + "}", "flag");
  EXPECT_FALSE(flags_->set("old", parsed->as_object().at("old").as_object(), "alice", ""));
  write("a.json", flag("old", "off"));
  follow({"a.json"});
  EXPECT_EQ(variant("old"), "on");
}

TEST_F(FlagSourcesTest, SelectorsReachFilesAndFlagSetsAlsoWhereALaterOneWins) {
  const std::string set_a = R"(,"metadata":{"flagSetId":"a"})", set_b = R"(,"metadata":{"flagSetId":"b"})";
  write("a.json", flag("k", "on", set_a));
  write("b.json", flag("k", "off", set_b));
  follow({"a.json", "b.json"});
  EXPECT_EQ(variant("k"), "off");
  EXPECT_EQ(selected("k", "flagSetId=a"), "on");
  EXPECT_EQ(selected("k", "flagSetId=b"), "off");
  EXPECT_EQ(selected("k", "source=a.json"), "on");
  EXPECT_EQ(selected("k", "file:a.json"), "on");
  EXPECT_EQ(selected("k", "source=" + (folder_ / "a.json").string()), "on");
  EXPECT_EQ(selected("k", "source=c.json"), "none");
}

// Whoever turns a flag off has turned it off for those who follow one file, too.
TEST_F(FlagSourcesTest, AnOrderByHandReachesReadersOfOneFile) {
  write("a.json", flag("k", "on"));
  follow({"a.json"});
  set("k", "off");
  EXPECT_EQ(selected("k", "source=a.json"), "off");
}

TEST_F(FlagSourcesTest, AnOverrideOutranksUntilTheRolloutIsComplete) {
  const auto stage = [](const std::string& fallback, const std::string& targeting = "") {
    return R"("k.stage":{"state":"ENABLED","variants":{"off":"off","live":"live","complete":"complete"},)"
           R"("defaultVariant":")" +
           fallback + "\"" + targeting + "}";
  };
  publish("r", flag("k", "on", R"(,"targeting":{"if":[true,"on","off"]})") + "," + stage("live"));
  write("a.json", flag("plain", "on"));
  follow({"a.json"});
  std::ofstream(folder_ / "override.json") << R"({"flags":{"k":"off","plain":false,"none":"off"}})";
  sources_->reload();
  EXPECT_EQ(variant("k"), "off");
  EXPECT_FALSE(flags_->view()->snapshot->find("k")->has_rule);
  EXPECT_EQ(variant("k.stage"), "off") << "one name in the file steers both";
  EXPECT_EQ(variant("plain"), "off");
  EXPECT_EQ(variant("none"), "none");
  publish("r", flag("k", "on") + "," + stage("complete"));
  EXPECT_EQ(variant("k"), "on") << "from closing on nothing leads back";
  for (const auto& info : flags_->list()) {
    const auto one = flags_->find(info.key);
    ASSERT_TRUE(one) << info.key;
    EXPECT_EQ(one->owner, info.owner);
    EXPECT_EQ(one->source, info.source);
    EXPECT_EQ(one->overridden, info.overridden) << info.key;
    EXPECT_EQ(one->definition, info.definition) << info.key;
  }
  EXPECT_FALSE(flags_->find("none"));
  fs::remove(folder_ / "override.json");
  sources_->reload();
  EXPECT_EQ(variant("plain"), "on");
}

// Lines of the log while it lives.
class Log {
 public:
  Log() { spdlog::default_logger()->sinks().push_back(sink_); }
  ~Log() { spdlog::default_logger()->sinks().pop_back(); }
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::sinks::ostream_sink_mt> sink_ =
      std::make_shared<spdlog::sinks::ostream_sink_mt>(text_);
};

TEST_F(FlagSourcesTest, AnOverrideCountsByValueAndWhatMeansNothingIsNamed) {
  const auto plain = [](const std::string& key, const std::string& variants) {
    return "\"" + key + R"(":{"state":"ENABLED","variants":{)" + variants +
           R"(},"defaultVariant":"enabled"})";
  };
  const std::string pair = R"("enabled":true,"disabled":false)";
  write("a.json", plain("a", pair) + "," + plain("b", pair) + "," + plain("c", pair) + "," +
                      plain("turned", R"("off":true,"enabled":false)"));
  std::ofstream(folder_ / "override.json")
      << R"({"flags":{"a":false,"b":"off","c":"banana","turned":"off","later":"off"}})";
  Log log;
  follow({"a.json"});
  EXPECT_EQ(variant("a"), "disabled");
  EXPECT_EQ(variant("b"), "disabled");
  EXPECT_EQ(variant("turned"), "enabled") << "its value is false";
  EXPECT_EQ(variant("c"), "enabled");
  EXPECT_THAT(log.text(), HasSubstr("the override of c is not heeded: banana is no variant of the flag"));
  EXPECT_THAT(log.text(), HasSubstr("the override of later does nothing yet"));
  EXPECT_THAT(log.text(), testing::Not(HasSubstr("override of a ")));
  const std::string told = log.text();
  sources_->poll();
  EXPECT_EQ(log.text(), told) << "once";
}

TEST_F(FlagSourcesTest, AnOverrideSteersBothFlagsOfARolloutOrNone) {
  publish("r", flag("k", "on") + R"(,"k.stage":{"state":"ENABLED","variants":{"off":"off","live":"live"},)"
                                 R"("defaultVariant":"live"})");
  Log log;
  follow({});
  const auto order = [&](const std::string& word) {
    fs::remove(folder_ / "override.json");
    sources_->reload();
    std::ofstream(folder_ / "override.json") << R"({"flags":{"k":")" + word + "\"}}";
    sources_->reload();
  };
  for (const char* word : {"off", "false"}) {
    order(word);
    EXPECT_EQ(variant("k"), "off") << word;
    EXPECT_EQ(variant("k.stage"), "off") << word;
  }
  for (const char* word : {"on", "true", "live", "banana"}) {
    order(word);
    EXPECT_EQ(variant("k"), "on") << word;
    EXPECT_EQ(variant("k.stage"), "live") << word;
  }
  EXPECT_THAT(log.text(), HasSubstr("live is no variant of its rollout's flag: write on or off"));
  EXPECT_THAT(log.text(), HasSubstr("banana is no variant"));
}

}  // namespace
}  // namespace poundlock::server
