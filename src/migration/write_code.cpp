// Alembic's and Rails' migrations: programs that hold the SQL as text.
#include <fmt/format.h>

#include "migration/write.h"
#include "schema/text.h"

namespace poundlock::migration {
namespace {

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// A Python and Ruby string in one: double quotes, backslashes for what is special in either.
std::string literal(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else if (is_control(c))
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else if (c == '"' || c == '\\' || c == '#')  // Ruby reads "#{...}", and Python takes "\#" as it stands
      out += c == '#' ? "\\x23" : std::string("\\") + c;
    else
      out += c;
  }
  return out + "\"";
}

std::string joined(const std::vector<std::string>& statements) {
  std::string out;
  for (const auto& one : statements) out += (out.empty() ? "" : "\n") + one;
  return out;
}

// What has to be one transaction is sent as one text; outside a transaction each statement by itself.
std::vector<std::string> texts(const std::vector<std::string>& statements, bool in_transaction) {
  if (in_transaction && !statements.empty()) return {joined(statements)};
  return statements;
}

std::string python_body(const std::vector<std::string>& statements) {
  // Commits what came before: each text is a transaction of its own, however the environment is set.
  std::string out = "    with op.get_context().autocommit_block():\n";
  for (const auto& one : statements) out += fmt::format("        run({})\n", literal(one));
  return out;
}

std::string python_back(const Migration& migration, const std::vector<std::string>& statements) {
  if (!statements.empty()) return python_body(statements);
  return migration.leaves_nothing()
             ? "    pass  # nothing to take back\n"
             : "    raise NotImplementedError(\"what this revision did cannot be taken back\")\n";
}

std::string ruby_class(std::string_view slug) {
  std::string out;
  bool upper = true;
  for (const char c : slug) {
    if (c == '_') {
      upper = true;
      continue;
    }
    out += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = false;
  }
  return out;
}

std::string ruby_body(const std::vector<std::string>& statements) {
  std::string out;
  for (const auto& one : statements) out += fmt::format("    execute {}\n", literal(one));
  return out;
}

}  // namespace

std::string in_one_line(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (is_control(c)) c = ' ';
  return out;
}

std::vector<WrittenFile> write_alembic(std::span<const Migration> migrations, const WriteOptions& options) {
  std::vector<WrittenFile> out;
  std::string after = options.after.empty() ? "None" : literal(options.after);
  for (std::size_t i = 0; i < migrations.size(); ++i) {
    const Migration& migration = migrations[i];
    const auto forward = texts(migration.forward(), migration.in_transaction);
    const auto back = texts(migration.back(), migration.back_in_transaction());
    const std::string revision =
        schema::hash_hex(fmt::format("{}\n{}\n{}\n{}", options.name, i, after, joined(forward)))
            .substr(0, 12);
    std::string title = in_one_line(migration.first->step.title);
    for (char& c : title)
      if (c == '\\' || c == '"') c = ' ';
    out.push_back(
        {fmt::format("{}_{}.py", revision, migration.slug),
         fmt::format(
             "\"\"\"{} {}: {}\"\"\"\n{}import sqlalchemy as sa\nfrom alembic import op\n\nrevision = \"{}\"\n"
             "down_revision = {}\nbranch_labels = None\ndepends_on = None\n\n\ndef run(sql):\n"
             "    op.execute(sa.text(sql.replace(\":\", \"\\\\:\")))\n\n\ndef upgrade():\n{}\n\ndef "
             "downgrade():\n{}",
             i + 1, change::to_string(migration.first->step.phase), title, contract_comment(migration, "#"),
             revision, after, python_body(forward), python_back(migration, back)),
         migration.is_contract()});
    after = "\"" + revision + "\"";
  }
  return out;
}

Result<std::vector<WrittenFile>> write_rails(std::span<const Migration> migrations,
                                             const WriteOptions& options) {
  std::vector<WrittenFile> out;
  std::uint64_t version = 0;
  for (const char c : options.version) {
    if (c < '0' || c > '9' || options.version.size() != 14)
      return fail(user_error("plan.version", "Rails' versions are times of fourteen digits")
                      .with_hint("such as 20261122210000"));
    version = version * 10 + static_cast<std::uint64_t>(c - '0');
  }
  for (std::size_t i = 0; i < migrations.size(); ++i) {
    const Migration& migration = migrations[i];
    const auto back = texts(migration.back(), migration.back_in_transaction());
    const std::string slug = fmt::format("{}_{}_{}", options.name, i + 1, migration.slug);
    std::string plain;
    for (const char c : slug) plain += (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '_';
    out.push_back(
        {fmt::format("{}_{}.rb", version + i, plain),
         fmt::format(
             // An old version of its words: each later Rails knows it, and SQL is SQL in all of them.
             "{}class {} < ActiveRecord::Migration[6.0]\n{}  def up\n{}  end\n\n  def down\n{}  end\nend\n",
             contract_comment(migration, "#"), ruby_class(plain), "  disable_ddl_transaction!\n\n",
             ruby_body(texts(migration.forward(), migration.in_transaction)),
             !back.empty()                ? ruby_body(back)
             : migration.leaves_nothing() ? "    # nothing to take back\n"
                                          : "    raise ActiveRecord::IrreversibleMigration\n"),
         migration.is_contract()});
  }
  return out;
}

}  // namespace poundlock::migration
