// Two databases of one server, "staging" and "prod", each with a shop of the same schema.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>

#include "cli/run_for_test.h"
#include "support/pg_cluster.h"

namespace poundlock::scenario {

namespace bj = boost::json;

// A shop with what names, trees and rights can look like.
inline const std::vector<std::string> kShop{
    "CREATE SCHEMA shop",
    "CREATE SCHEMA \"Other Schema\"",
    "CREATE TYPE shop.mood AS ENUM ('good', 'bad')",
    "CREATE TABLE shop.\"Order Items\" (id bigint PRIMARY KEY, legacy_status text DEFAULT 'a  b', mood "
    "shop.mood, "
    "\"select\" int CHECK (\"select\" > 0))",
    "CREATE TABLE \"Other Schema\".\"Order Items\" (id bigint, item bigint REFERENCES shop.\"Order Items\")",
    "CREATE INDEX by_status ON shop.\"Order Items\" (legacy_status)",
    "CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER touch BEFORE UPDATE ON shop.\"Order Items\" FOR EACH ROW EXECUTE FUNCTION shop.touch()",
    "CREATE VIEW shop.seen AS SELECT id FROM shop.\"Order Items\"",
    "CREATE TABLE shop.elsewhere (id bigint, note text)",
    "CREATE TABLE shop.events (id int, at date) PARTITION BY RANGE (at)",
    "CREATE TABLE shop.events_1 PARTITION OF shop.events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')",
    "GRANT SELECT ON shop.\"Order Items\" TO writer",
    "CREATE POLICY own ON shop.\"Order Items\" FOR SELECT TO writer USING (id > 3)",
    "CREATE PUBLICATION outward FOR TABLE shop.\"Order Items\" WHERE (id > 5)",
    "CREATE TABLE shop.history (installed_rank int PRIMARY KEY, version text, description text, type text, "
    "script text, checksum int, success bool)",
    "INSERT INTO shop.history VALUES (1, '1', 'init', 'SQL', 'V1__init.sql', 11, true)",
    "CREATE TABLE shop.alembic_version (version_num varchar(32) PRIMARY KEY)",
    "INSERT INTO shop.alembic_version VALUES ('ae10')",
};

inline constexpr const char* kParityRollout = R"(rollout: items
change:
  - change_column:
      table: shop."Order Items"
      from: legacy_status
      to: {name: new_status, type: text}
      up: legacy_status
      down: new_status
feature_flags:
  items_flag: {enabled: true}
)";

class ParityTest : public cli::CommandLineTest {
 protected:
  static void SetUpTestSuite() {
    auto started = PgCluster::start({.settings = {"wal_level=logical"}});
    ASSERT_TRUE(started) << started.error().to_string();
    cluster_ = started->release();
  }
  static void TearDownTestSuite() {
    delete cluster_;
    cluster_ = nullptr;
  }
  void SetUp() override {
    CommandLineTest::SetUp();
    ASSERT_NE(cluster_, nullptr);
    for (const auto* name : {"staging", "prod"}) {
      admin(fmt::format("DROP DATABASE IF EXISTS {}", name));
      admin(fmt::format("CREATE DATABASE {} OWNER app", name));
      for (const auto& sql : kShop) in(name, sql);
    }
    write("items.yaml", kParityRollout);
  }
  void admin(const std::string& sql) { in("postgres", sql, "postgres"); }
  void in(const std::string& database, const std::string& sql, const std::string& role = "app") {
    auto& session = sessions_[database + role];
    if (!session || session->broken()) {
      databases_.push_back(cluster_->database(role, database));
      auto opened = databases_.back()->connect();
      ASSERT_TRUE(opened) << opened.error().to_string();
      session = std::move(*opened);
    }
    const auto done = session->run(sql);
    ASSERT_TRUE(done) << sql << ": " << done.error().to_string();
    if (sql.starts_with("DROP DATABASE")) sessions_.clear();
  }
  void TearDown() override {
    sessions_.clear();
    CommandLineTest::TearDown();
  }

  // "kind object" -> {from, to, blocking}, and the exit code.
  std::map<std::string, std::vector<std::string>> compare(std::vector<std::string> more = {}) {
    std::vector<std::string> words{
        "parity",   "--from", cluster_->conninfo("app", "staging"), "--to", cluster_->conninfo("app", "prod"),
        "--output", "json"};
    words.insert(words.end(), more.begin(), more.end());
    const auto ran = run(words);
    code_ = ran.code;
    std::map<std::string, std::vector<std::string>> out;
    boost::system::error_code bad;
    const auto answer = bj::parse(ran.out, bad);
    EXPECT_FALSE(bad) << ran.out << ran.err;
    if (bad || !answer.as_object().contains("equal")) {
      ADD_FAILURE() << ran.out << ran.err;
      return out;
    }
    EXPECT_EQ(answer.at("equal").as_bool(), code_ == 0);
    for (const auto& value : answer.at("differences").as_array()) {
      const auto& one = value.as_object();
      const auto text = [&](const char* key) {
        return one.at(key).is_null() ? std::string("-") : std::string(one.at(key).as_string());
      };
      out[text("kind") + " " + text("object")] = {text("from"), text("to"),
                                                  one.at("blocking").as_bool() ? "blocks" : "shown"};
    }
    return out;
  }

  static inline PgCluster* cluster_ = nullptr;
  std::vector<std::unique_ptr<postgres::PgDatabase>> databases_;
  std::map<std::string, std::unique_ptr<ports::Session>> sessions_;
  int code_ = -1;
};

}  // namespace poundlock::scenario
