// Many callers that each add one job and wait until it is durable, beside one such caller, in the same run
// and on the same disk. Rounds alternate; each figure is the median of its rounds, each ratio that of the
// rounds' ratios.
//
//   quern-bench-sqlite-group-commit [seconds per round = 2] [rounds = 5] [callers = 64] [folder = the
//   temporary one]

#include <nlohmann/json.hpp>
#include <quern/sqlite.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <latch>
#include <string>
#include <thread>
#include <vector>

namespace bench {

struct SendDigest {
  static constexpr std::string_view kind = "digest.send";
  std::string repository;
  int user_id = 0;
  std::string period;
  std::vector<std::string> recipients;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SendDigest, repository, user_id, period, recipients)

}  // namespace bench

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Settings {
  double seconds = 2;
  int rounds = 5;
  int callers = 64;
  fs::path folder = fs::temp_directory_path();
};

struct Round {
  double per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
};

void remove_database(const fs::path& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(path.string() + suffix);
}

/// The value below which a share of them lies.
double quantile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto place =
      values.begin() + static_cast<std::ptrdiff_t>(static_cast<double>(values.size() - 1) * share);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

Round run_round(const Settings& settings, int callers) {
  const fs::path path = settings.folder / "quern-bench-group-commit.db";
  remove_database(path);
  Round round;
  {
    quern::SqliteStorage storage(path.string());
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
            queue.enqueue(bench::SendDigest{.repository = "quern/quern",
                                            .user_id = number,
                                            .period = "2026-01-01/2026-01-31",
                                            .recipients = {"a@example.org", "b@example.org"}});
            waits_us[i].push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
          }
        } catch (...) {
          failures[i] = std::current_exception();
        }
      });
    }
    ready.arrive_and_wait();
    const auto start = Clock::now();
    std::this_thread::sleep_for(std::chrono::duration<double>(settings.seconds));
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
  remove_database(path);
  return round;
}

double median(const std::vector<Round>& rounds, double Round::* figure) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(round.*figure);
  return quantile(values, 0.5);
}

void print(const std::string& name, double value, const char* unit) {
  std::printf("%s\t%.4g\t%s\n", name.c_str(), value, unit);
}

}  // namespace

int main(int argc, char** argv) try {
  Settings settings;
  if (argc > 1) settings.seconds = std::stod(argv[1]);
  if (argc > 2) settings.rounds = std::stoi(argv[2]);
  if (argc > 3) settings.callers = std::stoi(argv[3]);
  if (argc > 4) settings.folder = argv[4];

  std::vector<Round> ones, manys;
  std::vector<double> ratios;
  for (int i = 0; i < settings.rounds; ++i) {
    ones.push_back(run_round(settings, 1));
    manys.push_back(run_round(settings, settings.callers));
    ratios.push_back(manys.back().per_second / ones.back().per_second);
  }
  const std::string many = "sqlite.group_commit_" + std::to_string(settings.callers);
  print(many + ".ratio_to_one", quantile(ratios, 0.5), "ratio");
  print(many + ".jobs_per_s", median(manys, &Round::per_second), "jobs/s");
  print(many + ".p50.us", median(manys, &Round::p50_us), "us");
  print(many + ".p99.us", median(manys, &Round::p99_us), "us");
  print("sqlite.group_commit_1.jobs_per_s", median(ones, &Round::per_second), "jobs/s");
  print("sqlite.group_commit_1.p50.us", median(ones, &Round::p50_us), "us");
  print("sqlite.group_commit_1.p99.us", median(ones, &Round::p99_us), "us");
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "quern-bench-sqlite-group-commit: %s\n", e.what());
  return 1;
}
