#include "change/type_facts.h"

#include <gtest/gtest.h>

namespace poundlock::change {
namespace {

TEST(TypeFactsTest, OneNameForEachSpelling) {
  EXPECT_EQ(canonical_type("VARCHAR( 32 )"), "character varying(32)");
  EXPECT_EQ(canonical_type("pg_catalog.varchar(32)"), "character varying(32)");
  EXPECT_EQ(canonical_type("timestamptz"), "timestamp with time zone");
  EXPECT_EQ(canonical_type("timestamp (3) with time zone"), "timestamp(3) with time zone");
  EXPECT_EQ(canonical_type("numeric(10, 2)"), "numeric(10,2)");
  EXPECT_EQ(canonical_type("varchar(5)[]"), "character varying(5)[]");
  EXPECT_EQ(canonical_type("app.\"State\""), "app.\"State\"");
}

TEST(TypeFactsTest, LooseEqualityIsNeverCalledExact) {
  for (const char* type : {"text", "varchar(3)", "int8", "uuid", "timestamptz"})
    EXPECT_TRUE(equality_is_exact(type));
  for (const char* type :
       {"numeric", "float8", "char(3)", "interval", "jsonb", "json", "citext", "app.state", "text[]"})
    EXPECT_FALSE(equality_is_exact(type)) << type;
}

TEST(TypeFactsTest, WhatCanFail) {
  EXPECT_TRUE(cast_is_safe("text", "varchar(3)"));
  EXPECT_FALSE(assignment_is_safe("text", "varchar(3)"));
  EXPECT_TRUE(assignment_is_safe("character varying(20)", "varchar(32)"));
  EXPECT_FALSE(assignment_is_safe("character varying", "varchar(32)"));
  EXPECT_TRUE(assignment_is_safe("varchar(32)", "text"));
  EXPECT_TRUE(assignment_is_safe("integer", "int8"));
  EXPECT_FALSE(cast_is_safe("bigint", "integer"));
  EXPECT_FALSE(cast_is_safe("text", "integer"));
  EXPECT_TRUE(assignment_is_safe("integer", "numeric"));
  EXPECT_FALSE(assignment_is_safe("integer", "numeric(3,0)"));
  EXPECT_FALSE(assignment_is_safe("text", "char"));
  EXPECT_FALSE(assignment_is_safe("bit(3)", "bit"));
  EXPECT_FALSE(assignment_is_safe("bit(3)[]", "bit[]"));
  EXPECT_FALSE(assignment_is_safe("char(3)[]", "char[]"));
  EXPECT_TRUE(assignment_is_safe("varbit(3)", "varbit"));
}

}  // namespace
}  // namespace poundlock::change
