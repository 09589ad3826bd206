#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/checks.h"
#include "schema/identifier.h"

namespace poundlock::engine {
namespace {

class ShadowDatabase final : public ports::Database {
 public:
  ShadowDatabase(ports::Shadow& shadow, std::string description)
      : shadow_(shadow), description_(std::move(description)) {}
  Result<std::unique_ptr<ports::Session>> connect() override { return shadow_.connect(); }
  std::string describe() const override { return description_; }

 private:
  ports::Shadow& shadow_;
  std::string description_;
};

}  // namespace

Result<ShadowUse> ShadowUse::create(const CheckContext& context) {
  if (!context.ports.shadow)
    return fail(user_error("shadow.none", "no shadow is configured")
                    .with_hint("add shadow: to the database in poundlock.yaml"));
  PL_TRY(auto info, context.ports.shadow->create(tables_of(context.plan)));
  return ShadowUse(*context.ports.shadow, std::move(info));
}

ShadowUse::ShadowUse(ports::Shadow& shadow, ports::ShadowInfo info)
    : shadow_(&shadow),
      info_(std::move(info)),
      database_(std::make_unique<ShadowDatabase>(shadow, info_.description)) {}

ShadowUse::ShadowUse(ShadowUse&& other) noexcept
    : shadow_(std::exchange(other.shadow_, nullptr)),
      info_(std::move(other.info_)),
      database_(std::move(other.database_)) {}

Status ShadowUse::end() {
  database_.reset();
  ports::Shadow* shadow = std::exchange(shadow_, nullptr);
  return shadow ? shadow->drop() : Status{};
}

// A shadow that cannot be dropped now is found and dropped by the next create().
ShadowUse::~ShadowUse() {
  (void)end();
}

std::vector<const change::Step*> forward_steps(const rollout::Plan& plan, change::Phase phase) {
  std::vector<const change::Step*> out;
  for (const auto& item : plan.items) {
    if (item.step && item.phase == phase && item.step->kind != change::StepKind::kCheck)
      out.push_back(&*item.step);
  }
  return out;
}

std::vector<schema::QualifiedName> tables_of(const rollout::Plan& plan) {
  std::vector<schema::QualifiedName> out;
  const auto add = [&](const schema::QualifiedName& name) {
    if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
  };
  for (const auto& column : plan.legacy) add({column.schema, column.table});
  for (const auto& column : plan.fresh) add({column.schema, column.table});
  // What has no columns of its own, such as an index: without rows its dry run would prove nothing.
  for (const auto& item : plan.items) {
    if (!item.step || item.step->relation.empty()) continue;
    if (const auto name = schema::parse_qualified_name(item.step->relation)) add(*name);
  }
  return out;
}

}  // namespace poundlock::engine
