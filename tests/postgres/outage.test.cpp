// A server that is away for a while: nothing is lost, nobody is busy with it, and all goes on by itself.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "postgres/fixture.hpp"
#include "postgres/refusing_listener.hpp"
#include "quern/postgres.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using quern::JobId;
using quern::JobState;
using quern::NewJob;
using quern::PostgresStorage;
using quern::StorageError;
using quern_test::PostgresServer;
using quern_test::RefusingListener;

namespace {

constexpr auto long_enough = 60s;
constexpr int slots = 4;

/// How long the server is away: QUERN_TEST_OUTAGE_SECONDS, or short enough for every day.
std::chrono::seconds outage() {
  const char* const text = std::getenv("QUERN_TEST_OUTAGE_SECONDS");
  return std::chrono::seconds(text == nullptr ? 6 : std::max(6, std::atoi(text)));
}

/// Of all threads of this process, in user and kernel.
std::chrono::duration<double> cpu_time() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return std::chrono::duration<double>(static_cast<double>(time.tv_sec) +
                                         static_cast<double>(time.tv_usec) / 1e6);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// A processor whose handlers count the runs of each job, and can be held.
struct Worker {
  explicit Worker(PostgresStorage& storage) : queue(storage) {
    handlers.on("work", [this](quern::JobContext& context) {
      std::unique_lock lock(mutex);
      ++runs[context.job().ref.id];
      changed.notify_all();
      changed.wait(lock, [&] { return !held; });
    });
    processor.emplace(queue, handlers, quern::ProcessorOptions{.max_concurrent_jobs = slots});
    processor->start();
  }
  ~Worker() { hold(false); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void hold(bool hold) {
    const std::lock_guard lock(mutex);
    held = hold;
    changed.notify_all();
  }
  [[nodiscard]] std::size_t begun() {
    const std::lock_guard lock(mutex);
    return runs.size();
  }
  bool begins(std::size_t count) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, long_enough, [&] { return runs.size() >= count; });
  }

  quern::JobQueue<PostgresStorage> queue;
  quern::HandlerRegistry handlers;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<JobId, int> runs;
  bool held = false;
  std::optional<quern::Processor<PostgresStorage>> processor;
};

template <class Condition>
bool becomes(const Condition& condition) {
  const auto end = Clock::now() + long_enough;
  while (!condition()) {
    if (Clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

struct Failure {
  std::string message{};
  bool transient = false;
};

Failure failure_of_insert(PostgresStorage& storage) {
  const NewJob job{.id = JobId{900'000}, .kind = "work"};
  try {
    storage.insert({&job, 1});
  } catch (const StorageError& e) {
    return {e.what(), e.transient()};
  }
  return {"did not throw"};
}

}  // namespace

TEST_CASE("a server that is away for a while costs next to nothing, and all goes on when it is back",
          "[postgres][outage]") {
  if (PostgresServer::shared() == nullptr) return;
  PostgresServer server("synchronous_commit=on");  // it is ended as if it crashed
  PostgresStorage work(server.address());
  PostgresStorage patient(server.address(), {.insert_patience = 10min});
  PostgresStorage hasty(server.address(), {.call_timeout = 2s});
  PostgresStorage bounded(server.address(), {.insert_patience = 1s});
  const std::string place = "127.0.0.1:" + std::to_string(server.port());
  Worker worker(work);
  quern::JobQueue producer(patient);

  std::vector<JobId> accepted;
  const auto accept = [&] { accepted.push_back(producer.enqueue("work", quern::Payload()).id); };
  for (int i = 0; i < 10; ++i) accept();
  REQUIRE(worker.begins(10));
  REQUIRE(becomes([&] { return worker.processor->running() == 0; }));
  worker.hold(true);
  for (int i = 0; i < slots; ++i) accept();
  REQUIRE(worker.begins(10 + slots));

  server.stop();
  std::vector<std::thread> producers;
  std::mutex mutex;
  std::vector<JobId> waited;
  int refused = 0;
  {
    RefusingListener listener(server.port());
    worker.hold(false);  // their ends have to wait now, and take the slots as long as they do
    Failure at_once;
    Failure at_deadline;
    Clock::duration patience{};
    std::thread impatient([&] {
      at_once = failure_of_insert(hasty);
      const auto start = Clock::now();
      at_deadline = failure_of_insert(bounded);
      patience = Clock::now() - start;
    });
    for (int thread = 0; thread < 4; ++thread) {
      producers.emplace_back([&] {
        const JobId id = producer.enqueue("work", quern::Payload()).id;
        const std::lock_guard lock(mutex);
        waited.push_back(id);
      });
    }
    const auto start = Clock::now();
    const auto cpu = cpu_time();
    listener.refuse_until(start + outage());
    const auto used = cpu_time() - cpu;
    impatient.join();
    refused = listener.refused();
    UNSCOPED_INFO(outage().count() << " s away: " << refused << " attempts to connect, " << used.count()
                                   << " s of CPU time");
    CHECK(used < outage() * 0.2);
    // Four storages and a listener; each at growing distances. Asking every 50 ms would be 20 a second each.
    CHECK(refused >= 5);
    CHECK(refused <= 5 * 8 + 2 * outage().count());
    for (const Failure& failure : {at_once, at_deadline}) {
      CAPTURE(failure.message);
      CHECK(failure.transient);
      CHECK(failure.message.find(place) != std::string::npos);
    }
    CHECK(at_deadline.message.find("tried for 1s") != std::string::npos);
    CHECK(patience >= 1s);
    CHECK(patience < 1s + 10s);
    CHECK(worker.begun() == 10 + slots);
    const std::lock_guard lock(mutex);
    CHECK(waited.empty());
  }
  server.start();
  for (std::thread& thread : producers) thread.join();
  accepted.insert(accepted.end(), waited.begin(), waited.end());
  REQUIRE(worker.begins(accepted.size()));
  CHECK(becomes([&] {
    return std::ranges::all_of(producer.find(accepted),
                               [](const auto& job) { return job->state == JobState::completed; });
  }));
  worker.processor->stop();
  const std::lock_guard lock(worker.mutex);
  CHECK(worker.runs.size() == accepted.size());
  for (const JobId id : accepted) CHECK(worker.runs[id] == 1);
  CHECK(patient.recount().empty());
}

TEST_CASE("an insert that waits for the server goes on within the time it was given", "[postgres][outage]") {
  if (PostgresServer::shared() == nullptr) return;
  PostgresServer server("synchronous_commit=on");
  PostgresStorage storage(server.address(), {.insert_patience = 60s});
  const NewJob job{.id = storage.reserve_ids(1), .kind = "work"};
  server.stop();
  std::atomic<bool> inserted{false};
  auto status = quern::InsertStatus::repeated;
  std::thread insert([&] {
    status = storage.insert({&job, 1}).at(0).status;
    inserted = true;
  });
  {
    RefusingListener listener(server.port());
    const auto end = Clock::now() + long_enough;
    while (listener.refused() < 3 && Clock::now() < end) listener.refuse_until(Clock::now() + 10ms);
    CHECK(listener.refused() >= 3);
    CHECK_FALSE(inserted);
  }
  server.start();
  insert.join();
  CHECK(status == quern::InsertStatus::added);
  CHECK(storage.find({&job.id, 1}).at(0)->state == JobState::ready);
}
