// A service that is mistreated: its workers come, go, drain and change while jobs run, some jobs fail, some hang and ignore
// their stop, and its process is killed again and again. At the end every job must have ended once, as it should, the
// counters must equal a recount, and the memory must not have grown.
//
//   quern_service_soak <SQLite file> <jobs> <kills> <seed>
//
// Prints what happened; ends with 0 if and only if all was as it should. Without Catch, for it runs for as long as one likes.
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "quern/core/random.hpp"
#include "quern/job_service.hpp"
#include "quern/sqlite.hpp"
#include "support/child_process.hpp"

using namespace std::chrono_literals;

namespace {

struct Work {
  static constexpr std::string_view kind = "work";
  std::uint64_t number = 0;
};
QUERN_FIELDS(Work, number)

// What becomes of a job is its number's doing.
constexpr bool dies(std::uint64_t number) { return number % 1009 == 3; }
constexpr bool fails_first(std::uint64_t number) { return number % 97 == 5; }
constexpr bool hangs_first(std::uint64_t number) { return number % 20'011 == 7; }

quern::ServiceConfig config_of(const std::string& file) {
  quern::ServiceConfig config;
  config.storage = "sqlite:" + file;
  config.queue.retry_delay = 10ms;
  config.queue.max_retry_delay = 100ms;
  config.queue.default_max_retries = 1000;  // a kill costs an attempt
  config.queue.job_timeout = 1s;
  config.pool.processor.lease = 2s;
  config.pool.processor.stop_grace = 500ms;
  config.pool.processor.crash_limit = 1000;
  config.pool.processor.flight_record = file + ".flight";
  config.pool.workers = {{.id = "first", .max_jobs = 4}};
  config.pool.scaling = quern::ScalingOptions{
      .min_workers = 1, .max_workers = 6, .interval = 100ms, .up_cooldown = 200ms, .down_cooldown = 500ms};
  config.log = {[](const quern::LogRecord& record) { fmt::print(stderr, "{}\n", to_text(record)); },
                quern::LogLevel::error};
  return config;
}

/// Of jobs that hang until the process ends: longer than anybody waits.
struct Gate {
  std::mutex mutex;
  std::condition_variable never;
};

/// How many jobs there are, and how many have ended.
struct Tally {
  std::uint64_t all = 0;
  std::uint64_t completed = 0;
  std::uint64_t dead = 0;
};
template <class Queue>
Tally tally_of(Queue& queue) {
  Tally tally;
  for (const quern::JobCount& count : queue.count()) {
    if (count.kind != Work::kind) continue;
    tally.all += count.count;
    if (count.state == quern::JobState::completed) tally.completed += count.count;
    if (count.state == quern::JobState::dead) tally.dead += count.count;
  }
  return tally;
}

template <class Pool>
void shake(Pool& pool, quern::Random& random) {
  const auto workers = pool.workers();
  const auto& chosen = workers.empty() ? std::string() : workers[random.next() % workers.size()].options.id;
  switch (random.next() % 6) {
    case 0:
      if (workers.size() < 8) pool.add({.max_jobs = 1 + static_cast<int>(random.next() % 8)});
      break;
    case 1:
      if (workers.size() > 1) pool.remove(chosen);
      break;
    case 2:
      pool.resize(chosen, 1 + static_cast<int>(random.next() % 8));
      break;
    case 3:
      pool.disable(chosen);
      break;
    case 4:
      if (workers.size() > 1) pool.drain(chosen);
      break;
    default:
      pool.enable(chosen);
  }
}

/// One life of the service: until all jobs have ended, or it is killed.
int live(const std::string& file, std::uint64_t jobs, std::uint64_t seed) {
  const auto gate = std::make_shared<Gate>();
  quern::JobService service{config_of(file)};
  service.handlers().on<Work>([gate](const Work& work, quern::JobContext& context) {
    if (dies(work.number)) return quern::JobResult::discarded("as its number says");
    if (fails_first(work.number) && context.attempt() == 1)
      return quern::JobResult::failed("as its number says");
    if (hangs_first(work.number) && context.attempt() == 1) {
      std::unique_lock lock(gate->mutex);
      gate->never.wait(lock, [] { return false; });
    }
    return quern::JobResult::completed();
  });
  service.start();
  auto& queue = service.queue();
  quern::Random random(seed);

  // All or nothing and in order, so that how many there are says where to go on.
  std::uint64_t next = tally_of(queue).all;
  std::jthread producer([&](const std::stop_token& stop) {
    while (next < jobs && !stop.stop_requested()) {
      std::vector<Work> batch;
      while (batch.size() < 500 && next + batch.size() < jobs) batch.push_back({next + batch.size()});
      queue.enqueue_all(batch);
      next += batch.size();
    }
  });

  std::mutex mutex;
  std::condition_variable ended;
  std::ofstream memory(file + ".memory", std::ios::app);
  Tally tally;
  while (true) {
    if (const auto pool = service.pool()) shake(*pool, random);
    std::unique_lock lock(mutex);
    ended.wait_for(lock, 20ms);
    tally = tally_of(queue);
    memory << tally.completed + tally.dead << ' ' << quern::process_usage().resident_bytes << std::endl;
    if (tally.completed + tally.dead >= jobs) break;
  }
  producer.join();
  service.stop({.wait = 100ms, .grace = 100ms});
  // A thread that hangs can't be ended, and must not outlive what it refers to.
  std::fflush(nullptr);
  std::_Exit(0);
}

/// Whether what it had at the end is about what it had a fifth of the way.
bool memory_is_flat(const std::string& file, std::uint64_t jobs) {
  std::ifstream lines(file + ".memory");
  std::uint64_t done = 0;
  std::uint64_t bytes = 0;
  std::uint64_t early = 0;
  std::uint64_t late = 0;
  while (lines >> done >> bytes) {
    if (done < jobs / 5) early = std::max(early, bytes);
    late = bytes;
  }
  fmt::print("memory: at most {} MiB in the first fifth, {} MiB at the end\n", early >> 20U, late >> 20U);
  constexpr std::uint64_t slack = std::uint64_t{32} << 20U;  // caches fill, threads come
  return late <= early + early / 4 + slack;
}

int supervise(const std::string& self, const std::string& file, std::uint64_t jobs, int kills,
              std::uint64_t seed) {
  quern::Random random(seed);
  const auto begun = std::chrono::steady_clock::now();
  int lives = 0;
  for (;; ++lives) {
    quern_test::ChildProcess child(
        {self, file, std::to_string(jobs), "life", std::to_string(seed + static_cast<std::uint64_t>(lives))});
    const bool to_be_killed = lives < kills;
    const auto patience = to_be_killed ? std::chrono::milliseconds(300 + random.next() % 3000) : 3600s;
    if (child.wait_for(patience)) {
      if (child.exit_code() != 0) {
        fmt::print("a life ended with {}\n", child.exit_code());
        return 1;
      }
      break;
    }
    if (!to_be_killed) {
      fmt::print("not all jobs have ended after an hour\n");
      return 1;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;

  quern::SqliteStorage storage(file);
  quern::JobQueue queue(storage);
  const Tally tally = tally_of(queue);
  std::uint64_t to_die = 0;
  for (std::uint64_t number = 0; number < jobs; ++number) to_die += dies(number) ? 1 : 0;
  const auto faults = storage.recount();
  fmt::print("{} jobs in {:.0f} s, {} kills: {} completed, {} dead of {}, {} counts wrong\n", tally.all,
             took.count(), lives, tally.completed, tally.dead, to_die, faults.size());
  const bool flat = memory_is_flat(file, jobs);
  const bool good =
      tally.all == jobs && tally.completed == jobs - to_die && tally.dead == to_die && faults.empty() && flat;
  fmt::print("{}\n", good ? "good" : "NOT good");
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 5) {
    fmt::print(stderr, "usage: {} <SQLite file> <jobs> <kills> <seed>\n", argv[0]);
    return 2;
  }
  const std::string file = argv[1];
  const std::uint64_t jobs = std::stoull(argv[2]);
  const std::uint64_t seed = std::stoull(argv[4]);
  if (argv[3] == std::string_view("life")) return live(file, jobs, seed);
  return supervise(argv[0], file, jobs, std::stoi(argv[3]), seed);
} catch (const std::exception& e) {
  fmt::print(stderr, "{}\n", e.what());
  return 1;
}
