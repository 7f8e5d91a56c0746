// What a claim costs the server.
#include <libpq-fe.h>

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

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

TEST_CASE("jobs that are claimed and ended one at a time come in the order of those claimed together",
          "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  for (const quern::Duration ageing : {quern::Duration(0), quern::Duration(std::chrono::minutes(1))}) {
    std::vector<quern::JobId> order[2];
    for (const bool together : {true, false}) {
      PostgresStorage storage(PostgresServer::shared()->address(), {.schema = PostgresServer::new_schema()});
      const auto node = storage.register_node({.name = "node", .host = "here"});
      // Some share a row with others, as they come together; some have what is not claimed by the shortest way.
      constexpr std::size_t count = 60;
      const auto start = quern::TimePoint(std::chrono::hours(1));
      std::vector<NewJob> jobs(count);
      auto id = storage.reserve_ids(count);
      for (std::size_t i = 0; i < count; ++i) {
        jobs[i] = {.id = quern::JobId{id.value++}, .kind = i % 3 == 0 ? "one" : "other"};
        jobs[i].priority = quern::Priority{static_cast<int>(i / 7 % 4)};
        if (i % 4 == 0) jobs[i].run_at = quern::When::at(start + std::chrono::minutes(i * 7 % 5));
        if (i % 10 == 9) jobs[i].deadline = quern::When::after(std::chrono::hours(1));
        if (i % 11 == 0) jobs[i].unique.key = "key" + std::to_string(i);
      }
      storage.insert(std::span(jobs).first(count / 2));
      storage.insert(std::span(jobs).subspan(count / 2));
      const std::size_t limit = together ? count : 1;
      const quern::ClaimRequest wanted{
          .node = node, .limit = limit, .kinds = {{"one", limit, 3}, {"other", limit, 5}}, .ageing = ageing};
      for (auto claims = storage.claim(wanted); !claims.empty(); claims = storage.claim(wanted)) {
        for (const quern::Claim& claim : claims) {
          order[together].push_back(quern::JobId{claim.ref.id.value - jobs[0].id.value});
          CHECK(claim.attempt == 1);
          CHECK(claim.max_attempts == (claim.kind == "one" ? 3 : 5));
          const quern::Finish finish{.ref = claim.ref, .outcome = quern::Outcome::completed};
          CHECK(storage.finish({&finish, 1}).at(0).status == quern::FinishStatus::recorded);
          CHECK(storage.finish({&finish, 1}).at(0).status == quern::FinishStatus::lost);
        }
      }
      CHECK(storage.recount().empty());
      for (const auto& found : storage.count()) CHECK(found.state == quern::JobState::completed);
    }
    CHECK(order[true].size() == 60);
    CHECK(order[true] == order[false]);
  }
}
