// The whole engine on a SQLite file: a backlog worked off, and how soon a job starts.

#include <atomic>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "support.hpp"

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

/// Jobs per second of a processor that works off a backlog with a handler that does nothing.
double drain_rate(const Settings& settings, std::size_t count) {
  const ScratchDatabase file(settings, "drain");
  quern::SqliteStorage storage(file.path());
  quern::JobQueue queue(storage);
  for (std::size_t i = 0; i < count; i += 1000) {
    std::vector<SendDigest> jobs;
    for (std::size_t k = i; k < std::min(i + 1000, count); ++k) jobs.push_back(digest(k));
    queue.enqueue_all(jobs);
  }
  std::atomic<std::size_t> done{0};
  auto handlers = quern::HandlerRegistry().on<SendDigest>([&](const SendDigest&) { ++done; });
  quern::Processor processor(queue, handlers, {.max_concurrent_jobs = 1000});
  const Stopwatch watch;
  processor.run_until_idle();
  const double seconds = watch.seconds();
  if (done != count) throw std::runtime_error("not all jobs ran");
  return static_cast<double>(count) / seconds;
}

/// Microseconds from the begin of an enqueue to the begin of its handler. `elsewhere`: enqueued through a
/// storage object of its own, as another process would.
std::vector<double> waits(const Settings& settings, int count, bool elsewhere,
                          std::chrono::milliseconds gap) {
  const ScratchDatabase file(settings, "latency");
  quern::SqliteStorage storage(file.path());
  quern::SqliteStorage other(file.path());
  quern::JobQueue queue(storage);
  quern::JobQueue outside(other);
  std::vector<Clock::time_point> sent(static_cast<std::size_t>(count));
  std::vector<double> waits(sent.size());
  std::atomic<std::size_t> done{0};
  auto handlers = quern::HandlerRegistry().on<SendDigest>([&](const SendDigest& job) {
    const auto i = static_cast<std::size_t>(job.user_id - 1'000'000);
    waits[i] = std::chrono::duration<double, std::micro>(Clock::now() - sent[i]).count();
    ++done;
    done.notify_all();
  });
  quern::Processor processor(queue, handlers);
  processor.start();
  for (std::size_t i = 0; i < sent.size(); ++i) {
    std::this_thread::sleep_for(gap);
    sent[i] = Clock::now();
    (elsewhere ? outside : queue).enqueue(digest(i));
    for (std::size_t seen = done; seen <= i; seen = done) done.wait(seen);
  }
  processor.stop();
  return waits;
}

}  // namespace

void sqlite_drain(const Settings& settings) {
  std::vector<double> rates;
  for (int round = 0; round < settings.rounds; ++round)
    rates.push_back(drain_rate(settings, settings.scaled(50'000)));
  print("sqlite.drain.jobs_per_s", median(rates), "jobs/s");
}

void sqlite_latency(const Settings& settings) {
  using namespace std::chrono_literals;
  const int count = static_cast<int>(settings.scaled(500));
  const auto here = waits(settings, count, false, 2ms);
  print("sqlite.latency_p50.us", quantile(here, 0.5), "us");
  print("sqlite.latency_p99.us", quantile(here, 0.99), "us");
  // The gap is no multiple of the interval at which changes are looked for.
  const auto elsewhere = waits(settings, count / 5, true, 37ms);
  print("sqlite.latency_elsewhere_p50.us", quantile(elsewhere, 0.5), "us");
  print("sqlite.latency_elsewhere_p99.us", quantile(elsewhere, 0.99), "us");
}

}  // namespace bench
