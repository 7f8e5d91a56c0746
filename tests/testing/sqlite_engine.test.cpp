#include <sqlite3.h>

#include "quern/quern.hpp"
#include "quern/sqlite.hpp"
#include "quern/testing/engine.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"
#include "testing/jobs.hpp"

using namespace quern_test;
using quern::JobState;
using quern::testing::Engine;

TEST_CASE("a drain sees the jobs that a host's own transaction added", "[engine][sqlite]") {
  const TempFolder folder;
  const std::string path = (folder / "jobs.db").string();
  quern::ManualClock clock;
  quern::SqliteStorage storage(path, {.clock = clock});
  Engine engine(storage, clock);
  int runs = 0;
  engine.on<Mail>([&](const Mail&) { ++runs; });
  engine.drain();

  sqlite3* host = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &host) == SQLITE_OK);
  sqlite3_exec(host, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr);
  engine.queue().enqueue_within(host, Mail{1});
  engine.queue().enqueue_within(host, Mail{2}, {.run_at = quern::When::after(1h)});
  CHECK(sqlite3_exec(host, "COMMIT", nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(host);

  CHECK(engine.has_enqueued<Mail>([](const Mail& mail) { return mail.to == 1; }));
  CHECK(engine.drain().completed == 1);
  CHECK(engine.advance(1h).completed == 1);
  CHECK(runs == 2);
}
