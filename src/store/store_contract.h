// What every state store must do, as tests against the interface. A store's own test file names a
// factory and instantiates the suite:
//   INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContract, testing::Values(&make_sqlite_fixture), ...)
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "ports/state_store.h"

namespace poundlock::store {

// One place where state is kept, empty at first, removed at the end.
class StoreFixture {
 public:
  virtual ~StoreFixture() = default;
  virtual Result<std::unique_ptr<ports::StateStore>> open() = 0;
  // Behind the store's back, while it is closed. True where it was done.
  virtual bool change_value(const std::string& key) = 0;    // flips a bit of the stored value
  virtual bool change_audit(std::int64_t sequence) = 0;     // alters the entry's `why`
  virtual bool cut_audit_tail(std::int64_t last_kept) = 0;  // removes the newest entries
  virtual Result<std::unique_ptr<ports::StateStore>> open_nearly_full() = 0;
};

using StoreFactory = std::unique_ptr<StoreFixture> (*)();

class StoreContract : public testing::TestWithParam<StoreFactory> {
 protected:
  void SetUp() override {
    fixture_ = GetParam()();
    reopen();
  }
  void reopen() {
    store_.reset();
    auto opened = fixture_->open();
    ASSERT_TRUE(opened) << opened.error().to_string();
    store_ = std::move(*opened);
  }
  std::unique_ptr<StoreFixture> fixture_;
  std::unique_ptr<ports::StateStore> store_;
};

}  // namespace poundlock::store
