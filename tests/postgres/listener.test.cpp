// How a PostgresStorage hears what others change, without being asked.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "postgres/fixture.hpp"
#include "quern/postgres.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::NewJob;
using quern::PostgresStorage;
using quern_test::PostgresServer;

namespace {

constexpr auto long_enough = 20s;

class Ear final : public quern::StorageObserver {
 public:
  explicit Ear(PostgresStorage& storage) : storage_(storage) { storage_.observe(*this); }
  ~Ear() override { storage_.unobserve(*this); }
  Ear(const Ear&) = delete;
  Ear& operator=(const Ear&) = delete;

  bool wants_foreign_changes() const noexcept override { return true; }
  void on_foreign_change() noexcept override {
    const std::lock_guard lock(mutex_);
    ++count_;
    told_.notify_all();
  }
  /// Until `condition` holds, which is looked at whenever something is heard, from now on.
  template <class Condition>
  bool waits_for(const Condition& condition) {
    const auto end = std::chrono::steady_clock::now() + long_enough;
    std::unique_lock lock(mutex_);
    do {
      if (!told_.wait_until(lock, end, [&] { return count_ != seen_; })) return false;
      seen_ = count_;
      lock.unlock();
      if (condition()) return true;
      lock.lock();
    } while (true);
  }
  /// What was heard until now does not count.
  void forget() {
    const std::lock_guard lock(mutex_);
    seen_ = count_;
  }

 private:
  PostgresStorage& storage_;
  std::mutex mutex_;
  std::condition_variable told_;
  int count_ = 0;
  int seen_ = 0;
};

template <class Condition>
bool becomes(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + long_enough;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

void add(PostgresStorage& storage, quern::When when = {}) {
  const NewJob job{.id = storage.reserve_ids(1), .kind = "work", .run_at = when};
  storage.insert({&job, 1});
}

std::size_t claim(PostgresStorage& storage, quern::NodeId node) {
  return storage.claim({.node = node, .limit = 10, .kinds = {{"work", 10, 3}}}).size();
}

}  // namespace

TEST_CASE("a node that waits hears of a job that another storage object adds", "[postgres][listen]") {
  if (PostgresServer::shared() == nullptr) return;
  const auto schema = PostgresServer::new_schema();
  PostgresStorage worker(PostgresServer::shared()->address(), {.schema = schema});
  PostgresStorage producer(PostgresServer::shared()->address(), {.schema = schema});
  CHECK_FALSE(worker.watches_foreign_changes());
  Ear ear(worker);
  REQUIRE(becomes([&] { return worker.watches_foreign_changes(); }));
  const auto node = worker.register_node({.name = "node", .host = "here"});
  std::vector<std::chrono::microseconds> waits;
  for (int i = 0; i < 50; ++i) {
    CHECK(claim(worker, node) == 0);
    const auto before = worker.foreign_changes();
    ear.forget();
    const auto start = std::chrono::steady_clock::now();
    add(producer);
    REQUIRE(ear.waits_for([&] { return claim(worker, node) == 1; }));
    waits.push_back(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start));
    CHECK(becomes([&] { return worker.foreign_changes() != before; }));
  }
  std::ranges::sort(waits);
  UNSCOPED_INFO("from the insert to the start, median: " << waits[waits.size() / 2].count() << " us");
  // Far below any poll; a machine that is busy may be slow.
  CHECK(waits[waits.size() / 2] < 50ms);
}

TEST_CASE("a job whose transaction began before the node waited is heard of when it commits",
          "[postgres][listen]") {
  if (PostgresServer::shared() == nullptr) return;
  const auto schema = PostgresServer::new_schema();
  PostgresStorage worker(PostgresServer::shared()->address(), {.schema = schema});
  Ear ear(worker);
  REQUIRE(becomes([&] { return worker.watches_foreign_changes(); }));
  const auto node = worker.register_node({.name = "node", .host = "here"});
  // Inserts, looks whether a node waits, and commits a while after.
  std::thread slow([&] {
    PostgresServer::shared()->run(
        "BEGIN; SELECT " + schema + ".lane_of('default', 'work'); SELECT " + schema +
        ".insert_any(ROW(NULL, 0, false)::" + schema + ".ctx, '[{\"id\": 77, \"lane\": 1, \"priority\": 2, " +
        "\"max_attempts\": 0, \"payload\": \"null\"}]'); SELECT pg_sleep(0.3); COMMIT");
  });
  const bool under_way = becomes([&] {
    return PostgresServer::shared()->run(
               "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") != "0";
  });
  CHECK(under_way);
  CHECK(claim(worker, node) == 0);
  CHECK(ear.waits_for([&] { return claim(worker, node) == 1; }));
  slow.join();
}

TEST_CASE("who waits hears of an earlier due time, of a wish to stop and of a queue that goes on",
          "[postgres][listen]") {
  if (PostgresServer::shared() == nullptr) return;
  const auto schema = PostgresServer::new_schema();
  PostgresStorage worker(PostgresServer::shared()->address(), {.schema = schema});
  PostgresStorage other(PostgresServer::shared()->address(), {.schema = schema});
  Ear ear(worker);
  REQUIRE(becomes([&] { return worker.watches_foreign_changes(); }));
  const auto node = worker.register_node({.name = "node", .host = "here"});
  CHECK(claim(worker, node) == 0);
  add(other, quern::When::after(1h));
  CHECK(ear.waits_for([&] { return worker.promote(1).next != quern::TimePoint::max(); }));

  add(worker);
  REQUIRE(claim(worker, node) == 1);
  const auto running = worker.list({.states = {quern::JobState::running}}).jobs.at(0).id;
  CHECK(other.cancel({&running, 1}, "somebody").at(0) == quern::CancelResult::requested);
  CHECK(ear.waits_for([&] { return worker.cancel_requests(node).size() == 1; }));

  other.pause("default");
  add(worker);
  CHECK(claim(worker, node) == 0);
  other.resume("default");
  CHECK(ear.waits_for([&] { return claim(worker, node) == 1; }));
}

TEST_CASE("a listener whose connection ends opens it again and says that it may have missed something",
          "[postgres][listen]") {
  if (PostgresServer::shared() == nullptr) return;
  const auto schema = PostgresServer::new_schema();
  PostgresStorage worker(PostgresServer::shared()->address(), {.schema = schema});
  PostgresStorage producer(PostgresServer::shared()->address(), {.schema = schema});
  Ear ear(worker);
  REQUIRE(becomes([&] { return worker.watches_foreign_changes(); }));
  const auto node = worker.register_node({.name = "node", .host = "here"});
  CHECK(claim(worker, node) == 0);
  PostgresServer::shared()->end_sessions("pg_stat_activity WHERE query LIKE 'LISTEN \"" + schema +
                                         "\"' OR query LIKE '%" + schema + "%others%'");
  CHECK(becomes([&] { return worker.watches_foreign_changes(); }));
  add(producer);
  CHECK(ear.waits_for([&] { return claim(worker, node) == 1; }));
}

TEST_CASE("without a listener, and behind a pooler, foreign changes are asked for", "[postgres][listen]") {
  if (PostgresServer::shared() == nullptr) return;
  const auto schema = PostgresServer::new_schema();
  PostgresStorage producer(PostgresServer::shared()->address(), {.schema = schema});
  for (const bool pooled : {false, true}) {
    PostgresStorage worker(PostgresServer::shared()->address(),
                           {.schema = schema, .pooled = pooled, .listen = pooled, .change_poll = 0ms});
    const Ear ear(worker);
    const auto before = worker.foreign_changes();
    add(producer);
    CHECK(worker.foreign_changes() != before);
    CHECK_FALSE(worker.watches_foreign_changes());
    // Nobody notifies for it.
    const auto node = worker.register_node({.name = "node", .host = "here"});
    claim(worker, node);
    claim(worker, node);
    CHECK(PostgresServer::shared()->run("SELECT count(*) FROM " + schema + ".node WHERE waits") == "0");
    worker.retire(node);
  }
}

TEST_CASE("a processor starts at once what another storage object adds", "[postgres][listen]") {
  if (PostgresServer::shared() == nullptr) return;
  const auto schema = PostgresServer::new_schema();
  PostgresStorage worker(PostgresServer::shared()->address(), {.schema = schema});
  PostgresStorage producer(PostgresServer::shared()->address(), {.schema = schema});
  quern::JobQueue out(worker);
  quern::JobQueue in(producer);
  std::mutex mutex;
  std::condition_variable ran;
  int runs = 0;
  quern::HandlerRegistry handlers;
  handlers.on("work", [&](quern::JobContext&) {
    const std::lock_guard lock(mutex);
    ++runs;
    ran.notify_all();
  });
  quern::Processor processor(out, handlers);
  processor.start();
  REQUIRE(becomes([&] { return worker.watches_foreign_changes(); }));
  std::vector<std::chrono::microseconds> waits;
  for (int i = 1; i <= 40; ++i) {
    const auto start = std::chrono::steady_clock::now();
    in.enqueue("work", quern::Payload());
    std::unique_lock lock(mutex);
    REQUIRE(ran.wait_for(lock, long_enough, [&] { return runs == i; }));
    waits.push_back(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start));
  }
  processor.stop();
  std::ranges::sort(waits);
  UNSCOPED_INFO("from the enqueue to the start, median: " << waits[waits.size() / 2].count() << " us");
  CHECK(waits[waits.size() / 2] < 50ms);
}
