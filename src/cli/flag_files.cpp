#include "cli/flag_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <iostream>

#include "base/json.h"
#include "cli/text.h"

namespace poundlock::cli {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kFilesMax = 1'000;

Result<std::string> read_bounded(std::istream& in, const std::string& name) {
  std::string text(flag::Limits{}.bytes_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return fail(user_error("file.read", fmt::format("cannot read {}", clean(name))));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;  // one byte too long where it is longer: the parser refuses it
}

Result<FlagText> read_one(const Context& context, const std::string& name) {
  if (name == "-") {
    PL_TRY(auto text, read_bounded(std::cin, "standard input"));
    return FlagText{"standard input", std::move(text)};
  }
  std::ifstream in(context.directory / name, std::ios::binary);
  if (!in)
    return fail(user_error("file.read", fmt::format("there is no file {}", clean(name)))
                    .with_hint("check the name and the folder that you are in"));
  PL_TRY(auto text, read_bounded(in, name));
  return FlagText{name, std::move(text)};
}

std::vector<std::string> files_of(const fs::path& folder, const std::string& name) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string file = at->path().filename().string(), ending = at->path().extension().string();
    if (!file.starts_with('.') && (ending == ".json" || ending == ".yaml" || ending == ".yml"))
      out.push_back((fs::path(name) / file).string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

Result<std::vector<FlagText>> read_flag_files(const Context& context, const std::vector<std::string>& names) {
  std::vector<FlagText> out;
  for (const auto& name : names) {
    std::error_code error;
    std::vector<std::string> files{name};
    if (fs::is_directory(context.directory / name, error)) {
      files = files_of(context.directory / name, name);
      if (files.empty())
        return fail(user_error("file.read", fmt::format("{} holds no flag file", clean(name)))
                        .with_hint("*.json, *.yaml and *.yml are read"));
    }
    for (const auto& file : files) {
      if (out.size() >= kFilesMax) return fail(user_error("file.read", "more than 1,000 flag files"));
      PL_TRY(auto one, read_one(context, file));
      out.push_back(std::move(one));
    }
  }
  return out;
}

Result<std::shared_ptr<const flag::Snapshot>> load_flags(const Context& context,
                                                         const std::vector<std::string>& names) {
  PL_TRY(const auto files, read_flag_files(context, names));
  json::Object flags;
  for (const auto& file : files) {
    PL_TRY(auto definition, flag::parse_definition(file.text, file.file));
    if (!definition.problems.empty() && !definition.only_rules_at_fault())
      return fail(definition.problems.front());
    for (auto& one : definition.flags) flags[one.key()] = std::move(one.value());
  }
  return flag::Snapshot::compile(json::dump(json::Object{{"flags", std::move(flags)}}), "the flag files");
}

}  // namespace poundlock::cli
