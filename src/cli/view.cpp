#include "cli/view.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/time.h"
#include "cli/bar.h"
#include "cli/fields.h"
#include "cli/table.h"
#include "cli/text.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
constexpr int kBarCells = 24;
constexpr std::size_t kJournalLines = 4;
constexpr std::size_t kWaitingLines = 6;

std::string field(const bj::object& object, std::string_view key) {
  return clean(text_at(object, key));
}

std::string label(const Look& look, std::string_view name) {
  return look.paint(Colour::kDim, pad_right(name, 10));
}

const char* mark_of(const Look& look, bool done, bool present) {
  if (done) return look.utf8 ? "✓" : "+";
  if (present) return look.utf8 ? "▶" : ">";
  return look.utf8 ? "·" : "-";
}

// A phase is done when all its items are, present when the present item is in it.
std::string phases_line(const bj::object& view, const Look& look) {
  std::string out;
  std::string now = text_at(view, "mode") == "done" ? "" : text_at(view, "phase");
  for (const std::string_view phase : {"prepare", "dual_write", "expose", "contract"}) {
    bool any = false;
    bool done = true;
    for (const auto& value : list_at(view, "items")) {
      const auto& item = element(value);
      if (text_at(item, "phase") != phase) continue;
      any = true;
      done = done && text_at(item, "state") == "done";
    }
    if (!any) continue;
    const bool present = now == phase;
    const Colour colour = done ? Colour::kGreen : present ? Colour::kBold : Colour::kDim;
    out += look.paint(colour, fmt::format("{} {}", mark_of(look, done, present), phase)) + "   ";
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string exposure_line(const bj::object& view, const Look& look) {
  const auto& flag = object_at(view, "flag");
  const std::string stage = field(flag, "stage");
  if (field(flag, "key").empty()) return "";
  const bool everybody = stage == "complete" || stage == "rampdown";
  const bool live = stage == "live";
  const double all = everybody ? 1 : live ? number_at(flag, "percentage").value_or(0) / 100 : 0;
  const double internal = everybody ? 1 : live ? number_at(flag, "internal_percentage").value_or(0) / 100 : 0;
  return fmt::format("{} {} everybody, {} internal  ({} = {}{})",
                     look.paint(Colour::kCyan, bar(all, kBarCells, look.utf8)), format_percent(all),
                     format_percent(internal), field(flag, "key"), stage,
                     bool_at(flag, "exclusions") ? "" : ", exclusions released");
}

std::string progress_line(const bj::object& view, const Look& look) {
  const auto& step = object_at(view, "step_progress");
  const std::string name = field(step, "step");
  if (name.empty()) return "";
  const double done = number_at(step, "done").value_or(0);
  const double total = number_at(step, "total").value_or(0);
  const double rate = number_at(step, "rate").value_or(0);
  std::string out = name;
  if (total > 0) {
    out += "  " + look.paint(Colour::kCyan, bar(done / total, kBarCells, look.utf8)) +
           fmt::format("  {} of {}", format_count(done), format_count(total));
  }
  if (rate > 0) out += fmt::format("  {} rows/s", format_count(rate));
  if (const auto left = remaining(done, total, rate); left && done < total)
    out += fmt::format("  {} left", format_remaining(*left));
  if (const auto state = field(step, "state"); !state.empty())
    out += "  " + look.paint(Colour::kYellow, state);
  return out;
}

std::vector<std::string> window_lines(const bj::object& view, const Look& look) {
  std::vector<std::string> out;
  for (const auto& entry : object_at(view, "windows")) {
    const auto& window = element(entry.value());
    const double have = number_at(window, "accumulated_ms").value_or(0);
    const double need = number_at(window, "required_ms").value_or(0);
    if (need <= 0 || have <= 0) continue;
    const Millis left{static_cast<std::int64_t>(std::max(0.0, need - have))};
    out.push_back(fmt::format("{} {}  {}", pad_right(clean(entry.key()), 14),
                              look.paint(Colour::kCyan, bar(have / need, kBarCells, look.utf8)),
                              left.count() == 0 ? "over" : format_remaining(left) + " left"));
  }
  return out;
}

std::string readers_line(const bj::object& view) {
  const auto& flag = object_at(view, "flag");
  const double epoch = number_at(flag, "epoch").value_or(0);
  const double revision = number_at(flag, "revision").value_or(0);
  int live = 0, applied = 0, frozen = 0, departed = 0;
  for (const auto& value : list_at(view, "instances")) {
    const auto& one = element(value);
    if (bool_at(one, "departed")) {
      ++departed;
      continue;
    }
    ++live;
    frozen += bool_at(one, "frozen") ? 1 : 0;
    const double at = number_at(one, "epoch").value_or(0);
    applied += at > epoch || (at == epoch && number_at(one, "revision").value_or(0) >= revision) ? 1 : 0;
  }
  if (live + departed == 0) return "";
  return fmt::format("{} of {} have applied the flag{}{}", applied, live,
                     frozen > 0 ? fmt::format(", {} frozen", frozen) : "",
                     departed > 0 ? fmt::format(", {} departed", departed) : "");
}

void add_labelled(std::vector<std::string>& out, const Look& look, std::string_view name,
                  const std::vector<std::string>& lines, std::size_t max) {
  for (std::size_t i = 0; i < std::min(lines.size(), max); ++i)
    if (!lines[i].empty()) out.push_back(label(look, i == 0 ? name : "") + lines[i]);
  if (lines.size() > max) out.push_back(label(look, "") + fmt::format("and {} more", lines.size() - max));
}

// Over the limit and yet not failed: few samples prove nothing. Unsaid, it reads as a gate that cannot count.
bool passes_over_limit(const bj::object& gate) {
  return text_at(gate, "verdict") == "pass" && !bool_at(gate, "waived") &&
         number_at(gate, "value").value_or(0) > number_at(gate, "limit").value_or(0);
}
constexpr const char* kNotProven = "over the limit, but not proven worse at this sample size";

std::vector<std::string> texts_of(const bj::array& list, std::size_t newest) {
  std::vector<std::string> out;
  for (std::size_t i = list.size() > newest ? list.size() - newest : 0; i < list.size(); ++i)
    if (list[i].is_string()) out.push_back(clean(list[i].as_string()));
  return out;
}

}  // namespace

std::string gate_table(const bj::object& view, const Look& look, int indent) {
  Table table(
      {"gate", "verdict", Column("value", Align::kRight), Column("limit", Align::kRight), "unit", "reason"});
  for (const auto& value : list_at(view, "gates")) {
    const auto& gate = element(value);
    const auto measured = number_at(gate, "value");
    const bool waived = bool_at(gate, "waived");
    const std::string verdict = waived ? "waived" : text_at(gate, "verdict");
    const bool over = passes_over_limit(gate);
    const std::string reason = (over ? kNotProven + std::string("; ") : "") + text_at(gate, "reason");
    table.add({text_at(gate, "gate"), Cell(verdict, over ? Colour::kYellow : colour_of(verdict)),
               measured ? format_number(*measured) : "-", format_number(number_at(gate, "limit").value_or(0)),
               text_at(gate, "unit"), reason});
  }
  return table.empty() ? "" : table.render(look.paint, look.width, indent);
}

std::vector<std::string> view_lines(const bj::object& view, const Look& look) {
  std::vector<std::string> out;
  const std::string mode = field(view, "mode");
  const double share = number_at(view, "progress").value_or(0);
  out.push_back(fmt::format("{}  {}  {} {}", look.paint(Colour::kBold, field(view, "name")),
                            look.paint(colour_of(mode), mode), bar(share, kBarCells, look.utf8),
                            format_percent(share)));
  add_labelled(out, look, "phases", {phases_line(view, look)}, 1);
  add_labelled(out, look, "now", {field(view, "headline")}, 1);
  add_labelled(out, look, "next", {field(view, "next")}, 1);
  add_labelled(out, look, "trouble", {look.paint(Colour::kRed, field(view, "trouble"))}, 1);
  add_labelled(out, look, "waiting", texts_of(list_at(view, "waiting"), 50), kWaitingLines);
  add_labelled(out, look, "exposure", {exposure_line(view, look)}, 1);
  add_labelled(out, look, "step", {progress_line(view, look)}, 1);
  add_labelled(out, look, "windows", window_lines(view, look), 8);
  add_labelled(out, look, "readers", {readers_line(view)}, 1);
  if (const std::string gates = gate_table(view, look, 0); !gates.empty()) {
    out.emplace_back();
    for (std::size_t at = 0; at < gates.size();) {
      const std::size_t end = std::min(gates.find('\n', at), gates.size());
      out.push_back(gates.substr(at, end - at));
      at = end + 1;
    }
  }
  if (const auto journal = texts_of(list_at(view, "journal"), kJournalLines); !journal.empty()) {
    out.emplace_back();
    for (const auto& line : journal) out.push_back(look.paint(Colour::kDim, line));
  }
  return out;
}

std::optional<int> verdict_of(const bj::object& view) {
  const std::string mode = text_at(view, "mode");
  if (mode == "done") return 0;
  if (mode == "rolled_back" || mode == "aborted" || mode == "paused") return 1;
  if (!text_at(view, "trouble").empty()) return 4;
  return std::nullopt;
}

std::string verdict_text(const bj::object& view) {
  const std::string name = field(view, "name");
  const std::string mode = text_at(view, "mode");
  if (mode == "done") return name + " is done: " + field(view, "headline");
  if (mode == "paused") return name + " is paused: " + field(view, "pause_reason");
  if (mode == "rolled_back" || mode == "aborted") {
    const auto& records = list_at(view, "rollbacks");
    std::string why;
    if (!records.empty()) {
      const auto& last = element(records.back());
      why = fmt::format(" by {}: {}", field(last, "cause"), field(last, "reason"));
    }
    return fmt::format("{} is {}{}", name, mode == "aborted" ? "aborted" : "rolled back", why);
  }
  return name + " is no longer driven by this server: " + field(view, "trouble");
}

void LineReporter::gates(const bj::object& view, std::vector<std::string>& out) {
  for (const auto& value : list_at(view, "gates")) {
    const auto& gate = element(value);
    const std::string name = field(gate, "gate");
    const bool over = passes_over_limit(gate);
    const std::string verdict = bool_at(gate, "waived") ? "waived" : text_at(gate, "verdict");
    const std::string told = over ? fmt::format("{} ({})", verdict, kNotProven) : verdict;
    auto& before = verdicts_[name];
    if (before == verdict) continue;  // not `told`: a value near the limit would be said again and again
    before = verdict;
    const auto measured = number_at(gate, "value");
    out.push_back(fmt::format("gate {} {}: {} (limit {} {}): {}", name,
                              look_.paint(over ? Colour::kYellow : colour_of(verdict), told),
                              measured ? format_number(*measured) : "-",
                              format_number(number_at(gate, "limit").value_or(0)), field(gate, "unit"),
                              field(gate, "reason")));
  }
}

void LineReporter::progress(const bj::object& view, std::vector<std::string>& out) {
  const auto& step = object_at(view, "step_progress");
  const std::string name = field(step, "step");
  const double total = number_at(step, "total").value_or(0);
  const double done = number_at(step, "done").value_or(0);
  const int tenth = total > 0 ? static_cast<int>(std::clamp(done / total, 0.0, 1.0) * 10) : 0;
  if (name.empty() || (name == step_ && tenth <= tenth_)) return;
  step_ = name;
  tenth_ = tenth;
  out.push_back(progress_line(view, look_));
}

std::vector<std::string> LineReporter::update(const bj::object& view) {
  std::vector<std::string> out;
  const std::string mode = field(view, "mode");
  // Before its first decision a rollout has nothing to say yet.
  const std::string headline = field(view, "headline");
  if (std::string line = fmt::format("{}: {}", look_.paint(colour_of(mode), mode), headline);
      !headline.empty() && line != headline_) {
    headline_ = line;
    out.push_back(std::move(line));
  }
  const auto& rollbacks = list_at(view, "rollbacks");
  if (rollbacks.size() > rollbacks_ && !first_) {
    const auto& last = element(rollbacks.back());
    out.push_back(fmt::format("rollback by {}: {}", field(last, "cause"), field(last, "reason")));
  }
  rollbacks_ = rollbacks.size();
  gates(view, out);
  progress(view, out);
  // Gates have lines of their own; of the rest, what needs a person.
  std::string notes = field(view, "trouble") + field(view, "pause_reason");
  for (const auto& line : texts_of(list_at(view, "waiting"), 50))
    if (line.starts_with("approval") || line.starts_with("another try"))
      notes += (notes.empty() ? "waiting for " : "; ") + line;
  if (notes != notes_ && !notes.empty()) out.push_back(notes);
  notes_ = notes;
  first_ = false;
  return out;
}

}  // namespace poundlock::cli
