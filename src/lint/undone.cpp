#include "lint/undone.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lint/context.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::StatementKind;

// The statements of the open transaction, and where its savepoints stand among them.
class Open {
 public:
  Open(std::vector<std::size_t>& by, bool open) : by_(by), open_(open) {}

  void next(const schema::Statement& statement, std::size_t index) {
    switch (statement.kind()) {
      case StatementKind::kBegin: open_ = true; return;
      case StatementKind::kRollback: take_back(0, index); [[fallthrough]];
      case StatementKind::kCommit:
      case StatementKind::kPreparedTransaction:
        statements_.clear();
        savepoints_.clear();
        open_ = chains(statement);
        return;
      case StatementKind::kSavepoint: return savepoint(statement, index);
      default:
        if (open_) statements_.push_back(index);
    }
  }

 private:
  void take_back(std::size_t from, std::size_t index) {
    for (std::size_t i = from; i < statements_.size(); ++i) by_[statements_[i]] = index;
    statements_.resize(std::min(from, statements_.size()));
  }

  void savepoint(const schema::Statement& statement, std::size_t index) {
    const auto* node = schema::as<PgQuery__TransactionStmt>(statement.node());
    if (node == nullptr || !open_) return;
    const std::string name(schema::text_of(node->savepoint_name));
    if (node->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT) {
      savepoints_.emplace_back(name, statements_.size());
      return;
    }
    const auto last = std::ranges::find(savepoints_.rbegin(), savepoints_.rend(), name,
                                        &std::pair<std::string, std::size_t>::first);
    if (last == savepoints_.rend()) return;
    const bool back = node->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO;
    if (back) take_back(last->second, index);
    savepoints_.erase(back ? last.base() : std::prev(last.base()), savepoints_.end());
  }

  std::vector<std::size_t>& by_;
  bool open_;
  std::vector<std::size_t> statements_;
  std::vector<std::pair<std::string, std::size_t>> savepoints_;
};

}  // namespace

Undone::Undone(const schema::Script& script, bool wrapped) : by_(script.statements.size(), kNever) {
  Open open(by_, wrapped);
  for (std::size_t i = 0; i < script.statements.size(); ++i) open.next(script.statements[i], i);
}

}  // namespace poundlock::lint
