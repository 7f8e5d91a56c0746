#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/engine.hpp"

using namespace std::chrono_literals;
using quern::BulkResult;
using quern::JobState;
using quern::Payload;
using quern_test::Engine;

namespace {

std::size_t counted(Engine& engine, JobState state) {
  std::size_t sum = 0;
  for (const auto& count : engine.queue.count()) sum += count.state == state ? count.count : 0;
  return sum;
}

void add(Engine& engine, int count, const quern::JobOptions& options = {}) {
  engine.queue.enqueue_all(std::vector<quern::NewJob>(static_cast<std::size_t>(count),
                                                      quern::make_job("work", Payload(), {}, options)));
}

}  // namespace

TEST_CASE("all jobs that a filter gives are cancelled in batches and nothing else", "[bulk]") {
  Engine engine;
  add(engine, 25, {.queue = "mail"});
  add(engine, 5, {.queue = "other"});
  std::vector<BulkResult> seen;
  const auto result = engine.queue.cancel_all(
      {.queue = "mail"},
      {.who = "ann", .batch = 10, .progress = [&](const BulkResult& now) { seen.push_back(now); }});
  CHECK(result.matched == 25);
  CHECK(result.changed == 25);
  CHECK_FALSE(result.next);
  REQUIRE(seen.size() == 3);
  CHECK(seen[0].changed == 10);
  CHECK(seen[2].changed == 25);
  CHECK(counted(engine, JobState::cancelled) == 25);
  CHECK(counted(engine, JobState::ready) == 5);
  CHECK(engine.queue.list({.queue = "mail", .limit = 1}).jobs.at(0).end_message == "cancelled by ann");
  CHECK(engine.queue.cancel_all({.queue = "mail"}).matched == 0);
}

TEST_CASE("an operation on many jobs stops at its limit or when asked and goes on from there", "[bulk]") {
  Engine engine;
  add(engine, 30);
  const auto part = engine.queue.cancel_all({}, {.batch = 10, .limit = 15});
  CHECK(part.changed == 15);
  REQUIRE(part.next);
  std::stop_source stop;
  const auto stopped = engine.queue.cancel_all(
      {.after = part.next},
      {.batch = 5, .stop = stop.get_token(), .progress = [&](const BulkResult&) { stop.request_stop(); }});
  CHECK(stopped.changed == 5);
  const auto rest = engine.queue.cancel_all({.after = stopped.next});
  CHECK(rest.changed == 10);
  CHECK(counted(engine, JobState::cancelled) == 30);
}

TEST_CASE("dead and cancelled jobs are retried and completed ones only by name", "[bulk]") {
  Engine engine;
  engine.handlers.on("work", [](quern::JobContext& context) {
    if (context.job().tenant == "bad") throw std::runtime_error("bad");
  });
  add(engine, 3, {.max_attempts = 1, .tenant = "bad"});
  add(engine, 2, {.tenant = "good"});
  const auto processor = engine.processor();
  engine.settle(*processor);
  CHECK(counted(engine, JobState::dead) == 3);
  CHECK(engine.queue.retry_all({}).changed == 3);
  CHECK(counted(engine, JobState::ready) == 3);
  CHECK(engine.queue.retry_all({.states = {JobState::completed}}).changed == 2);
  CHECK(counted(engine, JobState::ready) == 5);
}

TEST_CASE("jobs that a filter gives get another time and another priority or are erased", "[bulk]") {
  Engine engine;
  add(engine, 4, {.tags = {"later"}});
  add(engine, 1);
  CHECK(engine.queue.reschedule_all({.tag = "later"}, quern::When::after(1h)).changed == 4);
  CHECK(counted(engine, JobState::scheduled) == 4);
  CHECK(engine.queue.set_priority_all({.tag = "later"}, quern::Priority::low).changed == 4);
  for (const auto& job : engine.queue.list({.tag = "later"}).jobs)
    CHECK(job.priority == quern::Priority::low);
  CHECK_THROWS_AS(engine.queue.set_priority_all({}, quern::Priority{10}), quern::InvalidArgument);
  CHECK(engine.queue.erase_all({.tag = "later"}).changed == 4);
  CHECK(engine.queue.list().jobs.size() == 1);
  CHECK_THROWS_WITH(engine.queue.erase_all({}, {.batch = 0}), Catch::Matchers::ContainsSubstring("batch"));
}

TEST_CASE("a job whose parent is erased after it goes in the same sweep", "[bulk]") {
  Engine engine;
  const auto parent = engine.queue.enqueue("work", Payload());
  engine.queue.enqueue("work", Payload(), {.parents = {parent}});
  CHECK(engine.queue.erase_all({}).changed == 2);
  CHECK(engine.queue.count().empty());
}

TEST_CASE("a full queue is an answer and another queue takes the job", "[queue]") {
  Engine engine;
  engine.queue.limit("mail", 2);
  add(engine, 2, {.queue = "mail"});
  const auto refused = engine.queue.enqueue("work", Payload(), {.queue = "mail"});
  CHECK(refused.status == quern::InsertStatus::queue_full);
  CHECK_FALSE(refused.added());
  CHECK_FALSE(refused.id);
  CHECK(engine.queue.enqueue("work", Payload(), {.queue = "overflow"}).added());
  CHECK_THROWS_WITH(engine.queue.limit("", 1), Catch::Matchers::ContainsSubstring("queue"));
}
