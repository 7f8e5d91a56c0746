// A report every second from a program whose schedules are kept in SQLite: started again, it goes on where it was, and any
// number of copies of it add each report once. Ends after three reports.
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <quern/scheduler.hpp>
#include <quern/sqlite.hpp>

using namespace std::chrono_literals;

struct Report {
  static constexpr std::string_view kind = "report";
  std::string to;
};
QUERN_FIELDS(Report, to)

int main() {
  quern::SqliteStorage storage("schedules.db");
  quern::JobQueue queue(storage);
  std::mutex mutex;
  std::condition_variable changed;
  int reports = 0;
  auto handlers = quern::HandlerRegistry().on<Report>([&](const Report& job, quern::JobContext& context) {
    std::printf("report to %s, due at %s\n", job.to.c_str(), quern::to_rfc3339(context.job().run_at).c_str());
    const std::lock_guard lock(mutex);
    ++reports;
    changed.notify_all();
  });
  quern::Processor processor(queue, handlers);
  processor.start();

  const quern::ZoneDatabase zones;
  for (const std::string& problem : zones.report(storage.clock().now()).problems)
    std::fprintf(stderr, "%s\n", problem.c_str());
  quern::Scheduler scheduler(queue, zones);
  quern::ScheduleSpec often = quern::schedule_of("often", {.every = 1s}, Report{"ada"});
  often.missed = quern::MissedRuns::skip;
  quern::ScheduleSpec daily = quern::schedule_of(
      "daily", {.cron = "30 9 * * MON-FRI", .except = {"2026-12-24", "2026-12-25"}, .jitter = 2min},
      Report{"grace"});
  daily.when_busy = quern::WhenBusy::skip;
  scheduler.declare(std::vector{often, daily});
  scheduler.start();
  for (const auto& schedule : scheduler.list())
    std::printf("%s: %s\n", schedule.spec.name.c_str(), schedule.description.c_str());

  std::unique_lock lock(mutex);
  const bool done = changed.wait_for(lock, 30s, [&] { return reports >= 3; });
  lock.unlock();
  scheduler.stop();
  processor.stop();
  return done ? 0 : 1;
}
