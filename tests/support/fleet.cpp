// Empty where quern is built without PostgreSQL.
#if defined(QUERN_TEST_POSTGRES)
#include "support/fleet.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "quern/postgres.hpp"
#include "support/fleet_evidence.hpp"

namespace quern_test {
namespace {

using namespace std::chrono_literals;

/// Commits wait for the log, or a crash of the server would lose what was acknowledged; a short log, so that it
/// recovers soon.
constexpr const char* settings =
    "synchronous_commit=on checkpoint_timeout=30s max_wal_size=512MB deadlock_timeout=200ms";

constexpr std::size_t proxies_of_workers = 2;

}  // namespace

Fleet::Fleet(FleetOptions options) : options_(std::move(options)), server_(settings), schema_("fleet") {
  server_.run(evidence_tables());
  {
    const quern::PostgresStorage first(server_.address(), {.schema = schema_});
  }
  for (std::size_t i = 0; i <= proxies_of_workers; ++i)
    proxies_.push_back(std::make_unique<ProxyThread>(server_.port()));
  workers_.resize(static_cast<std::size_t>(options_.workers));
  for (Worker& worker : workers_) start(worker);
  quern::Random random(options_.seed);
  for (int i = 1; i <= options_.producers; ++i) {
    producers_.push_back(
        std::make_unique<FleetProducer>(FleetProducer::Options{.address = proxies_.back()->proxy.address(),
                                                               .schema = schema_,
                                                               .number = static_cast<std::uint64_t>(i),
                                                               .seed = random.next(),
                                                               .batch = options_.batch,
                                                               .plain = options_.plain_jobs,
                                                               .patience = 2 * options_.lease,
                                                               .pause = options_.producer_pause},
                                        waiting_, options_.most_waiting));
  }
}

Fleet::~Fleet() = default;

void Fleet::start(Worker& worker) {
  const auto place = static_cast<std::size_t>(&worker - workers_.data());
  const std::string address =
      place % 3 == 2 ? server_.address() : proxies_[place % 3 % proxies_of_workers]->proxy.address();
  worker.number = ++processes_;
  worker.paused = false;
  const std::vector<std::string> command{options_.program,
                                         address,
                                         server_.address(),
                                         schema_,
                                         std::to_string(worker.number),
                                         std::to_string(options_.lease.count()),
                                         std::to_string(options_.poll.count()),
                                         std::to_string(options_.slots)};
  worker.process = std::make_unique<ChildProcess>(command);
}

void Fleet::look() {
  ++looks_;
  // One statement, so one snapshot.
  const std::string seen = server_.run(fmt::format(
      "WITH claimed AS MATERIALIZED (SELECT i.id, c.lane FROM {0}.claim c CROSS JOIN LATERAL unnest(c.ids) "
      "i(id)), "
      "live AS MATERIALIZED (SELECT id, lane FROM claimed UNION ALL "
      "SELECT i.id, r.lane FROM {0}.ready r CROSS JOIN LATERAL unnest(r.ids) i(id) UNION ALL "
      "SELECT id, lane FROM {0}.sched), "
      "keyed AS (SELECT j.unique_key FROM live v JOIN {0}.lane l ON l.id = v.lane AND l.kind = 'keyed' "
      "JOIN {0}.job j ON j.id = v.id) "
      "SELECT concat_ws(';', (SELECT count(*) FROM live), "
      "(SELECT string_agg(DISTINCT 'job ' || id || ' stands in two places', ', ') "
      "FROM (SELECT id FROM live GROUP BY id HAVING count(*) > 1) z), "
      "(SELECT string_agg('key ' || unique_key || ' is held by two live jobs', ', ') "
      "FROM (SELECT unique_key FROM keyed GROUP BY 1 HAVING count(*) > 1) z))",
      schema_));
  const auto end = seen.find(';');
  waiting_ = std::strtoull(seen.c_str(), nullptr, 10);
  if (end != std::string::npos) trouble_.push_back("seen: " + seen.substr(end + 1));
  for (Worker& worker : workers_) {
    if (!worker.process || !worker.process->wait_for(0ms)) continue;
    trouble_.push_back(
        fmt::format("worker {} ended by itself, exit code {}", worker.number, worker.process->exit_code()));
    start(worker);
  }
}

std::uint64_t Fleet::added() const {
  std::uint64_t added = 0;
  for (const auto& producer : producers_) added += producer->added();
  return added;
}

std::uint64_t Fleet::in_doubt() const {
  std::uint64_t count = 0;
  for (const auto& producer : producers_) count += producer->in_doubt();
  return count;
}

/// Until no job waits or runs.
void Fleet::drain() {
  std::uint64_t least = UINT64_MAX;
  auto until = std::chrono::steady_clock::now() + options_.patience;
  for (look(); waiting_ > 0; look()) {
    const auto now = std::chrono::steady_clock::now();
    if (waiting_ < least) {
      least = waiting_;
      until = now + options_.patience;
    } else if (now > until) {
      trouble_.push_back(fmt::format("{} jobs wait and nobody runs them", waiting_.load()));
      return;
    }
    ::poll(nullptr, 0, 50);  // how often it looks; what it waits for nobody can tell it
  }
}

void Fleet::stop_workers() {
  for (const Worker& worker : workers_) worker.process->kill(SIGTERM);
  for (Worker& worker : workers_) {
    if (!worker.process->wait_for(options_.patience))
      trouble_.push_back(fmt::format("worker {} does not stop", worker.number));
    else if (worker.process->exit_code() != 0)
      trouble_.push_back(
          fmt::format("worker {} stopped with exit code {}", worker.number, worker.process->exit_code()));
    worker.process.reset();
  }
}

FleetHistory Fleet::finish() {
  FleetHistory history;
  for (const auto& producer : producers_) producer->request_stop();
  for (const auto& producer : producers_) {
    auto attempts = producer->stop();
    history.attempts.insert(history.attempts.end(), attempts.begin(), attempts.end());
  }
  drain();
  stop_workers();
  look();
  if (waiting_ > 0)
    trouble_.push_back(fmt::format("{} jobs are not done when all have stopped", waiting_.load()));
  history.kept = read_jobs();
  history.runs = read_evidence(server_.address());
  return history;
}

std::vector<FleetHistory::Kept> Fleet::read_jobs() {
  quern::PostgresStorage storage(server_.address(), {.schema = schema_, .call_timeout = 10min});
  std::map<std::pair<std::string, quern::JobState>, std::uint64_t> found;
  std::vector<FleetHistory::Kept> kept;
  quern::JobFilter filter{.oldest_first = true, .limit = 10'000};
  do {
    const auto page = storage.list(filter);
    for (const quern::Job& job : page.jobs) {
      ++found[{job.kind, job.state}];
      auto& one = kept.emplace_back(FleetHistory::Kept{.job = job.id.value,
                                                       .completed = job.state == quern::JobState::completed,
                                                       .epoch = job.epoch,
                                                       .attempt = job.attempt,
                                                       .snoozes = job.snoozes,
                                                       .created_us = quern::to_us(job.created_at),
                                                       .key = job.unique_key});
      if (job.result) one.token = job.result->as<std::uint64_t>();
      for (const quern::AttemptError& error : job.errors)
        one.failures.push_back({.epoch = error.epoch,
                                .at_us = quern::to_us(error.at),
                                .crash = error.fault == quern::AttemptFault::crash});
    }
    filter.after = page.next;
  } while (filter.after);
  for (const auto& fault : storage.recount())
    trouble_.push_back(fmt::format("counted {} {} jobs of {}, there are {}", fault.kept,
                                   quern::to_string(fault.state), fault.kind, fault.found));
  for (const auto& count : storage.count()) {
    if (found[{count.kind, count.state}] != count.count)
      trouble_.push_back(fmt::format("counted {} {} jobs of {}, listed {}", count.count,
                                     quern::to_string(count.state), count.kind,
                                     found[{count.kind, count.state}]));
    found.erase({count.kind, count.state});
  }
  for (const auto& [place, number] : found)
    trouble_.push_back(fmt::format("listed {} {} jobs of {} and counted none", number,
                                   quern::to_string(place.second), place.first));
  return kept;
}

}  // namespace quern_test
#endif
