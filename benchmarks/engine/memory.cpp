// The engine in memory beside a bare thread pool: a mutex, a deque of std::function, two threads, the same
// job copied into each.

#include <malloc.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "bare_pool.hpp"
#include "support.hpp"

namespace bench {
namespace {

double pool_rate(const std::vector<SendDigest>& jobs) {
  Countdown left(jobs.size());
  std::atomic<std::int64_t> sum{0};
  const Stopwatch watch;
  {
    BarePool pool;
    for (const SendDigest& job : jobs)
      pool.post([job, &left, &sum] {
        sum.fetch_add(job.user_id, std::memory_order_relaxed);
        left.done();
      });
    left.wait();
  }
  return static_cast<double>(jobs.size()) / watch.seconds();
}

/// From the first enqueue to the last end, with a processor at work all the while.
double engine_rate(const std::vector<SendDigest>& jobs, std::size_t batch) {
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  Countdown left(jobs.size());
  std::atomic<std::int64_t> sum{0};
  auto handlers = quern::HandlerRegistry().on<SendDigest>([&](const SendDigest& job) {
    sum.fetch_add(job.user_id, std::memory_order_relaxed);
    left.done();
  });
  quern::Processor processor(queue, handlers);
  processor.start();
  const Stopwatch watch;
  if (batch == 1) {
    for (const SendDigest& job : jobs) queue.enqueue(job);
  } else {
    for (std::size_t i = 0; i < jobs.size(); i += batch)
      queue.enqueue_all(std::span(jobs).subspan(i, std::min(batch, jobs.size() - i)));
  }
  left.wait();
  const double seconds = watch.seconds();
  processor.stop();
  for (const auto& count : queue.count())
    if (count.state != quern::JobState::completed) throw std::runtime_error("a job was left over");
  return static_cast<double>(jobs.size()) / seconds;
}

/// Microseconds from a hand-over to a thread that waits on a condition variable.
std::vector<double> condvar_waits(int count) {
  std::mutex mutex;
  std::condition_variable wake;
  std::optional<std::chrono::steady_clock::time_point> sent;
  bool stop = false;
  std::vector<double> waits;
  std::jthread receiver([&] {
    std::unique_lock lock(mutex);
    while (true) {
      wake.wait(lock, [&] { return stop || sent; });
      if (!sent) return;
      waits.push_back(
          std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - *sent).count());
      sent.reset();
    }
  });
  for (int i = 0; i < count; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    {
      const std::lock_guard lock(mutex);
      sent = std::chrono::steady_clock::now();
    }
    wake.notify_one();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  {
    const std::lock_guard lock(mutex);
    stop = true;
  }
  wake.notify_one();
  receiver.join();
  return waits;
}

std::vector<double> engine_waits(int count) {
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  std::vector<std::chrono::steady_clock::time_point> sent(static_cast<std::size_t>(count));
  std::vector<double> waits(sent.size());
  Countdown left(sent.size());
  auto handlers = quern::HandlerRegistry().on<SendDigest>([&](const SendDigest& job) {
    const auto i = static_cast<std::size_t>(job.user_id - 1'000'000);
    waits[i] = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - sent[i]).count();
    left.done();
  });
  quern::Processor processor(queue, handlers);
  processor.start();
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const SendDigest job = digest(i);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    sent[i] = std::chrono::steady_clock::now();
    queue.enqueue(job);
  }
  left.wait();
  processor.stop();
  return waits;
}

std::size_t allocated() {
  const auto info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace

void memory(const Settings& settings) {
  std::vector<SendDigest> jobs;
  for (std::size_t i = 0; i < settings.scaled(200'000); ++i) jobs.push_back(digest(i));
  std::vector<double> pools, singles, batches, single_ratios, batch_ratios;
  for (int round = 0; round < settings.rounds; ++round) {
    pools.push_back(pool_rate(jobs));
    singles.push_back(engine_rate(jobs, 1));
    batches.push_back(engine_rate(jobs, 128));
    single_ratios.push_back(singles.back() / pools.back());
    batch_ratios.push_back(batches.back() / pools.back());
  }
  print("memory.pool.jobs_per_s", median(pools), "jobs/s");
  print("memory.e2e_single.jobs_per_s", median(singles), "jobs/s");
  print("memory.e2e_single.ratio_to_pool", median(single_ratios), "ratio");
  print("memory.e2e_batch.jobs_per_s", median(batches), "jobs/s");
  print("memory.e2e_batch.ratio_to_pool", median(batch_ratios), "ratio");
}

void memory_latency(const Settings& settings) {
  std::vector<double> p50s, p99s, ratios;
  const int count = static_cast<int>(settings.scaled(2'000));
  for (int round = 0; round < settings.rounds; ++round) {
    const double floor = quantile(condvar_waits(count), 0.5);
    const auto waits = engine_waits(count);
    p50s.push_back(quantile(waits, 0.5));
    p99s.push_back(quantile(waits, 0.99));
    ratios.push_back(p50s.back() / floor);
  }
  print("memory.latency_p50.us", median(p50s), "us");
  print("memory.latency_p99.us", median(p99s), "us");
  print("memory.latency_p50.ratio_to_condvar", median(ratios), "ratio");
}

void memory_overhead(const Settings& settings) {
  const std::size_t count = settings.scaled(1'000'000);
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  std::size_t payload = 0;
  const std::size_t before = allocated();
  for (std::size_t i = 0; i < count; i += 1000) {
    std::vector<SendDigest> jobs;
    for (std::size_t k = 0; k < 1000; ++k) {
      jobs.push_back(digest(i + k));
      payload += quern::Payload::of(jobs.back()).bytes().size();  // as the storage keeps it
    }
    queue.enqueue_all(jobs);
  }
  const double all = static_cast<double>(allocated() - before);
  print("memory.payload.bytes_per_job", static_cast<double>(payload) / static_cast<double>(count), "bytes");
  print("memory.overhead.bytes_per_job", (all - static_cast<double>(payload)) / static_cast<double>(count),
        "bytes");
}

}  // namespace bench
