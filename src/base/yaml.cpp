// The tree is built from libfyaml's events, not from its documents: so every limit holds while the
// text is read, and a bomb costs no more than the limit.
#include "base/yaml.h"

#include <fmt/format.h>
#include <libfyaml.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/strings.h"

namespace poundlock::yaml {
namespace {

struct DestroyDiag {
  void operator()(fy_diag* diag) const { fy_diag_destroy(diag); }
};
struct DestroyParser {
  void operator()(fy_parser* parser) const { fy_parser_destroy(parser); }
};
struct DestroyIterator {
  void operator()(fy_token_iter* iterator) const { fy_token_iter_destroy(iterator); }
};

// Diagnostics are collected and become our Error: a library must not write to the user's terminal.
fy_diag* make_diag() {
  fy_diag_cfg config{};
  fy_diag_cfg_default(&config);
  config.fp = nullptr;
  config.output_fn = [](fy_diag*, void*, const char*, std::size_t) {};
  config.level = FYET_ERROR;
  config.colorize = false;
  fy_diag* diag = fy_diag_create(&config);
  if (diag) fy_diag_set_collect_errors(diag, true);
  return diag;
}

bool is_null_word(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

void append_unquoted(std::string& out, std::string_view line) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    out += line[i];
    if (line[i] == '\'' && i + 1 < line.size() && line[i + 1] == '\'') ++i;
  }
}

// What stands between single quotes, by YAML 1.2's rules for them (7.3.2 and line folding, 6.5): '' is one
// quote, white space around a line break goes, one break is a space and n more are n breaks. libfyaml 0.7.12
// gives a quote too many for each '' that follows another, and cuts the end: 'coalesce(a, '''')' lost its
// bracket.
std::string single_quoted(std::string_view raw) {
  constexpr std::string_view kBlank = " \t";
  std::string out;
  std::size_t breaks = 0;  // since the last line with text
  for (;;) {
    const std::size_t end = raw.find_first_of("\r\n");
    std::string_view line = raw.substr(0, end);
    if (end != std::string_view::npos) line = line.substr(0, line.find_last_not_of(kBlank) + 1);
    if (breaks > 0) line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
    if (breaks > 0 && (!line.empty() || end == std::string_view::npos)) {
      if (breaks == 1)
        out += ' ';
      else
        out.append(breaks - 1, '\n');
      breaks = 0;
    }
    append_unquoted(out, line);
    if (end == std::string_view::npos) return out;
    raw.remove_prefix(end);
    raw.remove_prefix(raw.starts_with("\r\n") ? 2 : 1);
    ++breaks;
  }
}

Node make(Kind kind, const SourcePosition& where) {
  Node node;
  node.kind = kind;
  node.where = where;
  return node;
}

Error too_deep(const Limits& limits) {
  return user_error("yaml.depth", fmt::format("nested deeper than {} levels", limits.depth_max));
}

class Builder {
 public:
  Builder(std::string_view text, const std::string& file, const Limits& limits)
      : text_(text), file_(file), limits_(limits), diag_(make_diag()), last_{file, 1, 1} {
    if (!diag_) return;
    fy_parse_cfg config{};
    config.search_path = "";
    // The library's own depth limit is a constant; ours is checked at each event.
    config.flags = static_cast<fy_parse_cfg_flags>(FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE |
                                                   FYPCF_DISABLE_DEPTH_LIMIT);
    config.diag = diag_.get();
    parser_.reset(fy_parser_create(&config));
    ready_ = parser_ && fy_parser_set_string(parser_.get(), text.data(), text.size()) == 0;
  }
  ~Builder() { release(); }
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  Result<Node> document() {
    if (!ready_) return fail(internal_error("the YAML reader could not be started"));
    Node root = make(Kind::kNull, last_);
    bool seen = false;
    for (;;) {
      PL_CHECK(next());
      switch (event_->type) {
        case FYET_STREAM_START:
        case FYET_DOCUMENT_END: break;
        case FYET_STREAM_END: return root;
        case FYET_DOCUMENT_START:
          if (seen) return fail(error_here("yaml.syntax", "a second document begins; one is allowed"));
          seen = true;
          break;
        default: {
          PL_TRY(root, node(0));
        }
      }
    }
  }

 private:
  void release() {
    if (event_) fy_parser_event_free(parser_.get(), event_);
    event_ = nullptr;
  }

  // Moves to the next event. here_ is where it starts; a value that is absent has no place of its
  // own and gets the end of what stands before it.
  Status next() {
    release();
    event_ = fy_parser_parse(parser_.get());
    if (!event_) return fail(syntax_error());
    here_ = last_;
    if (const fy_mark* start = fy_event_start_mark(event_)) here_ = place(*start);
    last_ = here_;
    if (const fy_mark* end = fy_event_end_mark(event_)) last_ = place(*end);
    return {};
  }

  SourcePosition place(const fy_mark& mark) const { return {file_, mark.line + 1, mark.column + 1}; }
  Error error_here(std::string code, std::string message) const {
    return user_error(std::move(code), std::move(message)).at(here_);
  }

  Error syntax_error() const {
    void* cursor = nullptr;
    const fy_diag_error* found = fy_diag_errors_iterate(diag_.get(), &cursor);
    Error error = user_error("yaml.syntax", found ? found->msg : "the YAML text ends too early").at(last_);
    if (found && found->line > 0) error.where = SourcePosition{file_, found->line, found->column};
    if (!open_.empty()) {
      error.hint = fmt::format("inside the bracket that opens at line {}, column {}", open_.back().line,
                               open_.back().column);
    }
    return error;
  }

  // Anchors and aliases let a kilobyte mean gigabytes and hide where a value comes from; tags choose
  // types that nobody here reads.
  Status refuse_properties(fy_token* anchor, fy_token* tag) const {
    if (anchor) {
      return fail(user_error("yaml.alias", "anchors (&name) are not supported")
                      .at(place(*fy_token_start_mark(anchor)))
                      .with_hint("write the value out at each place"));
    }
    if (tag) {
      return fail(user_error("yaml.syntax", "tags (!name) are not supported")
                      .at(place(*fy_token_start_mark(tag)))
                      .with_hint("remove the tag; quote the value to make it text"));
    }
    return {};
  }

  Result<Node> node(std::size_t depth) {
    if (++nodes_ > limits_.nodes_max) {
      return fail(error_here("yaml.size", fmt::format("more than {} values", limits_.nodes_max)));
    }
    switch (event_->type) {
      case FYET_SCALAR: return scalar();
      case FYET_SEQUENCE_START:
      case FYET_MAPPING_START: return collection(depth + 1);
      case FYET_ALIAS:
        return fail(error_here("yaml.alias", "aliases (*name) are not supported")
                        .with_hint("write the value out at each place"));
      default: return fail(error_here("yaml.syntax", "a value is missing here"));
    }
  }

  Result<Node> scalar() {
    PL_CHECK(refuse_properties(event_->scalar.anchor, event_->scalar.tag));
    Node result = make(Kind::kScalar, here_);
    const fy_scalar_style style = fy_token_scalar_style(event_->scalar.value);
    result.quoted = style != FYSS_PLAIN;
    if (style == FYSS_SINGLE_QUOTED) {
      result.scalar = single_quoted(between_marks());
    } else {
      PL_TRY(result.scalar, token_text());
    }
    if (!result.quoted && is_null_word(result.scalar)) result.kind = Kind::kNull;
    return result;
  }

  // The source of the current event: of a quoted scalar what stands between its quotes.
  std::string_view between_marks() const {
    const fy_mark* start = fy_event_start_mark(event_);
    const fy_mark* end = fy_event_end_mark(event_);
    if (start == nullptr || end == nullptr || end->input_pos > text_.size()) return {};
    return text_.substr(start->input_pos, end->input_pos - std::min(start->input_pos, end->input_pos));
  }

  // By its pieces. fy_token_get_text puts them into a buffer whose size it has guessed: where the guess is
  // wrong, it leaks them and leaves in the text what the memory held before.
  Result<std::string> token_text() const {
    const std::unique_ptr<fy_token_iter, DestroyIterator> pieces(fy_token_iter_create(event_->scalar.value));
    if (!pieces) return fail(internal_error("no memory to read a value of the YAML text"));
    std::string text;
    int error = 0;
    const fy_iter_chunk* piece = nullptr;
    while ((piece = fy_token_iter_chunk_next(pieces.get(), piece, &error)) != nullptr)
      text.append(piece->str, piece->len);
    if (error != 0) return fail(error_here("yaml.syntax", "this value cannot be read"));
    return text;
  }

  Result<Node> collection(std::size_t depth) {
    if (depth > limits_.depth_max) {
      return fail(too_deep(limits_).at(here_));
    }
    const bool mapping = event_->type == FYET_MAPPING_START;
    if (mapping) {
      PL_CHECK(refuse_properties(event_->mapping_start.anchor, event_->mapping_start.tag));
    } else {
      PL_CHECK(refuse_properties(event_->sequence_start.anchor, event_->sequence_start.tag));
    }
    // A bracket is a character, a block collection begins without one.
    const bool bracket = last_ != here_;
    if (bracket) open_.push_back(here_);
    Node result = make(mapping ? Kind::kMapping : Kind::kSequence, here_);
    PL_CHECK(mapping ? read_entries(result, depth) : read_items(result, depth));
    if (bracket) open_.pop_back();
    return result;
  }

  Status read_items(Node& sequence, std::size_t depth) {
    for (;;) {
      PL_CHECK(next());
      if (event_->type == FYET_SEQUENCE_END) return {};
      PL_TRY(Node item, node(depth));
      sequence.items.push_back(std::move(item));
    }
  }

  Status read_entries(Node& mapping, std::size_t depth) {
    std::map<std::string, SourcePosition, std::less<>> seen;
    for (;;) {
      PL_CHECK(next());
      if (event_->type == FYET_MAPPING_END) return {};
      PL_TRY(Node key, read_key());
      const auto [first, added] = seen.emplace(key.scalar, key.where);
      if (!added) {
        return fail(
            key.error("yaml.duplicate_key",
                      fmt::format("duplicate key {}; it stands first at line {}, column {}",
                                  quote_for_message(key.scalar), first->second.line, first->second.column)));
      }
      PL_CHECK(next());
      PL_TRY(Node value, node(depth));
      mapping.entries.push_back({std::move(key), std::move(value)});
    }
  }

  Result<Node> read_key() {
    if (event_->type != FYET_SCALAR) {
      if (event_->type == FYET_ALIAS) return node(0);  // the better message
      return fail(error_here("yaml.syntax", "a key must be text, not a list or a mapping"));
    }
    PL_TRY(Node key, node(0));
    if (key.scalar.empty()) return fail(key.error("yaml.syntax", "a key is missing here"));
    // A plain key over several lines is what a forgotten closing bracket looks like.
    if (last_.line != key.where.line) {
      return fail(key.error("yaml.syntax", "a key must stand on one line").with_hint("is a ] or } missing?"));
    }
    key.kind = Kind::kScalar;  // a key named null is a name
    return key;
  }

  const std::string_view text_;
  const std::string& file_;
  const Limits& limits_;
  std::unique_ptr<fy_diag, DestroyDiag> diag_;
  std::unique_ptr<fy_parser, DestroyParser> parser_;  // goes before the diag that it points to
  bool ready_ = false;
  fy_event* event_ = nullptr;
  SourcePosition here_;
  SourcePosition last_;  // where the current event ends
  std::vector<SourcePosition> open_;
  std::size_t nodes_ = 0;
};

std::optional<std::size_t> first_control_character(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7F) return i;
  }
  return std::nullopt;
}

// libfyaml reads a whole bracketed value ahead, for it might be a key, before it reports the first
// bracket: at a third of a kilobyte for each '[' that costs hundreds of megabytes. Where so many more
// open than close that no text in a comment or a string explains it, the depth is known already.
std::optional<std::size_t> first_hopeless_bracket(std::string_view text, const Limits& limits) {
  const std::size_t open_max = limits.depth_max + 1000;
  std::size_t open = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '[' || text[i] == '{') {
      if (++open > open_max) return i;
    } else if ((text[i] == ']' || text[i] == '}') && open > 0) {
      --open;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<Node> parse(std::string_view text, std::string file, const Limits& limits) {
  if (text.size() > limits.bytes_max) {
    return fail(user_error("yaml.size", fmt::format("the file has {} bytes; {} are allowed", text.size(),
                                                    limits.bytes_max))
                    .at({std::move(file), 1, 1}));
  }
  if (const std::size_t bad = first_invalid_utf8(text); bad != std::string_view::npos) {
    return fail(user_error("yaml.syntax", "invalid UTF-8").at(position_at(text, bad, std::move(file))));
  }
  if (const auto bad = first_control_character(text)) {
    return fail(user_error("yaml.syntax",
                           fmt::format("control character U+{:04X}", static_cast<unsigned char>(text[*bad])))
                    .at(position_at(text, *bad, std::move(file))));
  }
  if (const auto bad = first_hopeless_bracket(text, limits)) {
    return fail(too_deep(limits).at(position_at(text, *bad, std::move(file))));
  }
  return Builder(text, file, limits).document();
}

}  // namespace poundlock::yaml
