#include "storage/conformance_runner.hpp"
#include "storage/sqlite_consistency.hpp"
#include "storage/sqlite_fixture.hpp"
#include "support/catch.hpp"

namespace {

/// Looks at the file after each case: whatever the calls were, it must be sound.
class CheckedFixture final : public quern_test::SqliteFixture {
 public:
  ~CheckedFixture() override {
    reopen();
    if (!was_opened()) return;
    for (const auto& fault : quern_test::SqliteConsistency(path()).faults()) {
      CAPTURE(fault);
      CHECK(false);
    }
  }
};

}  // namespace

TEST_CASE("SqliteStorage keeps every promise of a storage", "[storage][sqlite][conformance]") {
  quern_test::run_storage_conformance([] { return std::make_unique<CheckedFixture>(); });
}
