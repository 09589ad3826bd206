#include "cli/live.h"

#include <algorithm>

#include "cli/text.h"

namespace poundlock::cli {

std::string cut_painted(const std::string& line, int width) {
  std::string out;
  int left = width;
  bool painted = false;
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t escape = std::min(line.find('\x1b', at), line.size());
    const std::string text = line.substr(at, escape - at);
    const int needed = display_width(text);
    if (needed > left) {
      out += fit(text, left);
      return painted ? out + "\x1b[0m" : out;
    }
    out += text;
    left -= needed;
    if (escape == line.size()) break;
    const std::size_t end = std::min(line.find('m', escape), line.size() - 1);
    out += line.substr(escape, end - escape + 1);
    painted = true;
    at = end + 1;
  }
  return out;
}

void Live::resize(int width, int height) {
  width_ = width;
  height_ = height;
}

void Live::erase(std::string& out) {
  if (drawn_ > 0) out += "\x1b[" + std::to_string(drawn_) + "A";
  out += "\r\x1b[J";
}

void Live::draw(const std::vector<std::string>& lines) {
  std::string out;
  erase(out);
  // One line is left for the cursor: a view that scrolls cannot be taken back.
  const std::size_t room = height_ > 1 ? static_cast<std::size_t>(height_ - 1) : lines.size();
  drawn_ = std::min(lines.size(), room);
  last_ = lines;
  for (std::size_t i = 0; i < drawn_; ++i)
    out += (width_ > 0 ? cut_painted(lines[i], width_) : lines[i]) + "\n";
  out_ << out << std::flush;
}

void Live::print(const std::string& line) {
  std::string out;
  erase(out);
  out_ << out << line << "\n";
  drawn_ = 0;
  if (!last_.empty()) draw(std::vector<std::string>(last_));
}

}  // namespace poundlock::cli
