// How late a scheduler is on an idle machine, and what one costs that has nothing to do.
#include "scheduler.hpp"

#include <quern/scheduler.hpp>
#include <quern/storage/memory_storage.hpp>
#ifdef QUERN_BENCH_SQLITE
#include <quern/sqlite.hpp>
#endif

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <vector>

namespace bench {
namespace {

using namespace std::chrono_literals;

void print(const std::string& name, double value, const char* unit) {
  std::printf("%s\t%.3g\t%s\n", name.c_str(), value, unit);
  std::fflush(stdout);
}

constexpr std::size_t instants = 12;

double median(std::vector<quern::Duration>& late) {
  std::ranges::sort(late);
  return late.empty() ? 0 : static_cast<double>(late[late.size() / 2].count());
}

/// A thread that waits for the same seconds and then adds a job: a machine that has slept for a second is slow at first.
template <class S>
double bare_lateness(S& storage, quern::JobQueue<S>& queue) {
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  std::vector<quern::Duration> late;
  for (std::size_t i = 0; i < instants; ++i) {
    const auto instant = std::chrono::ceil<std::chrono::seconds>(storage.clock().now());
    never.wait_for(lock, instant - storage.clock().now(), [] { return false; });
    queue.enqueue("work", quern::Payload());
    late.push_back(storage.clock().now() - instant);
  }
  return median(late);
}

template <class S>
void lateness(S& storage, const std::string& name) {
  quern::JobQueue queue(storage);
  const double bare = bare_lateness(storage, queue);
  const quern::ZoneDatabase zones;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<quern::Duration> late;
  quern::SchedulerOptions options;
  options.on_event = [&](const quern::ScheduleEvent& event) {
    // As it was when the job was in the storage, and not when the tick began.
    const quern::Duration now = storage.clock().now() - event.run.instant;
    const std::lock_guard lock(mutex);
    late.push_back(now);
    changed.notify_all();
  };
  quern::Scheduler scheduler(queue, zones, options);
  quern::ScheduleSpec spec;
  spec.name = "often";
  spec.kind = "work";
  spec.timing.every = 1s;
  scheduler.create(spec);
  scheduler.start();
  std::unique_lock lock(mutex);
  changed.wait_for(lock, 60s, [&] { return late.size() >= instants; });
  lock.unlock();
  scheduler.stop();
  const double mine = median(late);
  print("schedule.lateness." + name + ".p50.us", mine, "us");
  print("schedule.lateness." + name + ".bare_p50.us", bare, "us");
  print("schedule.lateness." + name + ".ratio_to_bare", bare > 0 ? mine / bare : 0, "ratio");
}

void idle() {
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  const quern::ZoneDatabase zones;
  quern::Scheduler scheduler(queue, zones);
  quern::ScheduleSpec spec;
  spec.kind = "work";
  spec.timing = {.cron = "0 0 1 1 *", .zone = "America/New_York"};
  for (int i = 0; i < 10'000; ++i) {
    spec.name = "s" + std::to_string(i);
    scheduler.create(spec);
  }
  const auto used = [] { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; };
  const double before_load = used();
  scheduler.tick(storage.clock().now());
  print("schedule.load_10k.ms", (used() - before_load) * 1000, "ms");
  scheduler.start();
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  const double before = used();
  never.wait_for(lock, 6s, [] { return false; });
  print("schedule.idle_10k.cpu_us_per_s", (used() - before) / 6 * 1e6, "us/s");
  scheduler.stop();
}

}  // namespace

void scheduler() {
  {
    quern::MemoryStorage storage;
    lateness(storage, "memory");
  }
#ifdef QUERN_BENCH_SQLITE
  const auto file = std::filesystem::temp_directory_path() / "quern-bench-schedule.db";
  for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(file.string() + end);
  {
    quern::SqliteStorage storage(file.string());
    lateness(storage, "sqlite");
  }
  for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(file.string() + end);
#endif
  idle();
}

}  // namespace bench
