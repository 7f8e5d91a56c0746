// What rules for how many jobs run and start cost: the same jobs without one, with ones for other queues, and with one
// for theirs that never holds anything back.

#include <quern/sqlite.hpp>

#include <functional>
#include <string>
#include <vector>

#include "engine_parts.hpp"
#include "support.hpp"

namespace bench {
namespace {

struct Case {
  std::string name;
  std::vector<quern::LimitRule> rules;
};

quern::LimitRule rate(std::string name, quern::RateAlgorithm algorithm) {
  quern::LimitRule rule{.name = std::move(name), .queue = "default"};
  rule.rate = {.count = 100'000, .per = std::chrono::milliseconds(1), .algorithm = algorithm};
  return rule;
}

std::vector<Case> cases() {
  std::vector<quern::LimitRule> many;
  for (int i = 0; i < 100; ++i) {
    many.push_back({.name = std::to_string(i), .queue = "queue-" + std::to_string(i), .max_running = 10});
  }
  return {{"no_rule", {}},
          {"a_rule_elsewhere", {{.name = "elsewhere", .queue = "elsewhere", .max_running = 10}}},
          {"100_rules_elsewhere", many},
          {"max_running", {{.name = "running", .queue = "default", .max_running = 1'000'000}}},
          {"token_bucket", {rate("bucket", quern::RateAlgorithm::token_bucket)}},
          {"sliding_window", {rate("window", quern::RateAlgorithm::sliding_window)}}};
}

/// Works off the jobs with `slots` slots, under the rules.
template <class Storage>
double drain_under(Storage& storage, const std::vector<SendDigest>& jobs, const Case& one, int slots) {
  quern::JobQueue queue(storage);
  enqueue(queue, jobs, 1000);
  for (const quern::LimitRule& rule : one.rules) queue.limit(rule);
  return drain_rate(queue, jobs.size(), slots);
}

void measure(Figures& figures, const std::string& storage,
             const std::function<double(const Case&)>& rate_of) {
  double base = 0;
  for (const Case& one : cases()) {
    const double rate_now = rate_of(one);
    const std::string name = "limits." + storage + "." + one.name;
    if (one.rules.empty()) {
      base = rate_now;
      figures.add(name + ".jobs_per_s", rate_now, "jobs/s");
    } else {
      figures.add(name + ".ratio_to_no_rule", rate_now / base, "ratio");
    }
  }
}

}  // namespace

void limits(const Settings& settings) {
  const auto make_jobs = [](std::size_t count) {
    std::vector<SendDigest> jobs;
    for (std::size_t i = 0; i < count; ++i) jobs.push_back(digest(i));
    return jobs;
  };
  const auto many = make_jobs(settings.scaled(200'000));
  const auto some = make_jobs(settings.scaled(40'000));
  const auto few = make_jobs(settings.scaled(3'000));
  Figures figures;
  for (int round = 0; round < settings.rounds; ++round) {
    measure(figures, "memory", [&](const Case& one) {
      quern::MemoryStorage storage;
      return drain_under(storage, many, one, 16);
    });
    measure(figures, "sqlite.100_slots", [&](const Case& one) {
      const ScratchDatabase database(settings, "limits");
      quern::SqliteStorage storage(database.path());
      return drain_under(storage, some, one, 100);
    });
    measure(figures, "sqlite.1_slot", [&](const Case& one) {
      const ScratchDatabase database(settings, "limits");
      quern::SqliteStorage storage(database.path());
      return drain_under(storage, few, one, 1);
    });
  }
  figures.print();
}

}  // namespace bench
