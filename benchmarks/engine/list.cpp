// What a page costs among many jobs: by state, by tenant, by tag, by kind, by time; and counting.

#include <stdexcept>
#include <string>
#include <vector>

#include "support.hpp"

namespace bench {
namespace {

constexpr auto per_hour = std::size_t{50'000};

/// `count` jobs, `per_hour` an hour: of two kinds, the second rare; one tenant and one tag in 100'000; some
/// end.
template <class Storage>
void fill(Storage& storage, quern::ManualClock& clock, std::size_t count) {
  constexpr std::size_t at_once = 10'000;
  const auto node = storage.register_node({.name = "bench", .lease = std::chrono::hours(20)});
  for (std::size_t i = 0; i < count; i += at_once) {
    quern::JobId next = storage.reserve_ids(at_once);
    std::vector<quern::NewJob> jobs(at_once);
    for (std::size_t k = 0; k < at_once; ++k) {
      const std::size_t number = i + k;
      jobs[k].id = quern::JobId{next.value++};
      jobs[k].kind = number % 50'000 == 7 ? "audit" : "digest.send";
      jobs[k].payload = quern::Payload::of(digest(number));
      if (number % 100'000 == 3) jobs[k].tenant = "rare";
      if (number % 100'000 == 4) jobs[k].tags = {"rare"};
      if (number % 10 == 5) jobs[k].tenant = "common";
    }
    storage.insert(jobs);
    // Nine of ten complete, and one in a thousand of those dies.
    const auto claimed = storage.claim({.node = node,
                                        .limit = at_once / 10 * 9,
                                        .kinds = {{"digest.send", at_once, 3}, {"audit", at_once, 3}},
                                        .queues = {}});
    std::vector<quern::Finish> finishes(claimed.size());
    for (std::size_t k = 0; k < claimed.size(); ++k) {
      finishes[k].ref = claimed[k].ref;
      if (k % 999 == 0) finishes[k].outcome = quern::Outcome::discarded;
    }
    storage.finish(finishes);
    clock.advance(std::chrono::minutes(60) / (per_hour / at_once));
    storage.renew(node);
  }
}

template <class Ask>
double microseconds(const Ask& ask) {
  std::vector<double> times;
  const Stopwatch all;
  for (int round = 0; round < 50 && all.seconds() < 1; ++round) {
    const Stopwatch watch;
    ask();
    times.push_back(watch.seconds() * 1e6);
  }
  return median(times);
}

template <class Storage>
void report(Storage& storage, quern::ManualClock& clock, const std::string& name, std::size_t count) {
  const quern::TimePoint start = clock.now();
  fill(storage, clock, count);
  const auto page = [&](const std::string& what, quern::JobFilter filter) {
    filter.limit = 20;
    const double us = microseconds([&] {
      if (storage.list(filter).jobs.empty()) throw std::runtime_error("nothing is listed by " + what);
    });
    print("list." + name + "." + what + ".us", us, "us");
  };
  using quern::JobState;
  page("all", {});
  page("completed", {.states = {JobState::completed}});
  page("dead", {.states = {JobState::dead}});
  page("ready", {.states = {JobState::ready}});
  page("rare_kind", {.kind = "audit"});
  page("rare_tenant", {.tenant = "rare"});
  page("common_tenant", {.tenant = "common"});
  page("dead_of_common_tenant", {.states = {JobState::dead}, .tenant = "common"});
  page("tag", {.tag = "rare"});
  // Between two batches: the index knows times to 0.13 s, and 10'000 jobs at its very edge are looked at one
  // by one.
  const auto old = start + std::chrono::hours(2) + std::chrono::minutes(5);
  page("old_hour", {.created_from = old, .created_before = old + std::chrono::hours(1)});
  page("old_hour_dead",
       {.states = {JobState::dead}, .created_from = old, .created_before = old + std::chrono::hours(1)});
  print("list." + name + ".count.us", microseconds([&] { static_cast<void>(storage.count()); }), "us");
  const Stopwatch watch;
  if (!storage.recount().empty()) throw std::runtime_error("a count is wrong");
  print("list." + name + ".recount.us", watch.seconds() * 1e6, "us");
}

}  // namespace

void list(const Settings& settings) {
  const std::size_t count = settings.scaled(10'000'000);
  {
    quern::ManualClock clock;
    quern::MemoryStorage storage{quern::ClockRef(clock)};
    report(storage, clock, "memory", count);
  }
  quern::ManualClock clock;
  const ScratchDatabase file(settings, "list");
  quern::SqliteStorage storage(file.path(), {.clock = clock});
  report(storage, clock, "sqlite", count);
}

}  // namespace bench
