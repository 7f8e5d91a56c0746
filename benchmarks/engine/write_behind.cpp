// The engine in memory with a SQLite file behind it (synchronous=FULL): beside a bare thread pool, since it is to be
// as fast as memory, and its writes beside the raw floor of the database.

#include <quern/write_behind.hpp>

#include <string>
#include <utility>

#include "engine_parts.hpp"
#include "floors.hpp"
#include "support.hpp"

namespace bench {
namespace {

struct EndToEnd {
  double jobs_per_s = 0;     ///< From the first enqueue to the last end.
  double durable_per_s = 0;  ///< ... and until all of that is in the file.
};

EndToEnd end_to_end(const Settings& settings, const std::vector<SendDigest>& jobs, std::size_t batch) {
  const ScratchDatabase file(settings, "behind");
  quern::SqliteStorage durable(file.path());
  quern::WriteBehindStorage storage(durable);
  quern::JobQueue queue(storage);
  EndToEnd rates;
  const Stopwatch watch;
  rates.jobs_per_s = e2e_rate(queue, jobs, batch);
  storage.write();
  rates.durable_per_s = static_cast<double>(jobs.size()) / watch.seconds();
  return rates;
}

/// Jobs per second of a write, of jobs that were added and have ended since the last one.
double write_rate(const Settings& settings, const std::vector<SendDigest>& jobs, bool ended) {
  const ScratchDatabase file(settings, "behind");
  quern::SqliteStorage durable(file.path());
  quern::WriteBehindStorage storage(durable, {.max_unwritten = 1U << 30U, .thread = false});
  quern::JobQueue queue(storage);
  bulk_rate(queue, jobs, 1000);
  if (ended) drain_rate(queue, jobs.size(), 1000);
  const Stopwatch watch;
  storage.write();
  return static_cast<double>(jobs.size()) / watch.seconds();
}

/// Of jobs that the file knows as ready, and that have ended since.
double rewrite_rate(const Settings& settings, const std::vector<SendDigest>& jobs) {
  const ScratchDatabase file(settings, "behind");
  quern::SqliteStorage durable(file.path());
  quern::WriteBehindStorage storage(durable, {.max_unwritten = 1U << 30U, .thread = false});
  quern::JobQueue queue(storage);
  bulk_rate(queue, jobs, 1000);
  storage.write();
  drain_rate(queue, jobs.size(), 1000);
  const Stopwatch watch;
  storage.write();
  return static_cast<double>(jobs.size()) / watch.seconds();
}

double restore_rate(const Settings& settings, const std::vector<SendDigest>& jobs) {
  const ScratchDatabase file(settings, "behind");
  {
    quern::SqliteStorage durable(file.path());
    quern::JobQueue queue(durable);
    bulk_rate(queue, jobs, 1000);
  }
  quern::SqliteStorage durable(file.path());
  const Stopwatch watch;
  const quern::WriteBehindStorage storage(durable, {.thread = false});
  return static_cast<double>(jobs.size()) / watch.seconds();
}

std::vector<double> latencies(const Settings& settings) {
  const ScratchDatabase file(settings, "behind");
  quern::SqliteStorage durable(file.path());
  quern::WriteBehindStorage storage(durable);
  quern::JobQueue queue(storage);
  return start_waits(queue, queue, settings.scaled(1000), std::chrono::milliseconds(1));
}

}  // namespace

void write_behind(const Settings& settings) {
  std::vector<SendDigest> jobs;
  for (std::size_t i = 0; i < settings.scaled(200'000); ++i) jobs.push_back(digest(i));
  std::vector<SendDigest> fewer(jobs.begin(), jobs.begin() + static_cast<std::ptrdiff_t>(jobs.size() / 4));
  Figures figures;
  for (int round = 0; round < settings.rounds; ++round) {
    const double pool = pool_rate(jobs);
    const double floor = sqlite_floor_rate(settings, fewer.size());
    for (const auto& [name, batch] :
         {std::pair{"single", std::size_t{1}}, std::pair{"batch", std::size_t{128}}}) {
      const EndToEnd rates = end_to_end(settings, jobs, batch);
      const std::string figure = std::string("write_behind.e2e_") + name;
      figures.add(figure + ".jobs_per_s", rates.jobs_per_s, "jobs/s");
      figures.add(figure + ".ratio_to_pool", rates.jobs_per_s / pool, "ratio");
      figures.add(figure + "_durable.jobs_per_s", rates.durable_per_s, "jobs/s");
    }
    figures.add("write_behind.write_ready.ratio_to_floor", write_rate(settings, fewer, false) / floor,
                "ratio");
    figures.add("write_behind.write_ended.ratio_to_floor", write_rate(settings, fewer, true) / floor,
                "ratio");
    figures.add("write_behind.rewrite.ratio_to_floor", rewrite_rate(settings, fewer) / floor, "ratio");
    const std::vector<double> waits = latencies(settings);
    figures.add("write_behind.latency_p50.us", quantile(waits, 0.5), "us");
    figures.add("write_behind.latency_p99.us", quantile(waits, 0.99), "us");
    figures.add("write_behind.restore.jobs_per_s", restore_rate(settings, fewer), "jobs/s");
  }
  figures.print();
}

}  // namespace bench
