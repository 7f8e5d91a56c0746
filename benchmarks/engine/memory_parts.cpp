// What the parts of a job's way cost in memory, alone and with a file behind it, beside the same jobs copied into a
// bare thread pool.

#include <quern/write_behind.hpp>

#include <mutex>
#include <string>

#include "bare_pool.hpp"
#include "engine_parts.hpp"
#include "support.hpp"

namespace bench {
namespace {

constexpr std::size_t callers = 64;

struct Rates {
  double one = 0;
  double many = 0;
  double bulk = 0;
  double drain = 0;
};

Rates pool_rates(const std::vector<SendDigest>& jobs) {
  Rates rates;
  std::atomic<std::int64_t> sum{0};
  const auto task = [&](std::size_t i) {
    return [job = jobs[i], &sum] { sum.fetch_add(job.user_id, std::memory_order_relaxed); };
  };
  for (const std::size_t threads : {std::size_t{1}, callers}) {
    BarePool pool(std::defer_lock);
    (threads == 1 ? rates.one : rates.many) =
        rate_from(threads, jobs.size(), [&](std::size_t i) { pool.post(task(i)); });
    pool.start();
  }
  rates.bulk = rates.one;
  BarePool pool(std::defer_lock);
  Countdown left(jobs.size());
  for (std::size_t i = 0; i < jobs.size(); ++i)
    pool.post([run = task(i), &left] {
      run();
      left.done();
    });
  const Stopwatch watch;
  pool.start();
  left.wait();
  rates.drain = static_cast<double>(jobs.size()) / watch.seconds();
  return rates;
}

/// `with_queue(use)` calls `use(queue)` with a queue on an empty storage.
template <class WithQueue>
Rates engine_rates(const std::vector<SendDigest>& jobs, const WithQueue& with_queue) {
  Rates rates;
  for (const std::size_t threads : {std::size_t{1}, callers}) {
    with_queue([&](auto& queue) {
      (threads == 1 ? rates.one : rates.many) =
          rate_from(threads, jobs.size(), [&](std::size_t i) { queue.enqueue(jobs[i]); });
    });
  }
  with_queue([&](auto& queue) {
    rates.bulk = bulk_rate(queue, jobs, 1000);
    rates.drain = drain_rate(queue, jobs.size(), 0);
  });
  return rates;
}

void add(Figures& figures, const std::string& storage, const Rates& rates, const Rates& floors) {
  const auto part = [&](const std::string& name, double rate, double floor) {
    figures.add(storage + "." + name + ".jobs_per_s", rate, "jobs/s");
    figures.add(storage + "." + name + ".ratio_to_pool", rate / floor, "ratio");
  };
  part("enqueue_1", rates.one, floors.one);
  part("enqueue_64", rates.many, floors.many);
  part("bulk_1000", rates.bulk, floors.bulk);
  part("drain", rates.drain, floors.drain);
}

}  // namespace

void memory_parts(const Settings& settings) {
  std::vector<SendDigest> jobs;
  for (std::size_t i = 0; i < settings.scaled(200'000); ++i) jobs.push_back(digest(i));
  const auto in_memory = [](const auto& use) {
    quern::MemoryStorage storage;
    quern::JobQueue queue(storage);
    use(queue);
  };
  const auto written_behind = [&](const auto& use) {
    const ScratchDatabase file(settings, "parts");
    quern::SqliteStorage durable(file.path());
    quern::WriteBehindStorage storage(durable);
    quern::JobQueue queue(storage);
    use(queue);
  };
  Figures figures;
  for (int round = 0; round < settings.rounds; ++round) {
    const Rates floors = pool_rates(jobs);
    add(figures, "memory", engine_rates(jobs, in_memory), floors);
    add(figures, "write_behind", engine_rates(jobs, written_behind), floors);
  }
  figures.print();
}

}  // namespace bench
