// Enqueueing within the host's own PostgreSQL transaction, from C++ and from SQL.
#include <libpq-fe.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "postgres/fixture.hpp"
#include "quern/postgres.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::InsertStatus;
using quern::JobState;
using quern::NewJob;
using quern::PostgresStorage;
using quern_test::PostgresServer;

namespace {

struct Welcome {
  static constexpr std::string_view kind = "welcome";
  int user = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Welcome, user)

/// A connection of the host's.
class Host {
 public:
  explicit Host(const std::string& address = PostgresServer::shared()->address())
      : connection_(PQconnectdb(address.c_str())) {
    REQUIRE(PQstatus(connection_) == CONNECTION_OK);
    PQsetNoticeReceiver(connection_, [](void*, const PGresult*) {}, nullptr);
  }
  ~Host() { PQfinish(connection_); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  operator PGconn*() const { return connection_; }

  /// The first value of the answer; the SQLSTATE where there is an error.
  std::string run(const std::string& sql) const {
    PGresult* const result = PQexec(connection_, sql.c_str());
    const char* const error = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    std::string value = error == nullptr ? "" : error;
    if (PQntuples(result) > 0) value = PQgetvalue(result, 0, 0);
    PQclear(result);
    return value;
  }

 private:
  PGconn* connection_;
};

/// A schema, a storage on it, and a node that works.
struct Shop {
  std::string schema = PostgresServer::new_schema();
  PostgresStorage storage{PostgresServer::shared()->address(), {.schema = schema, .lock_timeout = 1s}};
  quern::JobQueue<PostgresStorage> queue{storage};
  quern::NodeId node = storage.register_node({.name = "node", .host = "here"});

  std::vector<quern::Claim> claim() {
    return storage.claim({.node = node, .limit = 10, .kinds = {{"welcome", 10, 3}}});
  }
  [[nodiscard]] quern::Job get(const std::string& id) {
    return queue.find(quern::JobId{std::stoull(id)}).value();
  }
};

}  // namespace

TEST_CASE("a job enqueued in the host's PostgreSQL transaction exists exactly when that commits",
          "[postgres][within]") {
  if (PostgresServer::shared() == nullptr) return;
  Shop shop;
  const Host host;
  host.run("BEGIN");
  const auto undone = shop.queue.enqueue_within<PGconn*>(host, Welcome{1});
  host.run("ROLLBACK");
  CHECK_FALSE(shop.queue.find(undone.id).has_value());
  CHECK(shop.claim().empty());

  const auto before = shop.storage.foreign_changes();
  host.run("BEGIN");
  const auto kept = shop.queue.enqueue_within<PGconn*>(host, Welcome{2}, {.unique = {.key = "welcome-2"}});
  const auto twice = shop.queue.enqueue_within<PGconn*>(host, Welcome{2}, {.unique = {.key = "welcome-2"}});
  CHECK_FALSE(shop.queue.find(kept.id).has_value());
  CHECK(twice.status == InsertStatus::duplicate);
  CHECK(twice.id == kept.id);
  host.run("COMMIT");
  CHECK(kept.id.value > undone.id.value);
  CHECK(shop.queue.find(kept.id)->payload.as<Welcome>().user == 2);
  CHECK(shop.claim().size() == 1);
  CHECK(shop.storage.foreign_changes() >= before);
  CHECK(shop.storage.recount().empty());
}

TEST_CASE("transactions of hosts that go on keep nobody waiting", "[postgres][within]") {
  if (PostgresServer::shared() == nullptr) return;
  Shop shop;
  shop.storage.limit_queue("default", 100);
  const Host first;
  const Host second;
  first.run("BEGIN");
  second.run("BEGIN");
  // While the first one is open, everything else goes on; a lock would time out after a second.
  for (int i = 0; i < 3; ++i) {
    shop.queue.enqueue_within<PGconn*>(first, Welcome{1});
    shop.queue.enqueue_within<PGconn*>(second, Welcome{2});
    first.run("SELECT " + shop.schema + ".enqueue('welcome')");
    const auto own = shop.queue.enqueue(Welcome{3});
    const auto claims = shop.claim();
    REQUIRE(claims.size() == 1);
    CHECK(claims[0].ref.id == own.id);
    const quern::Finish finish{.ref = claims[0].ref};
    CHECK(shop.storage.finish({&finish, 1}).at(0).state == JobState::completed);
    CHECK(shop.storage.renew(shop.node) == quern::RenewResult::renewed);
    shop.storage.promote(10);
    shop.storage.rescue(10, 3);
    shop.storage.retire(shop.storage.register_node({.name = "other", .host = "here"}));
    CHECK(shop.storage.prune({.state = JobState::completed, .older_than = 0s, .limit = 10}).pruned == 1);
  }
  CHECK(second.run("COMMIT").empty());
  CHECK(shop.claim().size() == 3);
  CHECK(first.run("COMMIT").empty());
  CHECK(shop.claim().size() == 6);
  CHECK(shop.storage.recount().empty());
}

TEST_CASE("an insert within a transaction that fails leaves the transaction as it was",
          "[postgres][within]") {
  if (PostgresServer::shared() == nullptr) return;
  Shop shop;
  const Host host;
  const auto insert = [&](std::vector<NewJob> jobs) { return shop.storage.insert_within(host, jobs); };
  CHECK_THROWS_AS(insert({{.kind = "welcome"}}), quern::InvalidArgument);  // no transaction
  host.run("BEGIN");
  CHECK(insert({{.kind = "welcome"}}).at(0).status == InsertStatus::added);
  CHECK_THROWS_AS(insert({{.kind = "welcome"}, {.kind = "welcome", .parents = {quern::JobId{999}}}}),
                  quern::InvalidArgument);
  std::vector<NewJob> far{{.id = quern::JobId{9'000'000'000}, .kind = "welcome"}};  // needs a partition
  CHECK(shop.storage.insert_within(host, far).at(0).status == InsertStatus::added);
  host.run("SET LOCAL client_encoding = 'LATIN1'");
  CHECK_THROWS_AS(insert({{.kind = "welcome"}}), quern::InvalidArgument);
  host.run("SET LOCAL client_encoding = 'UTF8'");
  CHECK(host.run("COMMIT").empty());
  CHECK(shop.claim().size() == 2);

  // Another database that has the same schema.
  PostgresServer::shared()->run("CREATE DATABASE other_shop");
  std::string address = PostgresServer::shared()->address();
  address.replace(address.rfind('/') + 1, std::string::npos, "other_shop");
  const PostgresStorage other(address, {.schema = shop.schema});
  const Host stranger(address);
  stranger.run("BEGIN");
  std::vector<NewJob> job{{.kind = "welcome"}};
  CHECK_THROWS_AS(shop.storage.insert_within(stranger, job), quern::InvalidArgument);
  CHECK_FALSE(job[0].id);
  CHECK(stranger.run("COMMIT").empty());
}

TEST_CASE("a trigger enqueues in SQL, and its job runs when the transaction commits", "[postgres][within]") {
  if (PostgresServer::shared() == nullptr) return;
  Shop shop;
  const Host host;
  host.run("CREATE TABLE " + shop.schema + ".users(id bigint PRIMARY KEY)");
  host.run("CREATE FUNCTION " + shop.schema +
           ".greet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM " + shop.schema +
           ".enqueue('welcome', jsonb_build_object('user', NEW.id), unique_key => 'greet-' || NEW.id, "
           "tags => ARRAY['sql'], created_by => 'trigger', "
           "trace => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 a=1'); RETURN NEW; END $$");
  host.run("CREATE TRIGGER greet AFTER INSERT ON " + shop.schema + ".users FOR EACH ROW EXECUTE FUNCTION " +
           shop.schema + ".greet()");
  host.run("BEGIN");
  host.run("INSERT INTO " + shop.schema + ".users VALUES (1)");
  host.run("ROLLBACK");
  CHECK(shop.claim().empty());
  CHECK(host.run("INSERT INTO " + shop.schema + ".users VALUES (5), (6)").empty());
  const auto claims = shop.claim();
  REQUIRE(claims.size() == 2);
  CHECK(claims[0].payload.as<Welcome>().user == 5);
  CHECK(claims[0].tags == std::vector<std::string>{"sql"});
  CHECK(claims[0].created_by == "trigger");
  CHECK(claims[0].trace == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 a=1");
  CHECK(shop.storage.recount().empty());
}

TEST_CASE("the SQL function enqueue takes what a job may have, and refuses what it may not",
          "[postgres][within]") {
  if (PostgresServer::shared() == nullptr) return;
  Shop shop;
  const Host host;
  const auto enqueue = [&](const std::string& arguments) {
    return host.run("SELECT " + shop.schema + ".enqueue(" + arguments + ")");
  };
  const auto plain = shop.get(enqueue("'welcome'"));
  CHECK(plain.state == JobState::ready);
  CHECK(plain.payload.text() == "null");
  const auto id = enqueue(
      "'welcome', '{\"user\": 3}', queue => 'mail', priority => 9, delay => '10 min', max_attempts => 7, "
      "timeout => '30 s', unique_key => 'k', tenant => 'acme', deadline => now() + interval '1 day'");
  const auto job = shop.get(id);
  CHECK(job.state == JobState::scheduled);
  CHECK(job.run_at - job.created_at == 10min);
  CHECK(job.queue == "mail");
  CHECK(job.priority.level == 9);
  CHECK(job.max_attempts == 7);
  CHECK(job.timeout == 30s);
  CHECK(job.tenant == "acme");
  CHECK(job.deadline.has_value());
  CHECK(enqueue("'welcome', unique_key => 'k'") == id);
  CHECK(shop.get(enqueue("'welcome', parents => ARRAY[" + id + "]")).state == JobState::blocked);
  CHECK(shop.get(enqueue("'welcome', run_at => now() + interval '1 h'")).state == JobState::scheduled);

  for (const char* arguments :
       {"''", "NULL", "'welcome', priority => 10", "'welcome', delay => '-1 s'",
        "'welcome', on_conflict => 'x'", "'welcome', max_attempts => -1", "'welcome', tags => ARRAY['']",
        "'welcome', parents => ARRAY[123456]", "'welcome', to_jsonb(repeat('x', 1100000))", "E'wel\\ncome'",
        "'welcome', trace => 'x'",
        "'welcome', trace => '00-00000000000000000000000000000000-b7ad6b7169203331-01'"}) {
    CAPTURE(arguments);
    CHECK(enqueue(arguments) == "QU001");
  }
  shop.storage.limit_queue("small", 1);
  enqueue("'welcome', queue => 'small'");
  CHECK(enqueue("'welcome', queue => 'small'") == "QU005");
  CHECK(shop.storage.recount().empty());
}

TEST_CASE("partitions are made before they are needed", "[postgres][within]") {
  if (PostgresServer::shared() == nullptr) return;
  Shop shop;
  const Host host;
  host.run("SELECT setval('" + shop.schema + ".job_id', 400000)");
  host.run("SELECT " + shop.schema + ".make_ahead()");
  CHECK(host.run("SELECT to_regclass('" + shop.schema + ".job_1') IS NULL") == "t");
  host.run("SELECT setval('" + shop.schema + ".job_id', 900000)");
  host.run("SELECT " + shop.schema + ".make_ahead()");
  CHECK(host.run("SELECT to_regclass('" + shop.schema + ".job_1') IS NULL") == "f");

  // Also by a transaction that has gone on since before they were made, and by one that must make them.
  for (const char* who : {"somebody else", "itself"}) {
    CAPTURE(who);
    host.run("BEGIN");
    CHECK(host.run("SELECT " + shop.schema + ".enqueue('welcome') > 0") == "t");
    const std::string beyond = who == std::string("itself") ? "5000001" : "2000001";
    PostgresServer::shared()->run("SELECT setval('" + shop.schema + ".job_id', " + beyond + ")");
    if (who == std::string("somebody else"))
      PostgresServer::shared()->run("SELECT " + shop.schema + ".make_ahead()");
    CHECK(host.run("SELECT " + shop.schema + ".enqueue('welcome') > 2000000") == "t");
    CHECK(host.run("COMMIT").empty());
  }
  CHECK(shop.claim().size() == 4);
}
