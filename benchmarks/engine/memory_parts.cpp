// What the parts of a job's way cost in memory, beside the same jobs copied into a bare thread pool.

#include <latch>
#include <stdexcept>
#include <string>
#include <thread>

#include "bare_pool.hpp"
#include "support.hpp"

namespace bench {
namespace {

constexpr std::size_t callers = 64;

/// Jobs per second that so many threads hand over, one by one, each its share.
template <class HandOver>
double rate_from(std::size_t threads, std::size_t count, const HandOver& hand_over) {
  const std::size_t share = count / threads;
  std::latch ready(static_cast<std::ptrdiff_t>(threads));
  std::latch begin(1);
  std::vector<std::jthread> all;
  for (std::size_t t = 0; t < threads; ++t)
    all.emplace_back([&, t] {
      ready.count_down();
      begin.wait();
      for (std::size_t i = t * share; i < (t + 1) * share; ++i) hand_over(i);
    });
  ready.wait();
  const Stopwatch watch;
  begin.count_down();
  all.clear();  // waits for them
  return static_cast<double>(share * threads) / watch.seconds();
}

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

Rates engine_rates(const std::vector<SendDigest>& jobs) {
  Rates rates;
  for (const std::size_t threads : {std::size_t{1}, callers}) {
    quern::MemoryStorage storage;
    quern::JobQueue queue(storage);
    (threads == 1 ? rates.one : rates.many) =
        rate_from(threads, jobs.size(), [&](std::size_t i) { queue.enqueue(jobs[i]); });
  }
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  constexpr std::size_t batch = 1000;
  const Stopwatch bulk;
  for (std::size_t i = 0; i < jobs.size(); i += batch)
    queue.enqueue_all(std::span(jobs).subspan(i, std::min(batch, jobs.size() - i)));
  rates.bulk = static_cast<double>(jobs.size()) / bulk.seconds();

  Countdown left(jobs.size());
  std::atomic<std::int64_t> sum{0};
  auto handlers = quern::HandlerRegistry().on<SendDigest>([&](const SendDigest& job) {
    sum.fetch_add(job.user_id, std::memory_order_relaxed);
    left.done();
  });
  quern::Processor processor(queue, handlers);
  const Stopwatch drain;
  processor.start();
  left.wait();
  rates.drain = static_cast<double>(jobs.size()) / drain.seconds();
  processor.stop();
  for (const auto& count : queue.count())
    if (count.state != quern::JobState::completed) throw std::runtime_error("a job was left over");
  return rates;
}

}  // namespace

void memory_parts(const Settings& settings) {
  std::vector<SendDigest> jobs;
  for (std::size_t i = 0; i < settings.scaled(200'000); ++i) jobs.push_back(digest(i));
  std::vector<Rates> floors;
  std::vector<Rates> engines;
  for (int round = 0; round < settings.rounds; ++round) {
    floors.push_back(pool_rates(jobs));
    engines.push_back(engine_rates(jobs));
  }
  const auto report = [&](const std::string& name, double Rates::* part) {
    std::vector<double> rates;
    std::vector<double> ratios;
    for (std::size_t i = 0; i < engines.size(); ++i) {
      rates.push_back(engines[i].*part);
      ratios.push_back(engines[i].*part / floors[i].*part);
    }
    print("memory." + name + ".jobs_per_s", median(rates), "jobs/s");
    print("memory." + name + ".ratio_to_pool", median(ratios), "ratio");
  };
  report("enqueue_1", &Rates::one);
  report("enqueue_64", &Rates::many);
  report("bulk_1000", &Rates::bulk);
  report("drain", &Rates::drain);
}

}  // namespace bench
