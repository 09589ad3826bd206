// A view that is redrawn in place on a terminal. Lines are cut to the terminal's width and height, so that
// what was drawn can always be taken back. One thread.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace poundlock::cli {

class Live {
 public:
  // `width` and `height` of the terminal, 0 for unknown. Lines may hold colours of Paint.
  Live(std::ostream& out, int width, int height) : out_(out), width_(width), height_(height) {}
  void resize(int width, int height);
  void draw(const std::vector<std::string>& lines);  // replaces what was drawn before
  void print(const std::string& line);               // stays above the view
  // What is drawn stays on the screen, and is not drawn again below what is printed afterwards.
  void leave() {
    drawn_ = 0;
    last_.clear();
  }

 private:
  void erase(std::string& out);
  std::ostream& out_;
  int width_;
  int height_;
  std::size_t drawn_ = 0;
  std::vector<std::string> last_;
};

// Cut to `width` cells; SGR sequences take none and stay whole, and a cut line ends without colour.
std::string cut_painted(const std::string& line, int width);

}  // namespace poundlock::cli
