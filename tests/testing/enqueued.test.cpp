#include "quern/testing/enqueued.hpp"

#include "quern/quern.hpp"
#include "quern/testing/engine.hpp"
#include "support/catch.hpp"
#include "testing/jobs.hpp"

using namespace quern_test;
using Catch::Matchers::ContainsSubstring;
using quern::Job;
using quern::JobState;
using quern::Payload;
using quern::When;
using quern::testing::Engine;
using quern::testing::Finding;
using quern::testing::has_enqueued;

namespace {
constexpr auto to = [](int wanted) { return [wanted](const Mail& mail) { return mail.to == wanted; }; };
}  // namespace

TEST_CASE("a waiting job is found by its arguments, and by how it waits", "[enqueued]") {
  Engine engine;
  const auto first = engine.queue().enqueue(Mail{1}).id;
  engine.queue().enqueue(Mail{2}, {.queue = "mail",
                                   .priority = quern::Priority::high,
                                   .run_at = When::after(24h),
                                   .tenant = "acme",
                                   .tags = {"a", "b"},
                                   .parents = {first},
                                   .created_by = "ada",
                                   .unique = {.key = "user-2"}});
  CHECK(engine.has_enqueued<Mail>());
  CHECK(engine.has_enqueued<Mail>(to(1)));
  CHECK(engine.has_enqueued<Mail>(to(2), {.queue = "mail",
                                          .priority = quern::Priority::high,
                                          .run_at = When::after(24h),
                                          .unique_key = "user-2",
                                          .tenant = "acme",
                                          .tags = {"b"},
                                          .created_by = "ada",
                                          .parents = {first}}));
  CHECK(engine.has_enqueued<Mail>({.run_at = When::at(engine.clock().now() + 24h)}));
  CHECK(engine.has_enqueued<Mail>(
      [](const Mail& mail, const Job& job) { return mail.to == 2 && job.state == JobState::blocked; }));

  CHECK_FALSE(engine.has_enqueued<Mail>(to(3)));
  CHECK_FALSE(engine.has_enqueued<Mail>(to(1), {.queue = "mail"}));
  CHECK_FALSE(engine.has_enqueued<Mail>(to(1), {.priority = quern::Priority::high}));
  CHECK_FALSE(engine.has_enqueued<Mail>(to(2), {.run_at = When::after(24h - 1us)}));
  CHECK_FALSE(engine.has_enqueued<Mail>(to(2), {.unique_key = "user-1"}));
  CHECK_FALSE(engine.has_enqueued<Mail>(to(2), {.tenant = "other"}));
  CHECK_FALSE(engine.has_enqueued<Mail>(to(2), {.tags = {"a", "c"}}));
  CHECK_FALSE(engine.has_enqueued<Mail>(to(2), {.created_by = "bob"}));
  CHECK_FALSE(engine.has_enqueued<Mail>(to(1), {.parents = {first}}));
  CHECK_FALSE(engine.has_enqueued<Mail>(to(1), {.states = {JobState::scheduled}}));
  CHECK_FALSE(engine.has_enqueued<Batch>());
}

TEST_CASE("the waiting jobs are handed out decoded and in their order", "[enqueued]") {
  Engine engine;
  std::vector<Mail> mails;
  for (int i = 0; i < 2500; ++i) mails.push_back({i});
  engine.queue().enqueue_all(mails);
  engine.queue().enqueue(Mail{-1}, {.run_at = When::after(1h)});
  engine.queue().enqueue(Batch{{7}});
  const auto found = engine.enqueued<Mail>();
  REQUIRE(found.size() == 2501);
  for (int i = 0; i < 2500; ++i) REQUIRE(found[static_cast<std::size_t>(i)].args.to == i);
  CHECK(found.back().job.state == JobState::scheduled);
  CHECK(engine.enqueued<Mail>({.run_at = When::after(1h)}).size() == 1);
  CHECK(engine.enqueued<Batch>().at(0).args.readers == std::vector<int>{7});
}

TEST_CASE("jobs that have run no longer count unless their state is asked for", "[enqueued]") {
  Engine engine;
  engine.on<Mail>([](const Mail&) {});
  engine.queue().enqueue(Mail{1});
  engine.drain();
  const Finding gone = engine.has_enqueued<Mail>(to(1));
  CHECK_FALSE(gone);
  CHECK_THAT(gone.message(), ContainsSubstring("it is completed, not blocked, scheduled, ready"));
  CHECK(engine.has_enqueued<Mail>(to(1), {.states = {JobState::completed}}));
}

TEST_CASE("a failed search names each near miss and what it is not", "[enqueued]") {
  Engine engine;
  engine.queue().enqueue(Mail{1}, {.queue = "mail"});
  engine.queue().enqueue(Mail{2}, {.queue = "mail", .run_at = When::after(1h)});
  engine.queue().enqueue(Mail{3});
  const Finding none = engine.has_enqueued<Mail>(to(4), {.queue = "mail", .run_at = When()});
  CHECK(none.message() ==
        "no such job of \"mail\"; there are\n"
        "  job 1, ready, queue mail: {\"to\":1}\n"
        "    but the predicate says no\n"
        "  job 2, scheduled, queue mail, due 2026-01-01T01:00:00Z: {\"to\":2}\n"
        "    but it is due at 2026-01-01T01:00:00Z, not at 2026-01-01T00:00:00Z\n"
        "  job 3, ready, queue default: {\"to\":3}\n"
        "    but its queue is \"default\", not \"mail\"");
  // And where a test wants none to be there, what there is.
  CHECK(engine.has_enqueued<Mail>(to(3)).message() ==
        "there is a job of \"mail\": job 3, ready, queue default: {\"to\":3}");
  // As Catch prints it.
  CHECK(Catch::Detail::stringify(none) == none.message());
}

TEST_CASE("a failed search without any job of the kind names the kinds that wait", "[enqueued]") {
  Engine engine;
  CHECK(engine.has_enqueued<Mail>().message() ==
        "no such job of \"mail\"; there is none, and no job of any kind waits");
  engine.queue().enqueue(Batch{});
  engine.queue().enqueue(Batch{}, {.run_at = When::after(1h)});
  CHECK_THAT(engine.has_enqueued<Mail>().message(),
             ContainsSubstring("of other kinds there wait 2 of \"batch\""));
}

TEST_CASE("a failed search among very many jobs stays readable", "[enqueued]") {
  Engine engine;
  for (int i = 0; i < 30; ++i)
    engine.queue().enqueue("mail",
                           Payload::json(R"({"to": 1, "text": ")" + std::string(5000, 'x') + R"("})"));
  const Finding none = engine.has_enqueued<Mail>(to(2));
  CHECK_THAT(none.message(), ContainsSubstring("\n  and 20 more"));
  CHECK(none.message().size() < 5000);
}

TEST_CASE("a waiting job whose payload is something else is a near miss, and no answer is made of it",
          "[enqueued]") {
  Engine engine;
  engine.queue().enqueue("mail", Payload::json(R"({"address": "x"})"));
  CHECK_THAT(engine.has_enqueued<Mail>(to(1)).message(), ContainsSubstring("but payload: cannot be read"));
  CHECK_THROWS_AS(engine.enqueued<Mail>(), quern::InvalidArgument);
}

TEST_CASE("any queue can be searched, also one on the machine's clock", "[enqueued]") {
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  queue.enqueue(Mail{1}, {.run_at = When::after(24h)});
  CHECK(has_enqueued<Mail>(queue, to(1), {.run_at = When::after(24h), .within = 1min}));
  CHECK_FALSE(has_enqueued<Mail>(queue, {.run_at = When::after(23h), .within = 1min}));
  CHECK(quern::testing::enqueued<Mail>(queue).size() == 1);
}
