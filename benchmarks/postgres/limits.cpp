// What rules for how many jobs run and start cost: a backlog without one, with one for another queue, and with one for its
// queue that never holds anything back.

#include <string>
#include <vector>

#include "../engine/engine_parts.hpp"
#include "support.hpp"

namespace bench::pg {
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
  return {{"no_rule", {}},
          {"a_rule_elsewhere", {{.name = "elsewhere", .queue = "elsewhere", .max_running = 10}}},
          {"max_running", {{.name = "running", .queue = "default", .max_running = 1'000'000}}},
          {"token_bucket", {rate("bucket", quern::RateAlgorithm::token_bucket)}},
          {"sliding_window", {rate("window", quern::RateAlgorithm::sliding_window)}}};
}

}  // namespace

void limits(const Settings& settings) {
  Figures figures;
  for (int round = 0; round < settings.rounds; ++round) {
    for (const int slots : {100, 1}) {
      const std::size_t count = settings.scaled(slots == 1 ? 2'500 : 30'000);
      const std::string prefix = "postgres.limits." + std::to_string(slots) + "_slots.";
      double base = 0;
      for (const Case& one : cases()) {
        Scene scene(settings);
        quern::JobQueue queue(scene.storage());
        fill(scene.storage(), count);
        for (const quern::LimitRule& rule : one.rules) queue.limit(rule);
        const double drained = drain_rate(queue, count, slots);
        if (one.rules.empty()) {
          base = drained;
          figures.add(prefix + one.name + ".jobs_per_s", drained, "jobs/s");
        } else {
          figures.add(prefix + one.name + ".ratio_to_no_rule", drained / base, "ratio");
        }
      }
    }
  }
  figures.print();
}

}  // namespace bench::pg
