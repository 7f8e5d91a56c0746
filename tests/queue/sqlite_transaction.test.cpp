// Enqueueing within the host's own SQLite transaction.
#include <sqlite3.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "quern/quern.hpp"
#include "quern/sqlite.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

namespace {

struct Welcome {
  static constexpr std::string_view kind = "welcome";
  int user = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Welcome, user)

struct Host {
  quern_test::TempFolder folder;
  std::string file = (folder / "app.db").string();
  sqlite3* connection = nullptr;

  Host() {
    REQUIRE(sqlite3_open(file.c_str(), &connection) == SQLITE_OK);
    sqlite3_busy_timeout(connection, 10'000);
    run("CREATE TABLE users(id INTEGER PRIMARY KEY)");
  }
  ~Host() { sqlite3_close(connection); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  void run(const char* sql) const {
    REQUIRE(sqlite3_exec(connection, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  }
};

}  // namespace

TEST_CASE("a job enqueued in the host's transaction exists exactly when that commits", "[queue][sqlite]") {
  const Host host;
  quern::SqliteStorage storage(host.file);
  quern::JobQueue queue(storage);

  host.run("BEGIN IMMEDIATE");
  host.run("INSERT INTO users VALUES (1)");
  const auto undone = queue.enqueue_within(host.connection, Welcome{1});
  host.run("ROLLBACK");
  CHECK_FALSE(queue.find(undone.id).has_value());

  host.run("BEGIN IMMEDIATE");
  host.run("INSERT INTO users VALUES (2)");
  const auto kept = queue.enqueue_within(host.connection, Welcome{2}, {.unique = {.key = "welcome-2"}});
  const auto twice = queue.enqueue_within(host.connection, Welcome{2}, {.unique = {.key = "welcome-2"}});
  CHECK_FALSE(queue.find(kept.id).has_value());
  host.run("COMMIT");
  CHECK(twice.status == quern::InsertStatus::duplicate);
  CHECK(twice.id == kept.id);
  REQUIRE(queue.find(kept.id).has_value());
  CHECK(queue.find(kept.id)->payload.as<Welcome>().user == 2);

  quern::HandlerRegistry handlers;
  int welcomed = 0;
  handlers.on<Welcome>([&](const Welcome& job) { welcomed = job.user; });
  quern::Processor(queue, handlers).run_until_idle();
  CHECK(welcomed == 2);
}

TEST_CASE("a running processor notices a commit of the host's without being told", "[queue][sqlite]") {
  const Host host;
  quern::SqliteStorage storage(host.file);
  quern::JobQueue queue(storage);
  quern::HandlerRegistry handlers;
  handlers.on<Welcome>([](const Welcome&) {});
  quern::Processor processor(queue, handlers);
  processor.start();
  host.run("BEGIN IMMEDIATE");
  const auto id = queue.enqueue_within(host.connection, Welcome{3}).id;
  host.run("COMMIT");
  processor.run_until([&] { return is_terminal(queue.find(id).value().state); });
  processor.stop();
  CHECK(queue.find(id)->state == quern::JobState::completed);
}

TEST_CASE("enqueueing within a transaction needs one and names what is missing", "[queue][sqlite]") {
  const Host host;
  quern::SqliteStorage storage(host.file);
  quern::JobQueue queue(storage);
  CHECK_THROWS_AS(queue.enqueue_within(host.connection, Welcome{1}), quern::InvalidArgument);
  CHECK(queue.list().jobs.empty());
}
