#include "postgres/fixture.hpp"
#include "storage/conformance_runner.hpp"
#include "support/catch.hpp"

TEST_CASE("PostgresStorage keeps every promise of a storage", "[storage][postgres][conformance]") {
  if (quern_test::PostgresServer::shared() == nullptr) return;
  quern_test::run_storage_conformance([] { return std::make_unique<quern_test::PostgresFixture>(); });
}
