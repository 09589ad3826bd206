#include "engine/checks/path_reads.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace poundlock::engine {
namespace {

using Row = std::vector<ports::Cell>;

std::vector<Row> keys_of(const ports::Rows& rows, const std::vector<std::size_t>& outputs) {
  std::vector<Row> keys;
  for (const auto& row : rows.rows) {
    Row& key = keys.emplace_back();
    for (const std::size_t at : outputs)
      if (at < row.size()) key.push_back(row[at]);
  }
  return keys;
}

std::string shown(const Row& row) {
  std::string out;
  for (const auto& cell : row) {
    std::string text = cell.value_or("NULL");
    if (text.size() > 40) text = text.substr(0, 40) + "...";
    out += (out.empty() ? "" : ", ") + text;
  }
  return "(" + out + ")";
}

// The first row, in the order of all, that only one of them has.
std::string first_of_one(const std::vector<Row>& legacy, const std::vector<Row>& fresh) {
  std::vector<Row> only;
  std::set_difference(legacy.begin(), legacy.end(), fresh.begin(), fresh.end(), std::back_inserter(only));
  if (!only.empty()) return "only legacy gives " + shown(only.front());
  std::set_difference(fresh.begin(), fresh.end(), legacy.begin(), legacy.end(), std::back_inserter(only));
  return only.empty() ? "" : "only new gives " + shown(only.front());
}

RowsVerdict other_rows(const ports::Rows& legacy, const PathShape& shape, const ports::Rows& fresh,
                       bool same_order, const std::string& example) {
  const std::string counts =
      fmt::format("legacy gives {} rows and new {}; {}", legacy.rows.size(), fresh.rows.size(), example);
  // Which rows a LIMIT keeps is open where what it orders by does not tell them apart.
  const bool open = shape.limited && legacy.rows.size() == fresh.rows.size() &&
                    (!shape.ordered || (shape.order_is_output && same_order));
  if (!open) return {"rows_differ", counts, true};
  return {"rows_differ", counts + "; SQL leaves it open which rows come here", false};
}

}  // namespace

RowsVerdict compare_rows(const ports::Rows& legacy, const PathShape& legacy_shape, const ports::Rows& fresh,
                         const PathShape& fresh_shape) {
  if (legacy.columns != fresh.columns) {
    return {"columns_differ",
            fmt::format("legacy gives the columns {} and new {}", fmt::join(legacy.columns, ", "),
                        fmt::join(fresh.columns, ", ")),
            true};
  }
  const bool ordered = legacy_shape.ordered && fresh_shape.ordered;
  const bool by_outputs = legacy_shape.order_is_output && fresh_shape.order_is_output;
  const bool same_order =
      ordered && keys_of(legacy, legacy_shape.order_outputs) == keys_of(fresh, fresh_shape.order_outputs);
  auto a = legacy.rows, b = fresh.rows;
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  if (a != b) return other_rows(legacy, legacy_shape, fresh, same_order, first_of_one(a, b));
  if (!ordered || legacy.rows == fresh.rows || (by_outputs && same_order)) return {};
  if (by_outputs) return {"order_differs", "both give the same rows in another order", true};
  return {
      "order_differs",
      "both give the same rows, not in the same order; what they order by is no output, so that it cannot "
      "be told whether rows are merely equal in it",
      false};
}

}  // namespace poundlock::engine
