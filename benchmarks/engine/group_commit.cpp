// Many callers that each add one job and wait until it is durable, beside one such caller, on the same disk.

#include <atomic>
#include <exception>
#include <latch>
#include <string>
#include <thread>

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

double median(const std::vector<Round>& rounds, double Round::* figure) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(round.*figure);
  return quantile(values, 0.5);
}

}  // namespace

void sqlite_group_commit(const Settings& settings) {
  constexpr int callers = 64;
  std::vector<Round> ones, manys;
  std::vector<double> ratios;
  for (int i = 0; i < settings.rounds; ++i) {
    ones.push_back(run_round(settings, 1));
    manys.push_back(run_round(settings, callers));
    ratios.push_back(manys.back().per_second / ones.back().per_second);
  }
  const std::string many = "sqlite.group_commit_" + std::to_string(callers);
  print(many + ".ratio_to_one", quantile(ratios, 0.5), "ratio");
  print(many + ".jobs_per_s", median(manys, &Round::per_second), "jobs/s");
  print(many + ".p50.us", median(manys, &Round::p50_us), "us");
  print(many + ".p99.us", median(manys, &Round::p99_us), "us");
  print("sqlite.group_commit_1.jobs_per_s", median(ones, &Round::per_second), "jobs/s");
  print("sqlite.group_commit_1.p50.us", median(ones, &Round::p50_us), "us");
  print("sqlite.group_commit_1.p99.us", median(ones, &Round::p99_us), "us");
}

}  // namespace bench
