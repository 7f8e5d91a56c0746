// A server that crashes and recovers, while a storage goes on.
#include "postgres/fixture.hpp"
#include "quern/postgres.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::NewJob;
using quern::PostgresStorage;
using quern_test::PostgresServer;

TEST_CASE("jobs that come after a crash are claimed, also under ids of transactions that it took back",
          "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  // Nothing reaches the disk by itself; what is asynchronous is lost in the crash.
  PostgresServer server("wal_writer_delay=10000ms synchronous_commit=off");
  PostgresStorage storage(server.address());
  const auto node = storage.register_node({.name = "node", .host = "here", .lease = 1h});
  const auto add = [&] {
    const NewJob job{.id = storage.reserve_ids(1), .kind = "work"};
    storage.insert({&job, 1});
    return job.id;
  };
  const auto claim = [&] { return storage.claim({.node = node, .limit = 10, .kinds = {{"work", 10, 3}}}); };
  add();
  REQUIRE(claim().size() == 1);
  server.run("CHECKPOINT");
  server.run("DO $$ BEGIN FOR i IN 1..200 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$");
  const auto ids_before = std::stoull(server.run("SELECT pg_snapshot_xmax(pg_current_snapshot())"));
  CHECK(claim().empty());  // and remembers that there is nothing, as of these transactions

  server.stop(PostgresServer::Stop::immediate);
  server.start();
  const auto id = add();
  // Else there was nothing to be taken in by.
  CHECK(std::stoull(server.run("SELECT pg_snapshot_xmax(pg_current_snapshot())")) < ids_before);
  const auto claims = claim();
  REQUIRE(claims.size() == 1);
  CHECK(claims[0].ref.id == id);
}
