#include "quern/testing/perform.hpp"

#include <sstream>

#include "quern/quern.hpp"
#include "quern/testing/engine.hpp"
#include "support/catch.hpp"
#include "testing/jobs.hpp"

using namespace quern_test;
using Catch::Matchers::ContainsSubstring;
using quern::HandlerRegistry;
using quern::JobContext;
using quern::JobResult;
using quern::JobState;
using quern::Outcome;
using quern::Payload;
using quern::StopReason;
using quern::When;
using quern::testing::perform;
using quern::testing::Performed;
using quern::testing::stored_step;

TEST_CASE("a handler runs on one job and all that it does is in the answer", "[perform]") {
  HandlerRegistry handlers;
  handlers.on<Batch>([](const Batch& batch, JobContext& context) {
    const int found = context.step("find", [&] { return static_cast<int>(batch.readers.size()); });
    context.step("note", [] {});
    context.progress(10, "begun");
    context.progress(5);
    context.progress(200, "done");
    context.then(Mail{1}, {.queue = "mail", .run_at = When::after(1h), .unique = {.by_arguments = true}});
    context.then(quern::NewJob{.kind = "audit", .parents = {context.id()}});
    context.then(quern::Record{"batches", "last", Payload::json("7")});
    return JobResult::completed({{"found", found}});
  });
  handlers.on("audit", [](JobContext&) {}, {.queue = "slow"});
  const Performed done = perform(handlers, Batch{{1, 2, 3}}, {.job = {.tenant = "acme"}});

  CHECK(done.outcome == Outcome::completed);
  CHECK(done.state == JobState::completed);
  CHECK(done.result_as<nlohmann::json>().at("found") == 3);
  using quern::Progress;
  CHECK(done.progress == std::vector<Progress>{{10, "begun"}, {10, ""}, {100, "done"}});
  CHECK(done.step_as<int>("find") == 3);
  CHECK(done.steps.size() == 2);
  CHECK(done.has_enqueued<Mail>({.queue = "mail",
                                 .run_at = When::after(1h),
                                 .unique_key = R"(mail:{"to":1})",
                                 .tenant = "acme",
                                 .created_by = "job:1"}));
  CHECK_FALSE(done.has_enqueued<Mail>([](const Mail& mail) { return mail.to == 2; }));
  CHECK(done.enqueued<Mail>().at(0).args.to == 1);
  REQUIRE(done.jobs.size() == 2);
  CHECK(done.jobs[1].queue == "default");  // what a NewJob names, no handler overrides
  CHECK(done.jobs[1].state == JobState::ready);
  CHECK(done.jobs[0].id != done.jobs[1].id);
  CHECK(done.jobs[0].id != done.id);
  REQUIRE(done.records.size() == 1);
  CHECK(done.records[0].value.text() == "7");
  CHECK(to_string(done) == "completed");
}

namespace {
struct Login {
  static constexpr std::string_view kind = "login";
  quern::Secret password;
};
QUERN_FIELDS(Login, password)
}  // namespace

TEST_CASE("what a handler logs is in the answer, without its secrets", "[perform]") {
  HandlerRegistry handlers;
  handlers.on<Login>([](const Login& login, JobContext& context) {
    context.warning("with " + login.password.reveal(), {{"tries", 3}});
    throw std::runtime_error("not with " + login.password.reveal());
  });
  std::vector<std::string> told;
  const Performed done = perform(
      handlers, Login{"hunter2"},
      {.attempt = 2, .sink = [&](const quern::LogRecord& record) { told.push_back(to_text(record)); }});
  REQUIRE(done.log.size() == 1);
  CHECK(done.log[0].message == "with ***");
  CHECK(done.log[0].level == quern::LogLevel::warning);
  CHECK(done.log[0].attempt == 2);
  CHECK(done.log[0].time == done.now);
  CHECK(done.log[0].fields == std::vector<quern::LoggedField>{{"tries", "3"}});
  CHECK(done.message == "not with ***");
  CHECK(told.size() == 1);
}

TEST_CASE("a handler sees the situation that the test describes", "[perform]") {
  HandlerRegistry handlers;
  const auto now = quern::parse_rfc3339("2026-03-01T12:00:00Z");
  handlers.on<Mail>(
      [&](const Mail& mail, JobContext& context) {
        CHECK(mail.to == 8);
        CHECK(context.id().value == 17);
        CHECK(context.attempt() == 4);
        CHECK(context.last_attempt());
        CHECK(context.fence() == 9);
        CHECK(context.job().queue == "urgent");
        CHECK(context.job().tenant == "acme");
        CHECK(context.job().tags == std::vector<std::string>{"x"});
        CHECK(context.job().claimed_at == now);
        CHECK_FALSE(context.stop_requested());
      },
      {.max_attempts = 4, .queue = "mail"});
  const auto done = perform(handlers, Mail{8},
                            {.attempt = 4,
                             .id = {17},
                             .fence = 9,
                             .now = now,
                             .job = {.queue = "urgent", .tenant = "acme", .tags = {"x"}}});
  CHECK(done.outcome == Outcome::completed);
  handlers.use([](JobContext& context, const std::function<JobResult()>& next) {
    return context.job().queue == "mail" ? JobResult::discarded("middleware") : next();
  });
  CHECK(perform(handlers, Mail{8}).message == "middleware");
}

TEST_CASE("a failure is tried again by the handler's policy until its last attempt", "[perform]") {
  HandlerRegistry handlers;
  handlers.on<Mail>([](const Mail&) { throw std::runtime_error("no route"); },
                    {.retry = quern::RetryPolicy::linear(1min), .max_attempts = 3});
  const Performed second = perform(handlers, Mail{1}, {.attempt = 2});
  CHECK(second.outcome == Outcome::failed);
  CHECK(second.state == JobState::scheduled);
  CHECK(second.message == "no route");
  CHECK(second.run_at == second.now + 2min);
  CHECK(to_string(second) == "failed: no route; again at 2026-01-01T00:02:00Z");

  const Performed last = perform(handlers, Mail{1}, {.attempt = 3});
  CHECK(last.state == JobState::dead);
  CHECK(last.dead_reason == quern::DeadReason::out_of_attempts);
  CHECK_FALSE(last.run_at.has_value());
  CHECK(to_string(last) == "dead (out_of_attempts): no route");
  CHECK_THROWS_WITH(last.result_as<int>(), "job 1 has no result: dead (out_of_attempts): no route");
  CHECK(perform(handlers, Mail{1}, {.attempt = 3, .max_attempts = 4}).state == JobState::scheduled);
}

TEST_CASE("each way to end is told apart", "[perform]") {
  HandlerRegistry handlers;
  handlers.on("snooze", [](JobContext&) { return JobResult::snoozed(1h, "too early"); });
  handlers.on("discard", [](JobContext&) { return JobResult::discarded("never"); });
  handlers.on("cancel", [](JobContext&) { return JobResult::cancelled("off"); });
  handlers.on("at", [](JobContext&) { return JobResult::retry_at(When::after(3h), "busy"); });
  handlers.on("odd", [](JobContext&) -> JobResult { throw 7; });
  const auto run = [&](const char* kind) { return perform(handlers, kind, Payload()); };
  CHECK(to_string(run("snooze")) == "snoozed: too early; again at 2026-01-01T01:00:00Z");
  CHECK(to_string(run("discard")) == "dead (discarded): never");
  CHECK(to_string(run("cancel")) == "cancelled: off");
  CHECK(to_string(run("at")) == "failed: busy; again at 2026-01-01T03:00:00Z");
  CHECK_THAT(run("odd").message, ContainsSubstring("no std::exception"));
}

TEST_CASE("follow-ups and records of a run that does not complete are dropped", "[perform]") {
  HandlerRegistry handlers;
  handlers.on<Mail>([](const Mail&, JobContext& context) {
    context.then(Batch{});
    context.then(quern::Record{"a", "b", Payload()});
    context.step("kept", [] { return 1; });
    throw std::runtime_error("late");
  });
  const Performed done = perform(handlers, Mail{1});
  CHECK(done.jobs.empty());
  CHECK(done.records.empty());
  CHECK(done.step_as<int>("kept") == 1);
  CHECK_THROWS_WITH(done.step_as<int>("other"), "there is no step \"other\"; stored are \"kept\"");
}

TEST_CASE("steps of earlier attempts do not run again", "[perform]") {
  HandlerRegistry handlers;
  int fetched = 0;
  handlers.on<Mail>([&](const Mail&, JobContext& context) {
    context.step("fetched", [&] { ++fetched; });
    const auto text = context.step("read", [&] { return std::string("anew"); });
    context.step("sent", [&] { return text + "!"; });
  });
  // A first attempt has steps, too, when it was snoozed before.
  const Performed done =
      perform(handlers, Mail{1}, {.steps = {stored_step("fetched"), stored_step("read", "before")}});
  CHECK(fetched == 0);
  CHECK(done.step_as<std::string>("sent") == "before!");
  CHECK(done.steps.size() == 3);
}

TEST_CASE("a run may be asked to stop before it begins or at a report of progress", "[perform]") {
  HandlerRegistry handlers;
  handlers.on<Mail>([](const Mail& mail, JobContext& context) {
    for (int i = 1; i <= mail.to; ++i) {
      if (context.stop_requested()) return JobResult::cancelled("at " + std::to_string(i));
      context.progress(i * 10);
    }
    return JobResult::completed();
  });
  const Performed at_once = perform(handlers, Mail{5}, {.stop = StopReason::cancel});
  CHECK(at_once.state == JobState::cancelled);
  CHECK(at_once.message == "at 1");
  CHECK(at_once.stop_requested);
  const Performed later = perform(handlers, Mail{5}, {.stop = StopReason::cancel, .stop_at_progress = 3});
  CHECK(later.message == "at 4");
  CHECK(later.progress.size() == 3);
  const Performed never = perform(handlers, Mail{2}, {.stop = StopReason::cancel, .stop_at_progress = 3});
  CHECK(never.outcome == Outcome::completed);
  CHECK_FALSE(never.stop_requested);

  const Performed timeout =
      perform(handlers, Mail{5}, {.stop = StopReason::timeout, .job = {.timeout = 3min}});
  CHECK(timeout.outcome == Outcome::failed);
  CHECK(timeout.fault == quern::AttemptFault::timeout);
  CHECK(timeout.message == "timed out after 3m: at 1");
  const Performed shutdown = perform(handlers, Mail{5}, {.stop = StopReason::shutdown});
  CHECK(shutdown.outcome == Outcome::released);
  CHECK(shutdown.state == JobState::ready);
}

TEST_CASE("a failed run whose cancel was asked for ends cancelled", "[perform]") {
  HandlerRegistry handlers;
  handlers.on<Mail>([](const Mail&) { throw std::runtime_error("interrupted"); });
  const Performed done = perform(handlers, Mail{1}, {.stop = StopReason::cancel});
  CHECK(done.state == JobState::cancelled);
  CHECK_FALSE(done.run_at.has_value());
  CHECK(to_string(done) == "cancelled: interrupted");
}

TEST_CASE("a run that lost its job keeps no step and its result is dropped", "[perform]") {
  HandlerRegistry handlers;
  bool after = false;
  handlers.on<Mail>([&](const Mail&, JobContext& context) {
    context.step("early", [] { return 1; });
    context.progress(50);
    context.step("late", [] { return 2; });
    after = true;
  });
  const Performed done = perform(handlers, Mail{1}, {.stop = StopReason::lost, .stop_at_progress = 1});
  CHECK(done.lost);
  CHECK_FALSE(after);
  CHECK(done.steps.size() == 1);
  CHECK_THAT(to_string(done), ContainsSubstring("lost"));
}

TEST_CASE("a payload that cannot be read makes the job dead as in the engine", "[perform]") {
  HandlerRegistry handlers;
  handlers.on<Mail>([](const Mail&) {});
  const auto payload = Payload::json(R"({"address": 1})");
  const Performed done = perform(handlers, "mail", payload);
  CHECK(done.state == JobState::dead);
  CHECK(done.dead_reason == quern::DeadReason::undecodable);

  quern::testing::Engine engine(handlers);
  const auto id = engine.queue().enqueue("mail", payload).id;
  engine.drain();
  CHECK(engine.job(id).dead_reason == done.dead_reason);
  CHECK(engine.last_error(id) == done.message);
  CHECK_THROWS_AS(perform(handlers, "mail", Payload::json("{")), quern::InvalidArgument);
}

TEST_CASE("a result that may not be stored is a failure as in the engine", "[perform]") {
  HandlerRegistry handlers;
  handlers.on<Mail>([](const Mail&) { return JobResult::completed(Payload::json("{no json")); });
  CHECK(perform(handlers, Mail{1}).outcome == Outcome::failed);
}

TEST_CASE("a kind without a handler is refused with the kinds that have one", "[perform]") {
  HandlerRegistry handlers;
  CHECK_THROWS_WITH(perform(handlers, Mail{1}), "kind: \"mail\" has no handler; none is registered");
  handlers.on<Batch>([](const Batch&) {}).on("zeta", [](JobContext&) {});
  CHECK_THROWS_WITH(perform(handlers, Mail{1}),
                    "kind: \"mail\" has no handler; those registered are \"batch\", \"zeta\"");
}

TEST_CASE("options that make no sense are refused", "[perform]") {
  HandlerRegistry handlers;
  handlers.on<Mail>([](const Mail&) {});
  CHECK_THROWS_WITH(perform(handlers, Mail{1}, {.attempt = 0}), ContainsSubstring("attempts count from 1"));
  CHECK_THROWS_WITH(perform(handlers, Mail{1}, {.max_attempts = -1}), ContainsSubstring("max_attempts"));
  CHECK_THROWS_WITH(perform(handlers, Mail{1}, {.stop_at_progress = 2}),
                    ContainsSubstring("a reason in `stop`"));
}

TEST_CASE("perform and the engine agree on what becomes of a job", "[perform]") {
  // One handler that ends in each way; the engine's job must stand where perform said.
  HandlerRegistry handlers;
  handlers.on<Mail>(
      [](const Mail& mail) {
        switch (mail.to) {
          case 0:
            return JobResult::completed({{"a", 1}});
          case 1:
            return JobResult::failed("bad\x01");
          case 2:
            return JobResult::retry_at(When::after(1h), "busy");
          case 3:
            return JobResult::snoozed(10s);
          case 4:
            return JobResult::discarded("never");
          case 5:
            return JobResult::cancelled("off");
          default:
            throw std::runtime_error("thrown");
        }
      },
      {.retry = quern::RetryPolicy::fixed(7min)});
  for (const int max_attempts : {1, 2}) {
    for (int way = 0; way <= 6; ++way) {
      CAPTURE(way, max_attempts);
      quern::testing::Engine engine(handlers);
      const auto id = engine.queue().enqueue(Mail{way}, {.max_attempts = max_attempts}).id;
      engine.drain();
      const auto job = engine.job(id);
      const Performed done = perform(handlers, Mail{way}, {.job = {.max_attempts = max_attempts}});
      CHECK(job.state == done.state);
      CHECK(job.dead_reason == done.dead_reason);
      CHECK(job.result == done.result);
      if (done.run_at) CHECK(job.run_at == *done.run_at);
      if (!job.errors.empty()) CHECK(job.errors.back().message == done.message);
    }
  }
}
