// What the conformance suite does not ask: the server's clock, poolers, servers that go away, and schemas.
#include <string>

#include "postgres/fixture.hpp"
#include "quern/postgres.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::JobState;
using quern::NewJob;
using quern::PostgresOptions;
using quern::PostgresStorage;
using quern_test::PostgresServer;

namespace {

quern::ClaimRequest all_work(quern::NodeId node) {
  return {.node = node, .limit = 100, .kinds = {{"work", 100, 3}}};
}

NewJob new_job(PostgresStorage& storage) { return {.id = storage.reserve_ids(1), .kind = "work"}; }

/// One job from its insert to its end.
void run_one(PostgresStorage& storage) {
  const auto job = new_job(storage);
  CHECK(storage.insert({&job, 1}).at(0).status == quern::InsertStatus::added);
  const auto node = storage.register_node({.name = "node", .host = "here"});
  const auto claims = storage.claim(all_work(node));
  REQUIRE(claims.size() == 1);
  const quern::Finish finish{.ref = claims[0].ref};
  CHECK(storage.finish({&finish, 1}).at(0).state == JobState::completed);
  storage.retire(node);
}

}  // namespace

TEST_CASE("an address opens a storage that goes by the server's clock", "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  auto storage = quern::open_storage(PostgresServer::shared()->address());
  quern::JobQueue queue(storage);
  int runs = 0;
  quern::HandlerRegistry handlers;
  handlers.on("work", [&](quern::JobContext&) { ++runs; });
  const auto now = queue.enqueue("work", quern::Payload()).id;
  const auto later = queue.enqueue("work", quern::Payload(), {.run_at = quern::When::after(1h)}).id;
  quern::Processor(queue, handlers).run_until_idle();
  CHECK(runs == 1);
  CHECK(queue.find(now)->state == JobState::completed);
  const auto waiting = queue.find(later);
  CHECK(waiting->state == JobState::scheduled);
  CHECK(waiting->run_at - waiting->created_at == 1h);
  CHECK(storage.recount().empty());
  CHECK(storage.describe().find("quern@") == std::string::npos);
  PostgresServer::shared()->run("DROP SCHEMA quern CASCADE");
}

TEST_CASE("behind a pooler nothing is prepared and no setting of a session is relied upon", "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  const auto schema = PostgresServer::new_schema();
  PostgresStorage storage(PostgresServer::shared()->address(), {.schema = schema, .pooled = true});
  run_one(storage);
  run_one(storage);
  CHECK(PostgresServer::shared()->run("SELECT count(*) FROM pg_prepared_statements") == "0");
}

TEST_CASE("connections that the server has ended are replaced without an error", "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  const auto schema = PostgresServer::new_schema();
  PostgresStorage storage(PostgresServer::shared()->address(), {.schema = schema});
  run_one(storage);
  PostgresServer::shared()->end_sessions("pg_stat_activity WHERE application_name = 'quern'");
  // Only one that has been idle for a while is looked at; a read or an insert that finds out is sent again.
  CHECK(storage.count().size() == 1);
  run_one(storage);
}

TEST_CASE("a server that is down is a transient error, and works again when it is back", "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  PostgresServer server("synchronous_commit=on");  // it is ended as if it crashed
  PostgresStorage storage(server.address(), {.call_timeout = 5s});
  run_one(storage);
  server.stop();
  const NewJob job{.id = quern::JobId{500}, .kind = "work"};
  for (int i = 0; i < 3; ++i) {
    try {
      storage.insert({&job, 1});
      FAIL("did not throw");
    } catch (const quern::StorageError& e) {
      CHECK(e.transient());
    }
  }
  server.start();
  PostgresStorage patient(server.address(), {.insert_patience = 30s});
  server.stop();
  server.start();
  CHECK(patient.insert({&job, 1}).at(0).status == quern::InsertStatus::added);
  CHECK(patient.find({&job.id, 1}).at(0).has_value());
}

TEST_CASE("a storage refuses options, schemas and addresses that can't be used", "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  const auto open = [](PostgresOptions options, std::string address = PostgresServer::shared()->address()) {
    PostgresStorage storage(std::move(address), std::move(options));
  };
  CHECK_THROWS_AS(open({.schema = "with space"}), quern::InvalidArgument);
  CHECK_THROWS_AS(open({.schema = ""}), quern::InvalidArgument);
  CHECK_THROWS_AS(open({.connections = 0}), quern::InvalidArgument);
  CHECK_THROWS_AS(open({}, "host='unbalanced"), quern::InvalidArgument);
  CHECK_THROWS_AS(open({.schema = PostgresServer::new_schema(), .migrate = false}), quern::StorageError);
  const auto schema = PostgresServer::new_schema();
  open({.schema = schema});
  open({.schema = schema, .migrate = false});
  // A newer schema works as long as it says so.
  PostgresServer::shared()->run("UPDATE " + schema + ".meta SET value = 999 WHERE name = 'schema'");
  open({.schema = schema});
  PostgresServer::shared()->run("UPDATE " + schema + ".meta SET value = 999 WHERE name = 'oldest_program'");
  CHECK_THROWS_AS(open({.schema = schema}), quern::StorageError);
}

TEST_CASE("the SQL for a database administrator makes what the storage needs", "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  const auto schema = PostgresServer::new_schema();
  PostgresServer::shared()->run(PostgresStorage::migration_sql(schema));
  PostgresStorage storage(PostgresServer::shared()->address(), {.schema = schema, .migrate = false});
  run_one(storage);
  CHECK(PostgresStorage::migration_sql(schema, PostgresStorage::schema_version()).empty());
}
