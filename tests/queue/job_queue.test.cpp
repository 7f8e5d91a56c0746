#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/engine.hpp"

using namespace quern_test;
using quern::InsertStatus;
using quern::JobState;
using quern::Payload;

namespace {
struct Mail {
  static constexpr std::string_view kind = "mail";
  std::string to;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Mail, to)

struct Note {
  static constexpr std::string_view kind = "note";
  static constexpr quern::JobDefaults defaults{.max_attempts = 3};
  std::string text;
  std::vector<std::string> to;
};
QUERN_FIELDS(Note, text, to)
}  // namespace

TEST_CASE("of two who enqueue by what they saw in a record one does", "[queue]") {
  Engine engine;
  quern::RecordChange change{.collection = "tours", .key = "today", .value = Payload::json("1")};
  const auto first = engine.queue.enqueue_if({{.kind = "tour"}, {.kind = "tour"}}, {&change, 1});
  REQUIRE(first);
  REQUIRE(first->size() == 2);
  CHECK((*first)[1].added());
  CHECK(engine.job((*first)[1]).queue == "default");
  CHECK_FALSE(engine.queue.enqueue_if({{.kind = "tour"}}, {&change, 1}));
  change.seen = engine.queue.storage().get_record("tours", "today");
  change.value = Payload::json("2");
  CHECK(engine.queue.enqueue_if({{.kind = "tour"}}, {&change, 1}));
  CHECK(engine.queue.count().at(0).count == 3);
  CHECK_THROWS_AS(engine.queue.enqueue_if({{.kind = ""}}, {&change, 1}), quern::InvalidArgument);
  change.value = Payload::json("{");
  CHECK_THROWS_AS(engine.queue.enqueue_if({}, {&change, 1}), quern::InvalidArgument);
}

TEST_CASE("an enqueued job is found with all that was said of it", "[queue]") {
  Engine engine;
  const auto now = engine.clock.now();
  const auto added = engine.queue.enqueue(Mail{"ada"}, {.queue = "mail",
                                                        .priority = quern::Priority::high,
                                                        .run_at = quern::When::after(5min),
                                                        .deadline = quern::When::at(now + 1h),
                                                        .max_attempts = 2,
                                                        .timeout = 30s,
                                                        .tenant = "acme",
                                                        .tags = {"welcome", "vip"},
                                                        .created_by = "signup",
                                                        .digest = "d1",
                                                        .unique = {.key = "welcome-ada"}});
  CHECK(added.added());
  const quern::Job job = engine.job(added);
  CHECK(job.kind == "mail");
  CHECK(job.payload.as<Mail>().to == "ada");
  CHECK(job.queue == "mail");
  CHECK(job.priority == quern::Priority::high);
  CHECK(job.state == JobState::scheduled);
  CHECK(job.run_at == now + 5min);
  CHECK(job.deadline == now + 1h);
  CHECK(job.max_attempts == 2);
  CHECK(job.timeout == 30s);
  CHECK(job.tenant == "acme");
  CHECK(job.tags == std::vector<std::string>{"welcome", "vip"});
  CHECK(job.unique_key == "welcome-ada");
  CHECK(job.created_by == "signup");
  CHECK(job.digest == "d1");
  CHECK(job.created_at == now);
  CHECK(job.run == 1);
  CHECK(job.attempt == 0);
}

TEST_CASE("a batch is added whole with consecutive ids or not at all", "[queue]") {
  Engine engine;
  const auto added = engine.queue.enqueue_all(std::vector<Mail>{{"a"}, {"b"}, {"c"}}, {.queue = "mail"});
  REQUIRE(added.size() == 3);
  CHECK(added[1].id.value == added[0].id.value + 1);
  CHECK(added[2].id.value == added[0].id.value + 2);

  std::vector<quern::NewJob> bad(3, quern::NewJob{.kind = "mail"});
  bad[2].kind = "";
  CHECK_THROWS_AS(engine.queue.enqueue_all(bad), quern::InvalidArgument);
  CHECK(engine.queue.list().jobs.size() == 3);
}

TEST_CASE("a job outside the limits is refused at the door with the name of its field", "[queue]") {
  Engine engine;
  const auto refused = [&](quern::JobOptions options, const std::string& field) {
    try {
      engine.queue.enqueue(Mail{"a"}, std::move(options));
      FAIL("not refused: " << field);
    } catch (const quern::InvalidArgument& e) {
      CHECK(e.field().substr(0, field.size()) == field);
    }
  };
  refused({.queue = std::string(200, 'q')}, "queue");
  refused({.queue = "a\nb"}, "queue");
  refused({.priority = quern::Priority{10}}, "priority");
  refused({.max_attempts = -1}, "max_attempts");
  refused({.timeout = -1s}, "timeout");
  refused({.tags = std::vector<std::string>(33, "t")}, "tags");
  refused({.unique = {.key = std::string("a\0b", 3)}}, "unique");
  CHECK_THROWS_AS(engine.queue.enqueue("mail", Payload::json("{")), quern::InvalidArgument);
  CHECK_THROWS_AS(engine.queue.enqueue("mail", Payload::json(R"("\u0000")")), quern::InvalidArgument);
  CHECK_THROWS_AS(engine.queue.enqueue(Mail{"\xFF"}), quern::InvalidArgument);
  CHECK(engine.queue.list().jobs.empty());
}

TEST_CASE("a unique key keeps a second job out while the first lives", "[queue][unique]") {
  Engine engine;
  const auto first = engine.queue.enqueue(Mail{"a"}, {.unique = {.key = "k"}});
  const auto second = engine.queue.enqueue(Mail{"b"}, {.unique = {.key = "k"}});
  CHECK(second.status == InsertStatus::duplicate);
  CHECK_FALSE(second.added());
  CHECK(second.id == first.id);
  engine.queue.cancel(first);
  CHECK(engine.queue.enqueue(Mail{"c"}, {.unique = {.key = "k"}}).added());
}

TEST_CASE("jobs can be unique by their arguments within a period", "[queue][unique]") {
  Engine engine;
  const quern::JobOptions once{.unique = {.by_arguments = true, .period = 1h, .while_completed = true}};
  CHECK(engine.queue.enqueue(Mail{"a"}, once).added());
  CHECK_FALSE(engine.queue.enqueue(Mail{"a"}, once).added());
  CHECK(engine.queue.enqueue(Mail{"b"}, once).added());
  engine.handlers.on<Mail>([](const Mail&) {});
  const auto processor = engine.processor();
  engine.settle(*processor);
  CHECK_FALSE(engine.queue.enqueue(Mail{"a"}, once).added());
  engine.clock.advance(61min);
  CHECK(engine.queue.enqueue(Mail{"a"}, once).added());
}

TEST_CASE("a payload too long to be a key is refused and not silently shortened", "[queue][unique]") {
  Engine engine;
  CHECK_THROWS_WITH(engine.queue.enqueue(Mail{std::string(5000, 'x')}, {.unique = {.by_arguments = true}}),
                    Catch::Matchers::ContainsSubstring("unique.key"));
}

TEST_CASE("a newer job can replace or reschedule the waiting one", "[queue][unique]") {
  Engine engine;
  const auto first =
      engine.queue.enqueue(Mail{"a"}, {.run_at = quern::When::after(1h), .unique = {.key = "k"}});
  const auto moved = engine.queue.enqueue(
      Mail{"b"}, {.run_at = quern::When::after(2h),
                  .unique = {.key = "k", .on_conflict = quern::UniqueConflict::reschedule}});
  CHECK(moved.status == InsertStatus::rescheduled);
  CHECK(moved.id == first.id);
  CHECK(engine.job(first).run_at == engine.clock.now() + 2h);
  const auto second = engine.queue.enqueue(
      Mail{"c"}, {.unique = {.key = "k", .on_conflict = quern::UniqueConflict::replace}});
  CHECK(second.status == InsertStatus::replaced);
  CHECK(engine.state(first) == JobState::cancelled);
  CHECK(engine.state(second) == JobState::ready);
}

TEST_CASE("a job waits for its parents and follows its policy when one fails", "[queue][parents]") {
  Engine engine;
  engine.handlers.on("good", [](quern::JobContext&) {});
  engine.handlers.on("bad", [](quern::JobContext&) { return quern::JobResult::discarded("no"); });
  const auto good = engine.queue.enqueue("good", Payload()).id;
  const auto bad = engine.queue.enqueue("bad", Payload()).id;
  const auto after_good = engine.queue.enqueue("good", Payload(), {.parents = {good}}).id;
  const auto cancelled = engine.queue.enqueue("good", Payload(), {.parents = {good, bad}}).id;
  const auto anyway =
      engine.queue
          .enqueue("good", Payload(), {.parents = {bad}, .on_parent_failure = quern::ParentPolicy::run})
          .id;
  const auto stays = engine.queue
                         .enqueue("good", Payload(),
                                  {.parents = {bad}, .on_parent_failure = quern::ParentPolicy::stay_blocked})
                         .id;
  CHECK(engine.state(after_good) == JobState::blocked);
  const auto processor = engine.processor();
  engine.settle(*processor);
  CHECK(engine.state(after_good) == JobState::completed);
  CHECK(engine.state(cancelled) == JobState::cancelled);
  CHECK(engine.state(anyway) == JobState::completed);
  CHECK(engine.state(stays) == JobState::blocked);
  CHECK_THROWS_AS(engine.queue.enqueue("good", Payload(), {.parents = {quern::JobId{1'000'000}}}),
                  quern::InvalidArgument);
}

TEST_CASE("an ended job can be run again as a new run", "[queue]") {
  Engine engine;
  int calls = 0;
  engine.handlers.on("work", [&](quern::JobContext&) {
    return ++calls == 1 ? quern::JobResult::discarded("first time") : quern::JobResult::completed();
  });
  const auto processor = engine.processor();
  const auto id = engine.queue.enqueue("work", Payload()).id;
  CHECK(engine.queue.retry(id) == quern::RetryResult::not_ended);
  engine.settle(*processor);
  CHECK(engine.state(id) == JobState::dead);
  CHECK(engine.queue.retry(id, "ada") == quern::RetryResult::retried);
  engine.settle(*processor);
  const auto job = engine.job(id);
  CHECK(job.state == JobState::completed);
  CHECK(job.run == 2);
  CHECK(job.attempt == 1);
  CHECK(job.errors.size() == 1);
  CHECK(engine.queue.retry(quern::JobId{12345}) == quern::RetryResult::unknown);
}

TEST_CASE("a paused queue starts nothing and loses nothing", "[queue]") {
  Engine engine;
  engine.handlers.on<Mail>([](const Mail&) {});
  const auto processor = engine.processor();
  engine.queue.pause("default");
  const auto id = engine.queue.enqueue(Mail{"a"}).id;
  engine.pass(*processor, 1h);
  CHECK(engine.state(id) == JobState::ready);
  engine.queue.resume("default");
  engine.settle(*processor);
  CHECK(engine.state(id) == JobState::completed);
}

TEST_CASE("ids are reserved in blocks and not per job", "[queue]") {
  Engine engine;
  int reservations = 0;
  engine.storage.before = [&](std::string_view call) { reservations += call == "reserve_ids" ? 1 : 0; };
  for (int i = 0; i < 10'000; ++i) engine.queue.enqueue(Mail{"a"});
  CHECK(reservations <= 12);
}

TEST_CASE("a queue refuses a faulty configuration with all its faults", "[queue]") {
  quern::MemoryStorage storage;
  quern::JobQueueConfig config;
  config.max_concurrent_jobs = 0;
  config.retry_backoff_factor = 0.5;
  try {
    const quern::JobQueue queue(storage, config);
    FAIL("not refused");
  } catch (const quern::ConfigError& e) {
    CHECK(e.faults().size() == 2);
  }
}

TEST_CASE("structs with fields are enqueued, each with its own payload and all with the same options",
          "[queue]") {
  Engine engine;
  const std::vector<Note> notes{{"first", {}}, {"second", {"ada", "bob"}}};
  const auto added = engine.queue.enqueue_all(notes, {.queue = "mail", .tags = {"note"}});
  REQUIRE(added.size() == 2);
  for (std::size_t i = 0; i < notes.size(); ++i) {
    const quern::Job job = engine.job(added[i]);
    CHECK(job.kind == "note");
    CHECK(job.queue == "mail");
    CHECK(job.tags == std::vector<std::string>{"note"});
    CHECK(job.max_attempts == Note::defaults.max_attempts);
    CHECK(job.payload.as<Note>().text == notes[i].text);
    CHECK(job.payload.as<Note>().to == notes[i].to);
  }
  CHECK(engine.job(added[1]).payload.text() == R"({"text":"second","to":["ada","bob"]})");
}

TEST_CASE("a struct that JSON can't hold is refused by the path of its member, and nothing is added",
          "[queue]") {
  Engine engine;
  try {
    (void)engine.queue.enqueue_all(std::vector<Note>{{"fine", {}}, {"", {"ada", "\xFF"}}});
    FAIL("was accepted");
  } catch (const quern::InvalidArgument& e) {
    CHECK(e.field() == "payload.to[1]");
  }
  CHECK(engine.queue.list().jobs.empty());
}

TEST_CASE("a struct with fields is the same argument as its text", "[queue]") {
  Engine engine;
  const auto first = engine.queue.enqueue(Note{"a", {}}, {.unique = {.by_arguments = true}});
  const auto again = engine.queue.enqueue(Note{"a", {}}, {.unique = {.by_arguments = true}});
  const auto text = engine.queue.enqueue("note", Payload::json(R"({"text":"a","to":[]})"),
                                         {.unique = {.by_arguments = true}});
  CHECK(again.status == InsertStatus::duplicate);
  CHECK(text.status == InsertStatus::duplicate);
  CHECK(text.id == first.id);
  CHECK(engine.queue.enqueue(Note{"b", {}}, {.unique = {.by_arguments = true}}).added());
}
