// How a host tests its jobs, as docs/testing.md tells it: every piece of code there stands here. Without a
// test framework; expect() takes the place of your framework's assertion.
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <quern/quern.hpp>
#include <quern/testing/crash_loop.hpp>
#include <quern/testing/engine.hpp>
#include <quern/testing/perform.hpp>
#include <quern/testing/storage_conformance.hpp>
#include <source_location>

using namespace std::chrono_literals;
namespace testing = quern::testing;

struct SendMail {
  static constexpr std::string_view kind = "mail.send";
  int user_id = 0;
  std::string subject;
};
QUERN_FIELDS(SendMail, user_id, subject)

struct Newsletter {
  static constexpr std::string_view kind = "newsletter";
  std::string list;
};
QUERN_FIELDS(Newsletter, list)

struct FakeMailServer {
  std::vector<std::string> sent;
  int failures = 0;  // it refuses the next so many mails

  void send(int user_id, const std::string& subject) {
    if (failures-- > 0) throw std::runtime_error("mail server is down");
    sent.push_back(std::to_string(user_id) + ": " + subject);
  }
};

quern::HandlerRegistry make_handlers(FakeMailServer& server) {
  quern::HandlerRegistry handlers;
  handlers.on<SendMail>([&](const SendMail& job) { server.send(job.user_id, job.subject); },
                        {.retry = quern::RetryPolicy::fixed(10min), .max_attempts = 3});
  handlers.on<Newsletter>([](const Newsletter& job, quern::JobContext& context) {
    const auto readers = context.step("readers", [] { return std::vector<int>{1, 2, 3}; });
    for (const int reader : readers) {
      if (context.stop_requested()) return quern::JobResult::cancelled();
      context.then(SendMail{reader, "News of " + job.list}, {.queue = "mail"});
      context.progress(reader * 100 / 3);
    }
    return quern::JobResult::completed({{"readers", readers.size()}});
  });
  return handlers;
}

/// Part of the program under test: it enqueues.
void sign_up(quern::JobQueue<>& queue, int user_id) {
  queue.enqueue(SendMail{user_id, "Welcome"}, {.queue = "mail"});
  queue.enqueue(SendMail{user_id, "A week later"}, {.queue = "mail", .run_at = quern::When::after(24h * 7)});
}

template <class T>
void expect(const T& condition, std::source_location here = std::source_location::current()) {
  if (condition) return;
  std::cerr << "line " << here.line() << ": not as expected\n";
  if constexpr (requires { std::cerr << condition; }) std::cerr << condition << '\n';
  std::exit(1);
}

void one_handler_one_job() {
  FakeMailServer server;
  const auto handlers = make_handlers(server);

  const auto done = testing::perform(handlers, Newsletter{"cats"});

  expect(done.outcome == quern::Outcome::completed);
  expect(done.result_as<nlohmann::json>()["readers"] == 3);
  expect(done.progress.back().percent == 100);
  expect(done.has_enqueued<SendMail>([](const SendMail& mail) { return mail.user_id == 3; }));
}

void any_situation() {
  FakeMailServer server;
  const auto handlers = make_handlers(server);

  // The last attempt fails.
  server.failures = 1;
  const auto last = testing::perform(handlers, SendMail{17, "Hello"}, {.attempt = 3});
  expect(last.state == quern::JobState::dead);
  expect(last.message == "mail server is down");

  // A crash interrupted the first attempt, and a step was done.
  const std::vector<quern::Step> steps{testing::stored_step("readers", std::vector<int>{8})};
  const auto resumed = testing::perform(handlers, Newsletter{"cats"}, {.attempt = 2, .steps = steps});
  expect(resumed.enqueued<SendMail>().size() == 1);

  // Somebody cancels it at its second report of progress.
  const auto stopped = testing::perform(handlers, Newsletter{"cats"},
                                        {.stop = quern::StopReason::cancel, .stop_at_progress = 2});
  expect(stopped.state == quern::JobState::cancelled);
  expect(stopped.jobs.empty());

  // What is stored is no Newsletter, as after an unlucky change of the struct.
  const auto odd = testing::perform(handlers, "newsletter", quern::Payload::json(R"({"list": 7})"));
  expect(odd.dead_reason == quern::DeadReason::undecodable);
}

void what_was_enqueued() {
  testing::Engine engine;
  sign_up(engine.queue(), 17);

  expect(engine.has_enqueued<SendMail>([](const SendMail& mail) { return mail.subject == "Welcome"; }));
  expect(engine.has_enqueued<SendMail>({.queue = "mail", .run_at = quern::When::after(24h * 7)}));
  expect(engine.enqueued<SendMail>().size() == 2);
}

void run_them() {
  FakeMailServer server;
  testing::Engine engine(make_handlers(server));
  const auto id = engine.queue().enqueue(Newsletter{"cats"}).id;

  const auto drained = engine.drain();

  expect(drained.completed == 4);  // the newsletter and three mails
  expect(server.sent.size() == 3);
  expect(engine.result<nlohmann::json>(id)["readers"] == 3);
}

void time_passes() {
  FakeMailServer server;
  testing::Engine engine(make_handlers(server));
  sign_up(engine.queue(), 17);

  engine.drain();
  expect(server.sent == std::vector<std::string>{"17: Welcome"});
  engine.advance(24h * 7);
  expect(server.sent.size() == 2);
}

void retries() {
  FakeMailServer server{.sent = {}, .failures = 2};
  testing::Engine engine(make_handlers(server));
  const auto id = engine.queue().enqueue(SendMail{17, "Hello"}).id;

  expect(engine.drain().failed == 1);
  expect(engine.last_error(id) == "mail server is down");
  expect(engine.has_enqueued<SendMail>({.run_at = quern::When::after(10min)}));

  const auto rest = engine.drain_all();  // lets time pass to each retry
  expect(rest.failed == 1);
  expect(rest.completed == 1);
}

void a_crash_anywhere() {
  FakeMailServer server;
  const auto rounds = testing::for_each_storage_crash({
      .handlers = [&](quern::JobQueue<>&) { return make_handlers(server); },
      .prepare =
          [&](testing::Engine<>& engine) {
            server = {};
            engine.queue().enqueue(Newsletter{"cats"});
          },
      .check =
          [&](testing::Engine<>& engine, const testing::StorageCrash& crash) {
            // Three jobs, exactly; a mail whose job was interrupted may have been sent twice.
            expect(engine.count(quern::JobState::completed, "mail.send") == 3);
            expect(server.sent.size() == 3 || (server.sent.size() == 4 && crash.call > 0));
          },
  });
  expect(rounds.crashes > 10);
}

void a_storage_that_fails() {
  FakeMailServer server;
  quern::ManualClock clock;
  quern::StorageAdapter<quern::MemoryStorage> memory(clock);
  testing::StorageProxy storage(memory);
  testing::Engine engine(storage, clock, make_handlers(server));
  engine.queue().enqueue(SendMail{17, "Hello"});

  int refused = 0;
  storage.before = [&](std::string_view call) {
    if (call == "finish" && ++refused <= 3) throw quern::StorageError("the disk is full", true);
  };
  engine.advance(1min);
  expect(server.sent.size() == 1);  // it ran once, and its end was recorded later
  expect(engine.count(quern::JobState::completed) == 1);
}

class MemoryFixture final : public testing::StorageFixture {
 public:
  quern::StoragePort& store() override { return storage_; }

 private:
  quern::StorageAdapter<quern::MemoryStorage> storage_{clock()};
};

void a_storage_of_your_own() {
  for (const auto& promise : testing::storage_conformance_cases()) {
    MemoryFixture fixture;
    if (promise.needs_reopen && !fixture.durable()) continue;
    promise.run(fixture);  // throws ConformanceFailure
  }
}

int main() {
  one_handler_one_job();
  any_situation();
  what_was_enqueued();
  run_them();
  time_passes();
  retries();
  a_crash_anywhere();
  a_storage_that_fails();
  a_storage_of_your_own();
  std::cout << "all as expected\n";
}
