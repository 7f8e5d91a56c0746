// What users of the database may do who were given a role.
#include <libpq-fe.h>

#include <string>

#include "postgres/fixture.hpp"
#include "quern/postgres.hpp"
#include "quern/testing/random_life.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::JobState;
using quern::NewJob;
using quern::PostgresStorage;
using quern::StorageError;
using quern_test::PostgresServer;

namespace {

constexpr const char* no_right = "42501";

/// A schema, and a user with a role on it.
struct User {
  explicit User(const std::string& role) : name("user_of_" + schema) {
    {
      const PostgresStorage owner(PostgresServer::shared()->address(), {.schema = schema});
    }
    sql("CREATE ROLE " + name + " LOGIN");
    if (!role.empty()) sql("SELECT " + schema + ".grant_role('" + role + "', '" + name + "')");
  }
  ~User() { sql("DROP OWNED BY " + name + " CASCADE; DROP ROLE " + name); }
  User(const User&) = delete;
  User& operator=(const User&) = delete;

  static std::string sql(const std::string& text) { return PostgresServer::shared()->run(text); }
  [[nodiscard]] std::string address() const {
    std::string text = PostgresServer::shared()->address();
    return text.replace(text.find("quern@"), 5, name);
  }
  /// As this user: the SQLSTATE of an error, or nothing.
  [[nodiscard]] std::string error_of(std::string text) const {
    for (auto at = text.find("@."); at != std::string::npos; at = text.find("@."))
      text.replace(at, 1, schema);
    PGconn* const connection = PQconnectdb(address().c_str());
    REQUIRE(PQstatus(connection) == CONNECTION_OK);
    PQsetNoticeReceiver(connection, [](void*, const PGresult*) {}, nullptr);
    PGresult* const result = PQexec(connection, text.c_str());
    const char* const state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    std::string error = state == nullptr ? "" : state;
    PQclear(result);
    PQfinish(connection);
    return error;
  }

  std::string schema = PostgresServer::new_schema();
  std::string name;
};

}  // namespace

TEST_CASE("a worker can do all that a storage does, and nothing else", "[postgres][roles]") {
  if (PostgresServer::shared() == nullptr) return;
  const User user("worker");
  quern::ManualClock clock;
  {
    quern::StorageAdapter<PostgresStorage> storage(
        user.address(), quern::PostgresOptions{.schema = user.schema, .clock = clock, .migrate = false});
    quern::testing::RandomLife life(clock, 11);
    life.begin(storage);
    for (int i = 0; i < 500; ++i) life.step();
    const NewJob far{.id = quern::JobId{7'000'000'000}, .kind = "a"};  // needs a partition
    CHECK(storage.insert({&far, 1}).at(0).status == quern::InsertStatus::added);
    CHECK(storage.recount().empty());
    CHECK(storage.foreign_changes() == storage.foreign_changes());
    clock.advance(48h);
    storage.rescue(100'000, 3);
    const auto keeper = storage.backup()->become_keeper({.name = "keeper"});
    storage.retire(keeper);
    CHECK_FALSE(storage.backup()->read_images({}, 10).empty());
  }
  CHECK(user.error_of("SELECT @.enqueue('work')").empty());
  CHECK(user.error_of("SELECT @.fold()").empty());
  for (const char* sql : {"DROP TABLE @.job", "TRUNCATE @.job", "CREATE TABLE @.mine(a integer)",
                          "ALTER TABLE @.job ADD a integer", "DROP SCHEMA @.", "DROP FUNCTION @.fold()",
                          "SELECT @.grant_role('owner', current_user)"}) {
    std::string text = sql;
    if (text.ends_with("SCHEMA @.")) text = "DROP SCHEMA " + user.schema;
    CAPTURE(text);
    CHECK(user.error_of(text) == no_right);
  }
}

TEST_CASE("who is read_only can look at everything and change nothing", "[postgres][roles]") {
  if (PostgresServer::shared() == nullptr) return;
  const User user("read_only");
  PostgresStorage owner(PostgresServer::shared()->address(), {.schema = user.schema});
  const NewJob job{.id = owner.reserve_ids(1), .kind = "work"};
  owner.insert({&job, 1});
  PostgresStorage reader(user.address(), {.schema = user.schema, .migrate = false});
  CHECK(reader.find({&job.id, 1}).at(0)->state == JobState::ready);
  CHECK(reader.list({}).jobs.size() == 1);
  CHECK(reader.list({.states = {JobState::ready}}).jobs.size() == 1);
  CHECK(reader.count().size() == 1);
  CHECK(reader.recount().empty());
  CHECK(reader.queues().size() == 1);
  CHECK(reader.nodes().empty());
  CHECK(reader.list_records("c", "", 10).empty());
  CHECK(reader.read_images({}, 10).size() == 1);
  CHECK(reader.foreign_changes() == reader.foreign_changes());
  const NewJob more{.id = quern::JobId{job.id.value + 1}, .kind = "work"};
  CHECK_THROWS_AS(reader.insert({&more, 1}), StorageError);
  CHECK_THROWS_AS(reader.cancel({&job.id, 1}, "x"), StorageError);
  CHECK_THROWS_AS(reader.reserve_ids(1), StorageError);
  CHECK_THROWS_AS(reader.put_record({.collection = "c", .key = "k"}), StorageError);
  CHECK_THROWS_AS(reader.register_node({.name = "n"}), StorageError);
  for (const char* sql : {"SELECT @.enqueue('work')", "DELETE FROM @.job", "UPDATE @.meta SET value = 0",
                          "SELECT @.make_partitions(1, 1)", "SELECT @.drop_partition(0, 0)"}) {
    CAPTURE(sql);
    CHECK(user.error_of(sql) == no_right);
  }
}

TEST_CASE("a producer can add jobs and see none", "[postgres][roles]") {
  if (PostgresServer::shared() == nullptr) return;
  const User user("producer");
  CHECK(user.error_of("SELECT @.enqueue('work', '{\"a\": 1}', unique_key => 'k')").empty());
  CHECK(User::sql("SELECT count(*) FROM " + user.schema + ".job") == "1");
  CHECK(user.error_of("SELECT * FROM @.job") == no_right);
  CHECK(user.error_of("SELECT @.take_ids(1)") == no_right);
  CHECK_THROWS_AS(PostgresStorage(user.address(), {.schema = user.schema, .migrate = false}), StorageError);
}

TEST_CASE("who has no role can do nothing, and an owner everything", "[postgres][roles]") {
  if (PostgresServer::shared() == nullptr) return;
  {
    const User nobody("");
    CHECK(nobody.error_of("SELECT @.enqueue('work')") == no_right);
    CHECK(nobody.error_of("SELECT * FROM @.meta") == no_right);
  }
  const User owner("owner");
  const User worker("");
  {
    PostgresStorage storage(owner.address(), {.schema = owner.schema});
    const NewJob job{.id = quern::JobId{8'000'000'000}, .kind = "work"};
    CHECK(storage.insert({&job, 1}).at(0).status == quern::InsertStatus::added);
  }
  CHECK(owner.error_of("SELECT @.grant_role('worker', '" + worker.name + "')").empty());
  CHECK(owner.error_of("SELECT @.grant_role('emperor', '" + worker.name + "')") == "QU001");
  CHECK(owner.error_of("CREATE TABLE @.mine(a integer)").empty());
  CHECK(User::sql(
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = "
            "'" +
            owner.schema + "' AND pg_get_userbyid(c.relowner) <> '" + owner.name + "'") == "0");
  CHECK(owner.error_of("DROP SCHEMA " + owner.schema + " CASCADE").empty());
}
