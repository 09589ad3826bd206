#include "cli/table.h"

#include <algorithm>
#include <numeric>

#include "cli/text.h"

namespace poundlock::cli {
namespace {

constexpr int kGap = 2;
constexpr int kNarrow = 10;    // columns are wrapped down to this,
constexpr int kNarrowest = 3;  // and below it only where the table would not fit otherwise

// Takes from the widest until they fit, and nothing below `narrowest`.
void shrink(std::vector<int>& widths, int room, int narrowest) {
  for (int over = std::accumulate(widths.begin(), widths.end(), 0) - room; over > 0;) {
    const auto widest = std::max_element(widths.begin(), widths.end());
    if (*widest <= narrowest) break;
    // Down to the second widest at most, so that columns share the loss.
    int second = narrowest;
    for (auto it = widths.begin(); it != widths.end(); ++it)
      if (it != widest) second = std::max(second, *it);
    const int cut = std::clamp(*widest - second, 1, over);
    *widest -= cut;
    over -= cut;
  }
}

std::string aligned(const std::string& text, Align align, int width) {
  return align == Align::kRight ? pad_left(text, width) : pad_right(text, width);
}

// Colour goes around the text and never around the padding, so that trailing spaces can be cut.
std::string line_of(const std::vector<std::vector<std::string>>& cells, const std::vector<Column>& columns,
                    const std::vector<Colour>& colours, const std::vector<int>& widths, std::size_t line,
                    const Paint& paint) {
  std::string out;
  int owed = 0;  // spaces that are written only when text follows
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const std::string text = line < cells[c].size() ? cells[c][line] : "";
    const std::string placed = aligned(text, columns[c].align, widths[c]);
    const int used = display_width(text);
    const int left = columns[c].align == Align::kRight ? display_width(placed) - used : 0;
    if (!text.empty()) {
      out.append(static_cast<std::size_t>(owed + left), ' ');
      out += paint(colours[c], text);
      owed = widths[c] - left - used;
    } else {
      owed += widths[c];
    }
    owed += kGap;
  }
  return out;
}

}  // namespace

void Table::add(std::vector<Cell> cells) {
  for (auto& cell : cells) cell.text = clean(cell.text);
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::vector<int> Table::widths(int width) const {
  std::vector<int> out;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    int widest = display_width(columns_[c].title);
    for (const auto& row : rows_) widest = std::max(widest, display_width(row[c].text));
    out.push_back(widest);
  }
  if (width <= 0 || out.empty()) return out;
  const int room = width - kGap * static_cast<int>(out.size() - 1);
  shrink(out, room, kNarrow);
  shrink(out, room, kNarrowest);
  return out;
}

std::string Table::render(const Paint& paint, int width, int indent) const {
  const auto width_of = widths(width <= 0 ? 0 : std::max(1, width - indent));
  std::string out;
  const auto write = [&](const std::vector<Cell>& row) {
    std::vector<std::vector<std::string>> cells;
    std::vector<Colour> colours;
    std::size_t lines = 1;
    for (std::size_t c = 0; c < row.size(); ++c) {
      cells.push_back(wrap(row[c].text, width_of[c]));
      colours.push_back(row[c].colour);
      lines = std::max(lines, cells.back().size());
    }
    for (std::size_t i = 0; i < lines; ++i) {
      out.append(static_cast<std::size_t>(indent), ' ');
      out += line_of(cells, columns_, colours, width_of, i, paint) + '\n';
    }
  };
  std::vector<Cell> header;
  for (const auto& column : columns_) header.emplace_back(column.title, Colour::kBold);
  write(header);
  for (const auto& row : rows_) write(row);
  return out;
}

}  // namespace poundlock::cli
