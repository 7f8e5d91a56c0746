// Jobs per second, each beside the same statements in a bare loop, taking turns.

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../engine/engine_parts.hpp"
#include "bare.hpp"
#include "support.hpp"

namespace bench::pg {
namespace {

constexpr std::size_t callers = 16;

std::vector<SendDigest> digests(std::size_t count) {
  std::vector<SendDigest> jobs;
  for (std::size_t i = 0; i < count; ++i) jobs.push_back(digest(i));
  return jobs;
}

std::vector<std::string> texts(const std::vector<SendDigest>& jobs) {
  std::vector<std::string> payloads;
  for (const SendDigest& job : jobs) payloads.emplace_back(quern::Payload::of(job).text());
  return payloads;
}

quern::NodeId node_of(quern::PostgresStorage& storage) {
  return storage.register_node({.name = "bench", .lease = std::chrono::hours(20)});
}

Bare bare_on(const Settings& settings, Scene& scene) {
  return {settings.address, scene.schema(), node_of(scene.storage()).value};
}

double bare_bulk_rate(const Settings& settings, const std::vector<std::string>& payloads, std::size_t batch) {
  Scene scene(settings);
  Bare bare = bare_on(settings, scene);
  const Stopwatch watch;
  for (std::size_t i = 0; i < payloads.size(); i += batch) {
    const std::size_t count = std::min(batch, payloads.size() - i);
    bare.insert(static_cast<std::int64_t>(i + 1), std::span(payloads).subspan(i, count));
  }
  return static_cast<double>(payloads.size()) / watch.seconds();
}

double bare_single_rate(const Settings& settings, const std::vector<std::string>& payloads) {
  Scene scene(settings);
  std::vector<std::unique_ptr<Bare>> connections;
  for (std::size_t i = 0; i < callers; ++i)
    connections.push_back(std::make_unique<Bare>(settings.address, scene.schema(), 1));
  const std::size_t share = payloads.size() / callers;
  return rate_from(callers, payloads.size(), [&](std::size_t i) {
    connections[i / share]->insert(static_cast<std::int64_t>(i + 1), std::span(payloads).subspan(i, 1));
  });
}

double single_rate(const Settings& settings, const std::vector<SendDigest>& jobs) {
  Scene scene(settings);
  quern::JobQueue queue(scene.storage());
  return rate_from(callers, jobs.size(), [&](std::size_t i) { queue.enqueue(jobs[i]); });
}

double claim_finish_rate(const Settings& settings, std::size_t count, std::size_t batch) {
  Scene scene(settings);
  fill(scene.storage(), count);
  const auto wanted = request(node_of(scene.storage()), batch);
  std::size_t done = 0;
  const Stopwatch watch;
  while (true) {
    const auto claims = scene.storage().claim(wanted);
    if (claims.empty()) break;
    complete(scene.storage(), claims);
    done += claims.size();
  }
  const double seconds = watch.seconds();
  if (done != count) throw std::runtime_error("not all jobs were claimed");
  return static_cast<double>(count) / seconds;
}

double bare_claim_finish_rate(const Settings& settings, std::size_t count, std::size_t batch) {
  Scene scene(settings);
  fill(scene.storage(), count);
  Bare bare = bare_on(settings, scene);
  std::size_t done = 0;
  const Stopwatch watch;
  while (const std::size_t got = bare.claim(static_cast<int>(batch))) {
    bare.finish();
    done += got;
  }
  const double seconds = watch.seconds();
  if (done != count) throw std::runtime_error("the bare loop has not claimed all jobs");
  return static_cast<double>(count) / seconds;
}

double bare_e2e_rate(const Settings& settings, const std::vector<std::string>& payloads, std::size_t batch) {
  Scene scene(settings);
  Bare bare = bare_on(settings, scene);
  const Stopwatch watch;
  for (std::size_t i = 0; i < payloads.size(); i += batch) {
    const std::size_t count = std::min(batch, payloads.size() - i);
    bare.insert(static_cast<std::int64_t>(i + 1), std::span(payloads).subspan(i, count));
    if (bare.claim(static_cast<int>(batch)) != count) throw std::runtime_error("a claim got too few");
    bare.finish();
  }
  return static_cast<double>(payloads.size()) / watch.seconds();
}

struct LeastRates {
  double bulk = 0;
  double claim_finish = 0;
};
/// All are inserted, then all worked off, so many at a time.
LeastRates least_rates(const Settings& settings, const std::vector<std::string>& payloads,
                       std::size_t batch) {
  Scene scene(settings);
  LeastSql least(settings.address, scene.schema());
  const auto count = static_cast<double>(payloads.size());
  LeastRates rates;
  const Stopwatch inserting;
  for (std::size_t i = 0; i < payloads.size(); i += batch)
    least.insert(std::span(payloads).subspan(i, std::min(batch, payloads.size() - i)));
  rates.bulk = count / inserting.seconds();
  std::size_t done = 0;
  const Stopwatch watch;
  while (const std::size_t got = least.claim(static_cast<int>(batch))) {
    least.finish();
    done += got;
  }
  rates.claim_finish = count / watch.seconds();
  if (done != payloads.size()) throw std::runtime_error("the least SQL has not claimed all jobs");
  return rates;
}

/// Enqueued and worked off by a processor meanwhile, with handlers.
double engine_e2e_rate(const Settings& settings, const std::vector<SendDigest>& jobs, std::size_t batch) {
  Scene scene(settings);
  quern::JobQueue queue(scene.storage());
  Countdown left(jobs.size());
  auto handlers = quern::HandlerRegistry().on<SendDigest>([&](const SendDigest&) { left.done(); });
  quern::Processor processor(queue, handlers, {.max_concurrent_jobs = static_cast<int>(batch)});
  processor.start();
  const Stopwatch watch;
  enqueue(queue, jobs, batch);
  left.wait();
  const double seconds = watch.seconds();
  processor.stop();
  expect_completed(queue);
  return static_cast<double>(jobs.size()) / seconds;
}

void compare(Figures& figures, const std::string& name, double rate, double bare) {
  figures.add(name + ".jobs_per_s", rate, "jobs/s");
  figures.add(name + ".bare_jobs_per_s", bare, "jobs/s");
  figures.add(name + ".ratio_to_bare", rate / bare, "ratio");
}

}  // namespace

void insert(const Settings& settings) {
  const auto jobs = digests(settings.scaled(50'000));
  const auto payloads = texts(jobs);
  const std::vector<SendDigest> few(jobs.begin(),
                                    jobs.begin() + static_cast<std::ptrdiff_t>(jobs.size() / 5));
  const std::vector<std::string> few_payloads = texts(few);
  Figures figures;
  for (int round = 0; round < settings.rounds; ++round) {
    for (const std::size_t batch : {std::size_t{1000}, std::size_t{100}}) {
      const double bare = bare_bulk_rate(settings, payloads, batch);
      Scene scene(settings);
      quern::JobQueue queue(scene.storage());
      compare(figures, "postgres.insert_" + std::to_string(batch), bulk_rate(queue, jobs, batch), bare);
    }
    const double bare = bare_single_rate(settings, few_payloads);
    compare(figures, "postgres.insert_1", single_rate(settings, few), bare);
  }
  figures.print();
}

void claim_finish(const Settings& settings) {
  const std::size_t count = settings.scaled(50'000);
  Figures figures;
  for (int round = 0; round < settings.rounds; ++round) {
    for (const std::size_t batch : {std::size_t{100}, std::size_t{1}}) {
      const std::size_t share = batch == 1 ? count / 20 : count;
      const double bare = bare_claim_finish_rate(settings, share, batch);
      compare(figures, "postgres.claim_finish_" + std::to_string(batch),
              claim_finish_rate(settings, share, batch), bare);
    }
  }
  figures.print();
}

void e2e(const Settings& settings) {
  const auto jobs = digests(settings.scaled(50'000));
  const auto payloads = texts(jobs);
  Figures figures;
  for (int round = 0; round < settings.rounds; ++round) {
    const double bare = bare_e2e_rate(settings, payloads, 500);
    compare(figures, "postgres.e2e_500", engine_e2e_rate(settings, jobs, 500), bare);
  }
  figures.print();
}

/// A backlog, worked off by a processor with so many slots.
void drain(const Settings& settings) {
  Figures figures;
  for (int round = 0; round < settings.rounds; ++round) {
    for (const int slots : {500, 1}) {
      const std::size_t count = settings.scaled(slots == 1 ? 2'500 : 50'000);
      Scene scene(settings);
      quern::JobQueue queue(scene.storage());
      fill(scene.storage(), count);
      figures.add("postgres.drain_" + std::to_string(slots) + ".jobs_per_s", drain_rate(queue, count, slots),
                  "jobs/s");
    }
  }
  figures.print();
}

/// The least SQL that does it, for how much all the rest costs.
void least(const Settings& settings) {
  const auto payloads = texts(digests(settings.scaled(50'000)));
  Figures figures;
  for (int round = 0; round < settings.rounds; ++round) {
    for (const std::size_t batch : {std::size_t{100}, std::size_t{500}}) {
      const LeastRates least = least_rates(settings, payloads, batch);
      const double e2e = 1 / (1 / least.bulk + 1 / least.claim_finish);
      const std::string size = std::to_string(batch);
      figures.add("postgres.least_sql.insert_" + size + ".jobs_per_s", least.bulk, "jobs/s");
      figures.add("postgres.least_sql.claim_finish_" + size + ".jobs_per_s", least.claim_finish, "jobs/s");
      figures.add("postgres.least_sql.e2e_" + size + ".jobs_per_s", e2e, "jobs/s");
      const double storage = claim_finish_rate(settings, payloads.size(), batch);
      figures.add("postgres.claim_finish_" + size + ".ratio_to_least_sql", storage / least.claim_finish,
                  "ratio");
    }
  }
  figures.print();
}

}  // namespace bench::pg
