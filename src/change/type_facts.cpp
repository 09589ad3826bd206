#include "change/type_facts.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace poundlock::change {
namespace {

using Alias = std::pair<std::string_view, std::string_view>;
constexpr std::array kAliases{Alias{"varchar", "character varying"},
                              Alias{"char varying", "character varying"},
                              Alias{"char", "character"},
                              Alias{"bpchar", "character"},
                              Alias{"int", "integer"},
                              Alias{"int4", "integer"},
                              Alias{"int2", "smallint"},
                              Alias{"int8", "bigint"},
                              Alias{"bool", "boolean"},
                              Alias{"float4", "real"},
                              Alias{"float8", "double precision"},
                              Alias{"float", "double precision"},
                              Alias{"decimal", "numeric"},
                              Alias{"dec", "numeric"},
                              Alias{"varbit", "bit varying"},
                              Alias{"timestamptz", "timestamp with time zone"},
                              Alias{"timestamp", "timestamp without time zone"},
                              Alias{"timetz", "time with time zone"},
                              Alias{"time", "time without time zone"}};

struct Shape {
  std::string base;
  std::string modifier;  // "(32)" or ""
};

// "timestamp(3) with time zone" has its modifier in the middle.
Shape shape_of(std::string_view type) {
  std::string text;
  for (const char c : type) {
    const bool space = std::isspace(static_cast<unsigned char>(c)) != 0;
    if (space && (text.empty() || text.back() == ' ')) continue;
    text += space ? ' ' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  if (text.starts_with("pg_catalog.")) text.erase(0, std::string_view("pg_catalog.").size());
  Shape shape;
  const auto open = text.find('(');
  const auto close = text.find(')', open == std::string::npos ? 0 : open);
  if (open != std::string::npos && close != std::string::npos) {
    shape.modifier = text.substr(open, close - open + 1);
    std::erase(shape.modifier, ' ');
    text.erase(open, close - open + 1);
    while (!text.empty() && text.back() == ' ') text.pop_back();
  }
  for (auto at = text.find("  "); at != std::string::npos; at = text.find("  ")) text.erase(at, 1);
  if (auto at = text.find(" ["); at != std::string::npos) text.erase(at, 1);
  std::string dimensions;
  if (const auto at = text.find('['); at != std::string::npos) {
    dimensions = text.substr(at);
    text.erase(at);
  }
  shape.base = std::move(text);
  for (const auto& [alias, name] : kAliases) {
    if (shape.base != alias) continue;
    shape.base = name;
    break;
  }
  shape.base += dimensions;
  return shape;
}

template <std::size_t N>
bool one_of(std::string_view base, const std::array<std::string_view, N>& list) {
  return std::find(list.begin(), list.end(), base) != list.end();
}

int limit_of(const std::string& modifier) {  // -1: none
  return modifier.empty() ? -1 : std::atoi(modifier.c_str() + 1);
}

// Rank in the chain of integers that widen without loss.
int integer_rank(std::string_view base) {
  constexpr std::array<std::string_view, 3> kChain{"smallint", "integer", "bigint"};
  const auto at = std::find(kChain.begin(), kChain.end(), base);
  return at == kChain.end() ? 0 : static_cast<int>(at - kChain.begin()) + 1;
}

}  // namespace

std::string canonical_type(std::string_view type) {
  if (type.find('"') != std::string_view::npos) return std::string(type);
  const Shape shape = shape_of(type);
  if (shape.modifier.empty()) return shape.base;
  if (shape.base.starts_with("timestamp ") || shape.base.starts_with("time ")) {
    const auto space = shape.base.find(' ');
    return shape.base.substr(0, space) + shape.modifier + shape.base.substr(space);
  }
  if (shape.base.ends_with("[]")) {
    return shape.base.substr(0, shape.base.size() - 2) + shape.modifier + "[]";
  }
  return shape.base + shape.modifier;
}

bool is_textual(std::string_view type) {
  const std::string base = shape_of(type).base;
  return base == "text" || base == "character varying";
}

bool equality_is_exact(std::string_view type) {
  static constexpr std::array<std::string_view, 12> kExact{"boolean",
                                                           "smallint",
                                                           "integer",
                                                           "bigint",
                                                           "oid",
                                                           "uuid",
                                                           "date",
                                                           "bytea",
                                                           "text",
                                                           "character varying",
                                                           "timestamp without time zone",
                                                           "timestamp with time zone"};
  return one_of(shape_of(type).base, kExact);
}

bool cast_is_safe(std::string_view from, std::string_view to) {
  const Shape a = shape_of(from), b = shape_of(to);
  if (a.base == b.base && a.modifier == b.modifier) return true;
  static constexpr std::array<std::string_view, 3> kText{"text", "character varying", "character"};
  if (one_of(b.base, kText)) return one_of(a.base, kText) || equality_is_exact(from);
  if (integer_rank(a.base) != 0 && integer_rank(b.base) != 0)
    return integer_rank(a.base) <= integer_rank(b.base);
  if (integer_rank(a.base) != 0 && b.base == "numeric") return b.modifier.empty();
  return a.base == b.base && b.modifier.empty();
}

bool assignment_is_safe(std::string_view from, std::string_view to) {
  const Shape a = shape_of(from), b = shape_of(to);
  if (!cast_is_safe(from, to)) return false;
  if (a.base == b.base && a.modifier == b.modifier) return true;
  // Without a length char, bit and arrays of them have the length 1, and a longer value does not fit.
  if (b.modifier.empty()) {
    const bool varying = b.base.starts_with("character varying") || b.base.starts_with("bit varying");
    return varying || (!b.base.starts_with("character") && !b.base.starts_with("bit"));
  }
  const bool text = (a.base == "character varying" || a.base == "character") && b.base == "character varying";
  return text && limit_of(a.modifier) >= 0 && limit_of(a.modifier) <= limit_of(b.modifier);
}

std::string whole_type(std::string_view type) {
  if (type.find('"') != std::string_view::npos) return {};
  const Shape shape = shape_of(type);
  if (shape.base == "character varying" || shape.base == "bit varying")
    return shape.modifier.empty() ? std::string() : shape.base;
  // Without a length these two have the length 1.
  if (shape.base == "character") return "pg_catalog.bpchar";
  return shape.base == "bit" ? "bit varying" : "";
}

}  // namespace poundlock::change
