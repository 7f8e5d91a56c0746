// quern-fleet: one producer and any number of worker processes, on as many machines, share one PostgreSQL database.
// examples/fleet/run shows it on a server of its own.
#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <quern/postgres.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "../support/stop_signals.hpp"

namespace {

using namespace std::chrono_literals;

constexpr const char* usage = R"(quern-fleet: jobs for many machines

  quern-fleet work ADDRESS NAME        works until SIGINT or SIGTERM
  quern-fleet produce ADDRESS COUNT    hands over so many jobs, and waits until all have ended

ADDRESS is a PostgreSQL connection string, such as postgresql://user@host/database.
)";

struct CountPrimes {
  static constexpr std::string_view kind = "primes.count";
  int from = 0;
  int to = 0;
};
QUERN_FIELDS(CountPrimes, from, to)

struct Primes {
  int found = 0;
};
QUERN_FIELDS(Primes, found)

bool is_prime(int number) {
  for (int divisor = 2; divisor * divisor <= number; ++divisor)
    if (number % divisor == 0) return false;
  return number > 1;
}

quern::JobResult count_primes(const CountPrimes& job) {
  Primes primes;
  for (int number = job.from; number < job.to; ++number) primes.found += is_prime(number) ? 1 : 0;
  return quern::JobResult::completed(primes);
}

int work(const std::string& address, const std::string& name) {
  std::atomic<bool> stop{false};
  const StopSignals signals([&] { stop = true; });
  std::atomic<int> done{0};

  quern::PostgresStorage storage(address);
  quern::JobQueue queue(storage);
  auto handlers = quern::HandlerRegistry().on<CountPrimes>([&](const CountPrimes& job) {
    ++done;
    return count_primes(job);
  });
  // A short lease: what a worker was at that has died, others take over after 5 s.
  quern::Processor processor(queue, handlers, {.name = name, .max_concurrent_jobs = 16, .lease = 5s});
  processor.run_until([&] { return stop.load(); });
  processor.stop();
  fmt::print("{}: {} jobs\n", name, done.load());
  return 0;
}

struct Left {
  std::uint64_t waiting = 0;
  std::uint64_t completed = 0;
  std::uint64_t others = 0;
};

template <class Queue>
Left count(Queue& queue) {
  Left left;
  for (const auto& count : queue.count()) {
    const bool completed = count.state == quern::JobState::completed;
    (completed                         ? left.completed
     : quern::is_terminal(count.state) ? left.others
                                       : left.waiting) += count.count;
  }
  return left;
}

int produce(const std::string& address, int number) {
  quern::PostgresStorage storage(address);
  quern::JobQueue queue(storage);
  constexpr int at_once = 500;
  constexpr int width = 2'000;
  for (int i = 0; i < number; i += at_once) {
    std::vector<CountPrimes> jobs;
    for (int k = i; k < std::min(i + at_once, number); ++k) jobs.push_back({k * width, (k + 1) * width});
    queue.enqueue_all(jobs);
  }
  fmt::print("producer: handed over {} jobs\n", number);

  Left left = count(queue);
  for (; left.waiting > 0; left = count(queue)) std::this_thread::sleep_for(200ms);
  fmt::print("producer: {} jobs completed, {} ended otherwise\n", left.completed, left.others);
  return left.others == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 3 && arguments[0] == "work") return work(arguments[1], arguments[2]);
  if (arguments.size() == 3 && arguments[0] == "produce")
    return produce(arguments[1], std::max(1, std::atoi(arguments[2].c_str())));
  std::fputs(usage, stderr);
  return 2;
} catch (const std::exception& e) {
  fmt::print(stderr, "quern-fleet: {}\n", e.what());
  return 1;
}
