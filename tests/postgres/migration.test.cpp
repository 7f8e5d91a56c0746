// How a schema comes from one version to the next, by steps of the test's own behind the first one.
#include "storage/postgres/schema.hpp"

#include <libpq-fe.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "postgres/fixture.hpp"
#include "quern/postgres.hpp"
#include "support/catch.hpp"
#include "support/server_process.hpp"
#include "support/temp_folder.hpp"

using namespace std::chrono_literals;
using quern::PostgresStorage;
using quern::StorageError;
using quern::postgres::Migration;
using quern_test::PostgresServer;

namespace {

/// Can't be done twice, and leaves alone what programs of version 1 use.
constexpr const char* second_step = R"sql(
CREATE TABLE @.second(id bigint PRIMARY KEY, note text NOT NULL DEFAULT '');
ALTER TABLE @.queue ADD COLUMN note text;
CREATE FUNCTION @.second_of(p_id bigint) RETURNS text LANGUAGE sql STABLE AS $$ SELECT note FROM @.second WHERE id = p_id $$;
)sql";
constexpr const char* third_step = "CREATE INDEX second_note ON @.second(note);\n";

/// Steps 1 to 3; `newest`: how many of them a program knows.
std::vector<Migration> steps(std::size_t newest = 3) {
  const auto real = quern::postgres::migrations();
  std::vector<Migration> all(real.begin(), real.end());
  REQUIRE(all.size() == 1);
  all.push_back({.version = 2, .oldest_program = 1, .parts = {second_step}});
  all.push_back({.version = 3, .oldest_program = 1, .parts = {third_step}});
  all.resize(newest);
  return all;
}

/// A database of a test's own, so that schemas in several can have one name.
class Database {
 public:
  explicit Database(std::string name) : name_(std::move(name)) {
    PostgresServer::shared()->run("CREATE DATABASE " + name_ + " ENCODING 'UTF8' TEMPLATE template0");
  }
  ~Database() { PostgresServer::shared()->run("DROP DATABASE " + name_ + " WITH (FORCE)"); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  [[nodiscard]] std::string address() const {
    std::string address = PostgresServer::shared()->address();
    return address.replace(address.rfind('/') + 1, std::string::npos, name_);
  }
  /// As a node does that knows these steps.
  void migrate(const std::vector<Migration>& known) const {
    const quern::postgres::Server server{.address = address(),
                                         .name = "the server",
                                         .schema = "quern",
                                         .connect_timeout = 10s,
                                         .call_timeout = 60s,
                                         .lock_timeout = 60s};
    const auto deadline = quern::SystemClock().steady() + quern::Duration(60s);
    quern::postgres::Connection connection(server, deadline);
    quern::postgres::prepare_schema(connection, server, true, deadline, known);
  }
  /// The first value of the answer.
  [[nodiscard]] std::string ask(const std::string& sql) const {
    PGconn* const connection = PQconnectdb(address().c_str());
    PGresult* const result = PQexec(connection, sql.c_str());
    std::string value = PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : PQerrorMessage(connection);
    PQclear(result);
    PQfinish(connection);
    return value;
  }
  [[nodiscard]] std::string version() const {
    return ask("SELECT value FROM quern.meta WHERE name = 'schema'");
  }
  /// All that the catalogs know of the schema, but for names of its own and the order in which it was made.
  [[nodiscard]] std::string catalogs() const {
    return ask(R"sql(
      SELECT string_agg(x, E'\n' ORDER BY x) FROM (
        SELECT format('relation %s %s %s %s', relname, relkind, reloptions, relacl) AS x FROM pg_class
          WHERE relnamespace = 'quern'::regnamespace
        UNION ALL
        SELECT format('column %s %s %s %s %s %s', attrelid::regclass, attnum, attname, format_type(atttypid, atttypmod),
          attnotnull, pg_get_expr(adbin, adrelid)) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
          LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
          WHERE c.relnamespace = 'quern'::regnamespace AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT 'index ' || pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid
          WHERE c.relnamespace = 'quern'::regnamespace
        UNION ALL
        SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
          WHERE connamespace = 'quern'::regnamespace
        UNION ALL
        SELECT format('function %s %s', pg_get_functiondef(oid), proacl) FROM pg_proc
          WHERE pronamespace = 'quern'::regnamespace
        UNION ALL
        SELECT format('meta %s %s', name, value) FROM quern.meta WHERE name <> 'store') z)sql");
  }

 private:
  const std::string name_;
};

/// By psql, as an administrator does; false: it is not installed.
bool run_with_psql(const Database& database, const std::string& sql) {
  const std::string psql = "/usr/bin/psql";
  if (!std::filesystem::exists(psql)) {
    std::fprintf(stderr, "skipped: psql is not installed\n");
    return false;
  }
  const quern_test::TempFolder folder;
  quern_test::give_away(folder.path());
  const std::string file = (folder / "migration.sql").string();
  std::ofstream(file) << sql;
  const std::string log = (folder / "log").string();
  const pid_t process =
      quern_test::spawn({psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file, database.address()}, log);
  int status = 0;
  ::waitpid(process, &status, 0);
  std::ifstream text(log);
  INFO(std::string(std::istreambuf_iterator<char>(text), {}));
  REQUIRE(status == 0);
  return true;
}

/// One job from its insert to its end.
void run_one(PostgresStorage& storage) {
  const quern::NewJob job{.id = storage.reserve_ids(1), .kind = "work"};
  CHECK(storage.insert({&job, 1}).at(0).status == quern::InsertStatus::added);
  const auto node = storage.register_node({.name = "node", .host = "here"});
  const auto claims = storage.claim({.node = node, .limit = 10, .kinds = {{"work", 10, 3}}});
  REQUIRE(claims.size() == 1);
  const quern::Finish finish{.ref = claims[0].ref};
  CHECK(storage.finish({&finish, 1}).at(0).state == quern::JobState::completed);
  storage.retire(node);
}

}  // namespace

TEST_CASE("nodes that start together bring a schema up to date once, while the others wait",
          "[postgres][migration]") {
  if (PostgresServer::shared() == nullptr) return;
  const Database database("together");
  database.migrate(steps(1));
  CHECK(database.version() == "1");
  // Somebody else is at it, so that all of them have to wait and go on at the same moment.
  PGconn* const holder = PQconnectdb(database.address().c_str());
  PQclear(PQexec(holder,
                 quern::postgres::fill_in("SELECT pg_advisory_lock(1903522413, @lock)", "quern").c_str()));
  const auto known = steps();
  std::vector<std::string> problems(3);
  std::vector<std::thread> nodes;
  for (std::string& problem : problems) {
    nodes.emplace_back([&] {
      try {
        database.migrate(known);
      } catch (const std::exception& e) {
        problem = e.what();
      }
    });
  }
  const auto end = std::chrono::steady_clock::now() + 30s;
  const auto waiting = [&] {
    return database.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
  };
  while (waiting() != "3" && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  CHECK(waiting() == "3");
  CHECK(database.version() == "1");
  PQfinish(holder);
  for (std::thread& node : nodes) node.join();
  CHECK(problems == std::vector<std::string>(3));
  CHECK(database.version() == "3");
  PostgresStorage storage(database.address());
  run_one(storage);
}

TEST_CASE("a migration that was cut off between two steps, or within one, is gone on with",
          "[postgres][migration]") {
  if (PostgresServer::shared() == nullptr) return;
  const Database database("cut_off");
  auto dying = steps();
  // The connection ends when half of the step has been done.
  dying[2].parts = {third_step, "SELECT pg_terminate_backend(pg_backend_pid());\n"};
  try {
    database.migrate(dying);
    FAIL("did not throw");
  } catch (const StorageError& e) {
    CHECK(e.transient());
  }
  CHECK(database.version() == "2");
  CHECK(database.ask("SELECT to_regclass('quern.second_note') IS NULL") == "t");
  database.migrate(steps());
  CHECK(database.version() == "3");
  CHECK(database.ask("SELECT to_regclass('quern.second_note') IS NULL") == "f");
  database.migrate(steps());
  PostgresStorage storage(database.address());
  run_one(storage);
}

TEST_CASE("the printed SQL makes the same schema as a storage does, from the beginning and step by step",
          "[postgres][migration]") {
  if (PostgresServer::shared() == nullptr) return;
  const Database made("made");
  const Database printed("printed");
  const Database stepwise("stepwise");
  const auto all = steps();
  made.migrate(all);
  if (!run_with_psql(printed, quern::postgres::migration_script("quern", 0, all))) return;
  run_with_psql(stepwise, quern::postgres::migration_script("quern", 0, steps(1)));
  run_with_psql(stepwise, quern::postgres::migration_script("quern", 1, steps(2)));
  run_with_psql(stepwise, quern::postgres::migration_script("quern", 2, all));
  const std::string catalogs = made.catalogs();
  CHECK(catalogs.find("second_of") != std::string::npos);
  CHECK(catalogs.find("meta schema 3") != std::string::npos);
  CHECK(printed.catalogs() == catalogs);
  CHECK(stepwise.catalogs() == catalogs);
  // A step that is printed for another version changes nothing.
  CHECK(made.ask(quern::postgres::migration_script("quern", 1, steps(2))).find("the step from version 1") !=
        std::string::npos);
  CHECK(made.catalogs() == catalogs);
  CHECK(quern::postgres::migration_script("quern", 3, all).empty());
  CHECK_THROWS_AS(quern::postgres::migration_script("quern", 4, all), quern::InvalidArgument);
}

TEST_CASE("a node of the version before works on beside a newer one, until the schema says that it can't",
          "[postgres][migration]") {
  if (PostgresServer::shared() == nullptr) return;
  const Database database("rolling");
  PostgresStorage before(database.address());
  run_one(before);
  database.migrate(steps());
  run_one(before);
  PostgresStorage restarted(database.address());
  run_one(restarted);

  auto breaking = steps();
  breaking.push_back(
      {.version = 4, .oldest_program = 4, .parts = {"ALTER TABLE @.second ADD COLUMN n integer;\n"}});
  database.migrate(breaking);
  try {
    const PostgresStorage late(database.address());
    FAIL("did not throw");
  } catch (const StorageError& e) {
    CHECK_FALSE(e.transient());
    const std::string message = e.what();
    CAPTURE(message);
    for (const char* const part : {"version 4", "knows 1", "use a newer quern"})
      CHECK(message.find(part) != std::string::npos);
  }
}
