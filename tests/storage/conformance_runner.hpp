#pragma once

#include <memory>

#include "quern/testing/storage_conformance.hpp"
#include "support/catch.hpp"

namespace quern_test {

/// Runs every case of the suite as a section of the calling test, each on a new fixture from `make()`.
template <class MakeFixture>
void run_storage_conformance(const MakeFixture& make) {
  for (const auto& c : quern::testing::storage_conformance_cases()) {
    DYNAMIC_SECTION(c.name) {
      const std::unique_ptr<quern::testing::StorageFixture> fixture = make();
      if (c.needs_reopen && !fixture->durable()) {
        SUCCEED("only for storages that outlive their object");
        continue;
      }
      try {
        c.run(*fixture);
        SUCCEED();
      } catch (const std::exception& e) {
        FAIL(e.what());
      }
    }
  }
}

}  // namespace quern_test
