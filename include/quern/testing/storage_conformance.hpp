#pragma once

#include <functional>
#include <string>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/core/error.hpp"
#include "quern/storage/any_storage.hpp"

namespace quern::inline v1::testing {

/// A storage broke a promise. The message says where in the suite, which, and with what values.
class ConformanceFailure : public Error {
 public:
  using Error::Error;
};

/// What the suite is run on: made anew, with an empty storage, for each case. A user derives one for each
/// storage. The storage must be opened with `clock()`, which lives until the fixture is gone.
class StorageFixture {
 public:
  StorageFixture() = default;
  StorageFixture(const StorageFixture&) = delete;
  StorageFixture& operator=(const StorageFixture&) = delete;
  virtual ~StorageFixture() = default;

  /// The storage under test. The reference may change with `reopen`.
  [[nodiscard]] virtual StoragePort& store() = 0;

  /// True when several objects may be open on the same data; `second` is then another one.
  [[nodiscard]] virtual bool shared() const { return false; }
  [[nodiscard]] virtual StoragePort& second() { return store(); }

  /// True when the data outlive the object; `reopen` then closes what is open and opens the same data.
  [[nodiscard]] virtual bool durable() const { return false; }
  virtual void reopen() {}

  /// Damages what is stored of the job so that it can't be read any more, and says whether it did.
  virtual bool corrupt(JobId /*job*/) { return false; }

  [[nodiscard]] ManualClock& clock() noexcept { return clock_; }

 private:
  ManualClock clock_;
};

/// One promise. `run` throws ConformanceFailure when the storage breaks it; what else it throws is a failure
/// too.
struct ConformanceCase {
  std::string name;           ///< What is promised; begins with the invariant's number where it has one.
  std::string invariants;     ///< Those numbers: "I10 I12"; may be empty.
  bool needs_reopen = false;  ///< Only for fixtures that are `durable`.
  std::function<void(StorageFixture&)> run;
};

/// Every promise of job_store.hpp. The cases use no wall clock, never sleep, and know no test framework:
///
///     for (const auto& c : quern::testing::storage_conformance_cases()) {
///       MyFixture fixture;
///       if (!c.needs_reopen || fixture.durable()) c.run(fixture);
///     }
[[nodiscard]] const std::vector<ConformanceCase>& storage_conformance_cases();

}  // namespace quern::inline v1::testing
