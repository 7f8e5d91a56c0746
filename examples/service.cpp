// All parts together, from one configuration: set QUERN_STORAGE, QUERN_POOL_SCALING_MAX_WORKERS and the like to change it.
// Prints the JSON of what happens. Ends by itself.
#include <cstdio>
#include <cstdlib>
#include <future>
#include <quern/job_service.hpp>
#include <quern/sqlite.hpp>

struct Greet {
  static constexpr std::string_view kind = "greet";
  std::string name;
};
QUERN_FIELDS(Greet, name)

struct Crash {
  static constexpr std::string_view kind = "crash";
};
QUERN_FIELDS(Crash)

int main() try {
  auto config = quern::ServiceConfig::from_json(
      R"({"storage": "sqlite:service.db", "pool": {"scaling": {"maxWorkers": 4}}, "stop": {"wait": "5s"},
          "schedules": [
            {"name": "often", "every": "1s", "missed": "skip", "kind": "greet", "payload": {"name": "everybody"}},
            {"name": "mornings", "cron": "0 9 * * MON-FRI", "jitter": "2m", "kind": "greet", "payload": {"name": "ada"}}]})");
  config = quern::ServiceConfig::from_environment(config);
  config.log = [](const quern::LogRecord& record) { std::fprintf(stderr, "%s\n", to_text(record).c_str()); };
  quern::JobService service{config};
  service.handlers().on<Greet>([](const Greet& job) { std::printf("Hello, %s!\n", job.name.c_str()); });
  // In a process of its own, so nobody else is harmed.
  service.handlers().on<Crash>([](const Crash&) { std::abort(); },
                               {.max_attempts = 1, .isolation = quern::Isolation::process});

  std::promise<void> crashed;
  std::promise<void> greeted;
  int greetings = 0;
  const auto events = service.events().subscribe([&](const quern::ServiceEvent& event) {
    std::puts(to_json(event).c_str());
    const auto* const job = std::get_if<quern::JobEvent>(&event);
    if (job != nullptr && job->type == quern::JobEventType::dead) crashed.set_value();
    const auto* const system = std::get_if<quern::SystemEvent>(&event);
    if (system != nullptr && system->type == quern::SystemEventType::schedule_executed && ++greetings == 1)
      greeted.set_value();
  });
  service.start();
  service.queue().enqueue(Greet{"world"});
  service.queue().enqueue(Crash{});
  crashed.get_future().wait();
  greeted.get_future().wait();
  for (const auto& schedule : service.scheduler().list())
    std::printf("%s: %s\n", schedule.spec.name.c_str(), schedule.description.c_str());
  const auto result = service.reload([&] {
    auto next = service.config();
    next.pool.scaling->max_workers = 8;
    return next;
  }());
  std::printf("in force now: %s\n", result.applied.at(0).c_str());
  service.stop();
} catch (const quern::Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
