// Values that a job marks as secret, and where they must not be seen.
#include <mutex>
#include <nlohmann/json.hpp>

#include "quern/testing/engine.hpp"
#include "support/catch.hpp"
#include "support/engine.hpp"

using namespace quern_test;
using Catch::Matchers::ContainsSubstring;
using quern::JobContext;
using quern::JobResult;
using quern::JobState;
using quern::LogRecord;
using quern::Payload;

namespace {

constexpr const char* password = "hunter2";
constexpr const char* token = "t0k3n-of-ada";

struct Account {
  std::string name;
  quern::Secret token;
};
QUERN_FIELDS(Account, name, token)

struct Sync {
  static constexpr std::string_view kind = "sync";
  std::string host;
  quern::Secret password;
  std::vector<Account> accounts;
};
QUERN_FIELDS(Sync, host, password, accounts)

const Sync job{"mx.example", password, {{"ada", token}}};

/// All that a storage, a sink and an observer of events got to see of a job, but for its payload.
struct Seen {
  std::mutex mutex;
  std::string text;

  void add(std::string_view more) {
    const std::lock_guard lock(mutex);
    (text += more) += '\n';
  }
  void add(const quern::Job& stored) {
    for (const auto& error : stored.errors) add(error.message);
    add(stored.end_message);
    add(stored.progress.message);
  }
  void add(const quern::JobLog& log) {
    for (const auto& line : log.lines) {
      add(line.message);
      for (const auto& field : line.fields) add(field.key + "=" + field.value);
    }
  }
  [[nodiscard]] bool shows_secret() const {
    return text.find(password) != std::string::npos || text.find(token) != std::string::npos;
  }
};

}  // namespace

TEST_CASE("no secret of a job is in what it logs, reports or fails with", "[secret]") {
  Engine engine;
  Seen seen;
  const bool thrown = GENERATE(true, false);
  engine.handlers.on<Sync>(
      [&](const Sync& sync, JobContext& context) -> JobResult {
        const std::string secret = sync.password.reveal();
        context.info(
            "as " + secret + " and " + sync.accounts.at(0).token.reveal(),
            {{"password", sync.password}, {"plain", secret}, {"in", "x" + secret + "x"}, {secret, 1}});
        context.progress(50, "using " + secret);
        if (thrown) throw std::runtime_error("login failed for " + secret + " at " + sync.host);
        return JobResult::failed("login failed for " + secret + " at " + sync.host);
      },
      {.retry = quern::RetryPolicy::fixed(1min), .max_attempts = 2});
  auto options = engine.options();
  options.log = [&](const LogRecord& record) { seen.add(to_json(record)); };
  Seen events;
  auto subscription = engine.queue.subscribe(
      [&](const quern::JobEvent& event) { events.add(event.message + event.progress.message); },
      {.own_thread = false});
  const auto processor = engine.processor(options);
  const auto id = engine.queue.enqueue(job).id;
  engine.pass(*processor, 1h);
  const quern::Job stored = engine.job(id);
  REQUIRE(stored.state == JobState::dead);
  REQUIRE(stored.errors.size() == 2);
  CHECK_THAT(stored.errors[0].message, ContainsSubstring("login failed for *** at mx.example"));
  CHECK(stored.progress.message == "using ***");
  const auto log = engine.queue.log_lines(id);
  REQUIRE(log.lines.size() == 2);
  CHECK(log.lines[0].message == "as *** and ***");
  CHECK(log.lines[0].fields == std::vector<quern::LoggedField>{
                                   {"password", "***"}, {"plain", "***"}, {"in", "x***x"}, {"***", "1"}});
  seen.add(stored);
  seen.add(log);
  CHECK_FALSE(seen.shows_secret());
  CHECK(subscription.pump() > 0);
  CHECK_THAT(events.text, ContainsSubstring("login failed for ***"));
  CHECK_FALSE(events.shows_secret());
  // Stored it is, since the handler needs it.
  CHECK(stored.payload.as<Sync>().password.reveal() == password);
}

TEST_CASE("a middleware that logs, and each way to end, show no secret either", "[secret]") {
  Engine engine;
  Seen seen;
  engine.handlers.use([](JobContext& context, const std::function<JobResult()>& next) {
    context.info("begins: " + context.job().payload.text());
    return next();
  });
  int run = 0;
  engine.handlers.on<Sync>([&](const Sync& sync) -> JobResult {
    const std::string why = "for " + sync.password.reveal();
    switch (++run) {
      case 1:
        return JobResult::snoozed(1min, why);
      case 2:
        return JobResult::retry_at(quern::When::after(1min), why);
      case 3:
        return JobResult::discarded(why);
      default:
        return JobResult::cancelled(why);
    }
  });
  auto options = engine.options();
  options.log = [&](const LogRecord& record) { seen.add(to_text(record)); };
  const auto processor = engine.processor(options);
  const auto first = engine.queue.enqueue(job).id;
  engine.pass(*processor, 1h);
  const auto second = engine.queue.enqueue(job).id;
  engine.pass(*processor, 1h);
  CHECK(engine.state(first) == JobState::dead);
  CHECK(engine.state(second) == JobState::cancelled);
  CHECK(engine.job(first).end_message == "for ***");
  for (const auto id : {first, second}) {
    seen.add(engine.job(id));
    seen.add(engine.queue.log_lines(id));
  }
  CHECK_THAT(seen.text, ContainsSubstring("begins: {"));
  CHECK_FALSE(seen.shows_secret());
}

TEST_CASE("a handler can name a secret that its job does not hold", "[secret]") {
  HostEngine engine;
  engine.on("work",
            [](JobContext& context) {
              context.info("before hunter2");
              context.secret("hunter2");
              context.secret(std::string("t0k3n-of-ada"));
              context.info("after hunter2", {{"n", 1}});
              throw std::runtime_error("no t0k3n-of-ada");
            },
            {.max_attempts = 1});
  const auto id = engine.queue().enqueue("work", Payload()).id;
  engine.drain();
  CHECK(engine.last_error(id) == "no ***");
  const auto log = engine.queue().log_lines(id);
  REQUIRE(log.lines.size() == 2);
  CHECK(log.lines[1].message == "after ***");
}

TEST_CASE("a job's secrets are forgotten with its run", "[secret]") {
  HostEngine engine;
  engine.on<Sync>([](const Sync&) {});
  engine.on("other", [](JobContext& context) { context.info("hunter2"); });
  engine.queue().enqueue(job);
  engine.drain();
  const auto id = engine.queue().enqueue("other", Payload()).id;
  engine.drain();
  CHECK(engine.queue().log_lines(id).lines.at(0).message == "hunter2");
}

TEST_CASE("a payload that can't be read is refused without a word of it", "[secret]") {
  HostEngine engine;
  engine.on<Sync>([](const Sync&) {});
  const auto id = engine.queue().enqueue("sync", Payload::json(R"({"password":["hunter2"]})")).id;
  engine.drain();
  CHECK(engine.state(id) == JobState::dead);
  CHECK_THAT(engine.last_error(id), !ContainsSubstring("hunter2"));
}
