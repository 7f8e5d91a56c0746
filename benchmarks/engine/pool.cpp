// What a WorkerPool costs beside a Processor with as many slots, and how its balancers spread short and long jobs.

#include <quern/worker_pool.hpp>

#include <algorithm>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine_parts.hpp"
#include "support.hpp"

namespace bench {
namespace {

constexpr std::size_t workers = 8;
constexpr int slots_of_each = 4;
/// One job in so many takes long.
constexpr std::size_t one_in = 10;
constexpr auto long_job = std::chrono::milliseconds(5);

struct Balancing {
  std::string name;
  std::function<quern::Balancer()> make;
};

std::vector<Balancing> balancings() {
  return {{"round_robin", quern::balancing::round_robin},
          {"least_loaded", quern::balancing::least_loaded},
          {"weighted", quern::balancing::weighted},
          {"kind_affinity", quern::balancing::kind_affinity},
          {"resource_fit", quern::balancing::resource_fit}};
}

struct Drained {
  double jobs_per_s = 0;
  double unevenness = 1;  // the busiest worker's busy time, of the mean
};

/// Works off `jobs`; those whose number is a multiple of `one_in` take `takes`. Without a balancer a Processor does it.
Drained drain_mixed(const std::vector<SendDigest>& jobs, std::chrono::milliseconds takes,
                    const std::optional<Balancing>& balancing) {
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  enqueue(queue, jobs, 1000);
  auto handlers = quern::HandlerRegistry().on<SendDigest>([&](const SendDigest& job) {
    if (takes.count() > 0 && static_cast<std::size_t>(job.user_id) % one_in == 0)
      std::this_thread::sleep_for(takes);
  });
  Drained drained;
  const auto timed = [&](auto& processor) {
    const Stopwatch watch;
    processor.run_until_idle();
    drained.jobs_per_s = static_cast<double>(jobs.size()) / watch.seconds();
  };
  if (!balancing) {
    quern::Processor processor(queue, handlers,
                               {.max_concurrent_jobs = static_cast<int>(workers) * slots_of_each});
    timed(processor);
  } else {
    quern::PoolOptions options;
    options.workers.resize(workers);
    for (auto& worker : options.workers) worker.max_jobs = slots_of_each;
    options.balancing = balancing->make();
    quern::WorkerPool pool(queue, handlers, std::move(options));
    timed(pool.processor());
    double most = 0;
    double sum = 0;
    for (const auto& worker : pool.workers()) {
      const double busy = std::chrono::duration<double>(worker.busy).count();
      most = std::max(most, busy);
      sum += busy;
    }
    drained.unevenness = most / (sum / workers);
  }
  expect_completed(queue);
  return drained;
}

}  // namespace

void pool(const Settings& settings) {
  std::vector<SendDigest> many;
  for (std::size_t i = 0; i < settings.scaled(200'000); ++i) many.push_back(digest(i));
  std::vector<SendDigest> mixed(many.begin(),
                                many.begin() + static_cast<std::ptrdiff_t>(settings.scaled(20'000)));
  Figures figures;
  for (int round = 0; round < settings.rounds; ++round) {
    const double empty = drain_mixed(many, {}, std::nullopt).jobs_per_s;
    const double both = drain_mixed(mixed, long_job, std::nullopt).jobs_per_s;
    figures.add("pool.processor.empty.jobs_per_s", empty, "jobs/s");
    figures.add("pool.processor.mixed.jobs_per_s", both, "jobs/s");
    for (const Balancing& balancing : balancings()) {
      const std::string name = "pool." + balancing.name;
      figures.add(name + ".empty.ratio_to_processor", drain_mixed(many, {}, balancing).jobs_per_s / empty,
                  "ratio");
      const Drained drained = drain_mixed(mixed, long_job, balancing);
      figures.add(name + ".mixed.ratio_to_processor", drained.jobs_per_s / both, "ratio");
      figures.add(name + ".mixed.busiest_of_mean", drained.unevenness, "ratio");
    }
  }
  figures.print();
}

}  // namespace bench
