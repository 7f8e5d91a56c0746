// The engine in memory beside a bare thread pool.

#include <malloc.h>

#include "engine_parts.hpp"
#include "floors.hpp"
#include "support.hpp"

namespace bench {
namespace {

double engine_rate(const std::vector<SendDigest>& jobs, std::size_t batch) {
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  return e2e_rate(queue, jobs, batch);
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
    quern::MemoryStorage storage;
    quern::JobQueue queue(storage);
    const auto waits =
        start_waits(queue, queue, static_cast<std::size_t>(count), std::chrono::milliseconds(1));
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
