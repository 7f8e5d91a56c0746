// Connections on which nothing passes any more, and nobody is told.
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "postgres/fixture.hpp"
#include "quern/postgres.hpp"
#include "support/catch.hpp"
#include "support/loopback_proxy.hpp"

using namespace std::chrono_literals;
using quern::PostgresStorage;
using quern::RenewResult;
using quern_test::PostgresServer;

namespace {

/// Opens more connections by calls that come at the same time, slowly answered.
void open_connections(PostgresStorage& storage, quern_test::LoopbackProxy& proxy, const std::string& schema,
                      int count) {
  const auto there = [&] {
    return std::stoi(
        PostgresServer::shared()->run("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%" + schema +
                                      "%' AND pid <> pg_backend_pid()"));
  };
  proxy.set(quern_test::LoopbackProxy::Traffic::delay, 50ms);
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (there() < count) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    std::vector<std::jthread> callers;
    for (int i = 0; i < count; ++i) callers.emplace_back([&] { static_cast<void>(storage.count()); });
  }
  proxy.set(quern_test::LoopbackProxy::Traffic::pass);
}

}  // namespace

TEST_CASE("a node outlives the loss of all its connections where new ones can be made", "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  const std::string schema = PostgresServer::new_schema();
  quern_test::ProxyThread thread(PostgresServer::shared()->port());
  PostgresStorage storage(thread.proxy.address(), {.schema = schema});  // whose calls may take 30 s
  open_connections(storage, thread.proxy, schema, 4);
  const auto node = storage.register_node({.name = "node", .host = "here", .lease = 6s});
  CHECK(storage.renew(node) == RenewResult::renewed);

  thread.proxy.forget_connections();
  // The first call finds out, in a third of the lease; the next does not try the other three.
  REQUIRE_THROWS_AS(storage.renew(node), quern::StorageError);
  CHECK(storage.renew(node) == RenewResult::renewed);
}
