// An aligned table for people. Cells are cleaned of control characters; widths are display widths. Where the
// terminal is too narrow, the widest columns are wrapped at spaces. One thread.
#pragma once

#include <string>
#include <vector>

#include "cli/colour.h"

namespace poundlock::cli {

struct Cell {
  Cell(std::string what = {}, Colour how = Colour::kPlain) : text(std::move(what)), colour(how) {}
  Cell(const char* what) : text(what) {}
  std::string text;
  Colour colour = Colour::kPlain;
};

enum class Align { kLeft, kRight };

struct Column {
  Column(std::string name, Align side = Align::kLeft) : title(std::move(name)), align(side) {}
  Column(const char* name) : title(name) {}
  std::string title;
  Align align = Align::kLeft;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<Cell> cells);  // missing cells are empty
  bool empty() const { return rows_.empty(); }

  // `width` 0: as wide as it is. Each line ends in a line end and in no space; `indent` spaces begin it.
  std::string render(const Paint& paint, int width, int indent = 0) const;

 private:
  std::vector<int> widths(int width) const;
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace poundlock::cli
