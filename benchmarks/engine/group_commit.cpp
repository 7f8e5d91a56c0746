// Many callers that each add one job and wait until it is durable, beside one such caller, on the same disk.

#include <atomic>
#include <exception>
#include <latch>
#include <string>
#include <thread>
#include <utility>

#include "floors.hpp"
#include "support.hpp"

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Round {
  double per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
};

Round run_round(const Settings& settings, int callers) {
  const ScratchDatabase file(settings, "group");
  Round round;
  {
    quern::SqliteStorage storage(file.path());
    quern::JobQueue queue(storage);
    const auto count = static_cast<std::size_t>(callers);
    std::vector<std::vector<double>> waits_us(count);
    std::vector<std::exception_ptr> failures(count);
    std::latch ready(callers + 1);
    std::atomic<bool> stop{false};
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        waits_us[i].reserve(1U << 16U);
        ready.arrive_and_wait();
        try {
          for (int number = 0; !stop.load(std::memory_order_relaxed); ++number) {
            const auto start = Clock::now();
            queue.enqueue(digest(static_cast<std::size_t>(number)));
            waits_us[i].push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
          }
        } catch (...) {
          failures[i] = std::current_exception();
        }
      });
    }
    ready.arrive_and_wait();
    const auto start = Clock::now();
    std::this_thread::sleep_for(std::chrono::duration<double>(settings.quick ? 0.5 : 2));
    stop = true;
    threads.clear();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    for (const std::exception_ptr& failure : failures) {
      if (failure) std::rethrow_exception(failure);
    }
    std::vector<double> all;
    for (const auto& some : waits_us) all.insert(all.end(), some.begin(), some.end());
    round = {static_cast<double>(all.size()) / seconds, quantile(all, 0.5), quantile(all, 0.99)};
  }
  return round;
}

}  // namespace

void sqlite_group_commit(const Settings& settings) {
  constexpr int callers = 64;
  Figures figures;
  for (int i = 0; i < settings.rounds; ++i) {
    const double floor = sqlite_floor_rate(settings, settings.scaled(50'000));
    const Round one = run_round(settings, 1);
    const Round many = run_round(settings, callers);
    figures.add("sqlite.group_commit_64.ratio_to_one", many.per_second / one.per_second, "ratio");
    for (const auto& [name, round] :
         {std::pair{"sqlite.enqueue_1", one}, std::pair{"sqlite.enqueue_64", many}}) {
      const std::string figure = name;
      figures.add(figure + ".jobs_per_s", round.per_second, "jobs/s");
      figures.add(figure + ".ratio_to_floor", round.per_second / floor, "ratio");
      figures.add(figure + ".p50.us", round.p50_us, "us");
      figures.add(figure + ".p99.us", round.p99_us, "us");
    }
  }
  figures.print();
}

}  // namespace bench
