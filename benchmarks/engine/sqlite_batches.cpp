// The engine on a SQLite file beside the raw floor: the same bytes through one prepared INSERT in one transaction,
// on the same disk.

#include "engine_parts.hpp"
#include "floors.hpp"
#include "support.hpp"

namespace bench {
namespace {

struct Rates {
  double bulk = 0;   ///< All jobs are enqueued, a batch at a time, each in a durable transaction.
  double drain = 0;  ///< Then all are worked off, with as many slots.
  double e2e = 0;    ///< Both.
};

Rates engine_rates(const Settings& settings, const std::vector<SendDigest>& jobs, std::size_t batch) {
  const ScratchDatabase file(settings, "batches");
  quern::SqliteStorage storage(file.path());
  quern::JobQueue queue(storage);
  Rates rates;
  rates.bulk = bulk_rate(queue, jobs, batch);
  rates.drain = drain_rate(queue, jobs.size(), static_cast<int>(batch));
  rates.e2e = 1 / (1 / rates.bulk + 1 / rates.drain);
  return rates;
}

}  // namespace

void sqlite_batches(const Settings& settings) {
  std::vector<SendDigest> jobs;
  for (std::size_t i = 0; i < settings.scaled(50'000); ++i) jobs.push_back(digest(i));
  Figures figures;
  for (int round = 0; round < settings.rounds; ++round) {
    const double floor = sqlite_floor_rate(settings, jobs.size());
    figures.add("sqlite.floor.jobs_per_s", floor, "jobs/s");
    for (const std::size_t batch : {std::size_t{1000}, std::size_t{100}}) {
      const Rates rates = engine_rates(settings, jobs, batch);
      const std::string size = std::to_string(batch);
      figures.add("sqlite.bulk_" + size + ".jobs_per_s", rates.bulk, "jobs/s");
      figures.add("sqlite.bulk_" + size + ".ratio_to_floor", rates.bulk / floor, "ratio");
      figures.add("sqlite.drain_" + size + ".jobs_per_s", rates.drain, "jobs/s");
      figures.add("sqlite.drain_" + size + ".ratio_to_floor", rates.drain / floor, "ratio");
      figures.add("sqlite.e2e_" + size + ".jobs_per_s", rates.e2e, "jobs/s");
      figures.add("sqlite.e2e_" + size + ".ratio_to_floor", rates.e2e / floor, "ratio");
      if (batch == 1000) figures.add("sqlite.drain.jobs_per_s", rates.drain, "jobs/s");
    }
  }
  figures.print();
}

void sqlite_latency(const Settings& settings) {
  using namespace std::chrono_literals;
  const std::size_t count = settings.scaled(500);
  const ScratchDatabase file(settings, "latency");
  quern::SqliteStorage storage(file.path());
  quern::JobQueue queue(storage);
  const auto here = start_waits(queue, queue, count, 2ms);
  print("sqlite.latency_p50.us", quantile(here, 0.5), "us");
  print("sqlite.latency_p99.us", quantile(here, 0.99), "us");
  // Through a storage object of its own, as another process would. The pause is no multiple of the interval at
  // which changes may be looked for.
  quern::SqliteStorage other(file.path());
  quern::JobQueue outside(other);
  const auto elsewhere = start_waits(queue, outside, count / 5, 37ms);
  print("sqlite.latency_elsewhere_p50.us", quantile(elsewhere, 0.5), "us");
  print("sqlite.latency_elsewhere_p99.us", quantile(elsewhere, 0.99), "us");
}

}  // namespace bench
