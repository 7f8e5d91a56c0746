// What a claim costs the server.
#include <libpq-fe.h>

#include <memory>
#include <string>

#include "postgres/fixture.hpp"
#include "quern/postgres.hpp"
#include "support/catch.hpp"

using quern::NewJob;
using quern::PostgresStorage;
using quern_test::PostgresServer;

namespace {

class Session {
 public:
  Session() : connection_(PQconnectdb(PostgresServer::shared()->address().c_str()), PQfinish) {}
  /// The first value of the last answer.
  std::string run(const std::string& sql) const {
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection_.get(), sql.c_str()),
                                                               PQclear);
    INFO(PQerrorMessage(connection_.get()));
    REQUIRE(PQresultStatus(result.get()) == PGRES_TUPLES_OK);
    return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
  }

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

}  // namespace

TEST_CASE("a claim passes over rows that others have locked without reading all that wait", "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  const auto schema = PostgresServer::new_schema();
  PostgresStorage storage(PostgresServer::shared()->address(), {.schema = schema});
  const auto node = storage.register_node({.name = "node", .host = "here"});
  constexpr int rows = 600;  // each a time of its own
  for (int i = 0; i < rows; ++i) {
    const NewJob job{.id = storage.reserve_ids(1), .kind = "work"};
    storage.insert({&job, 1});
  }
  const Session others;
  others.run("BEGIN; SELECT first FROM " + schema + ".ready ORDER BY run_at LIMIT 12 FOR UPDATE");
  const Session claimer;
  CHECK(claimer.run("BEGIN; SELECT count(*) FROM " + schema + ".claim(ROW(NULL, 0, false)::" + schema +
                    ".ctx, " + std::to_string(node.value) +
                    ", 1, 1, '{work}', '{1}', '{3}', NULL, NULL, 0, false, 3, NULL, NULL, NULL, NULL, NULL) "
                    "WHERE tag = 0") == "1");
  const auto read =
      std::stoi(claimer.run("SELECT idx_tup_fetch FROM pg_stat_xact_user_tables "
                            "WHERE relname = 'ready' AND schemaname = '" +
                            schema + "'"));
  INFO(read);
  CHECK(read > 12);
  CHECK(read < rows / 2);
}
