// A pool in one process that grows from 1 to 8 workers under a wave of jobs, and shrinks again, while some of the jobs
// hang, crash or leak. Prints a table as it goes; ends with 0 where everything came out as it must.
//
//   quern-fleet-in-a-box [jobs]
#include <quern/worker_pool.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

struct Render {  // well-behaved
  static constexpr std::string_view kind = "render";
  int picture = 0;
};
QUERN_FIELDS(Render, picture)

struct Convert {  // calls a library that may do anything: isolated
  static constexpr std::string_view kind = "convert";
  std::string how;
};
QUERN_FIELDS(Convert, how)

struct Scan {  // hangs, and does not look whether it shall stop: its worker is replaced
  static constexpr std::string_view kind = "scan";
  int document = 0;
};
QUERN_FIELDS(Scan, document)

namespace {

constexpr std::size_t most_workers = 8;
constexpr int hanging = 3;
constexpr int of_each_fault = 3;

/// What the hanging handlers wait for: the end of this program.
struct Gate {
  std::mutex mutex;
  std::condition_variable opened;
  bool open = false;
  int inside = 0;

  void pass() {
    std::unique_lock lock(mutex);
    ++inside;
    opened.wait(lock, [this] { return open; });
    --inside;
    opened.notify_all();
  }
  /// Waits until all have passed.
  void let_go() {
    std::unique_lock lock(mutex);
    open = true;
    opened.notify_all();
    opened.wait(lock, [this] { return inside == 0; });
  }
};

/// Checks what must hold, and says what does not.
struct Verdict {
  int faults = 0;
  void expect(bool holds, const std::string& what) {
    if (holds) return;
    ++faults;
    std::printf("NOT SO: %s\n", what.c_str());
  }
};

std::size_t count(quern::JobQueue<quern::MemoryStorage>& queue, quern::JobState state) {
  std::size_t sum = 0;
  for (const quern::JobCount& one : queue.count())
    if (one.state == state) sum += one.count;
  return sum;
}

void convert(const Convert& job) {
  if (job.how == "crash") std::abort();
  if (job.how == "leak")
    for (std::vector<std::string> kept;;) kept.emplace_back(1U << 20U, 'x');
  if (job.how == "hang")
    while (true) std::this_thread::sleep_for(1h);  // killed after its timeout
}

/// What a dead job's error must say.
std::string expected_of(const quern::Job& job) {
  if (job.kind == Scan::kind) return "timed out after 300ms and ignored its stop";
  const std::string how = job.payload.as<Convert>().how;
  return how == "crash"  ? "was killed by SIGABRT"
         : how == "leak" ? "no memory was left"
                         : "timed out after 2s";
}

quern::PoolOptions pool_options(std::atomic<int>& replaced) {
  quern::ScalingOptions scaling;
  scaling.min_workers = 1;
  scaling.max_workers = most_workers;
  scaling.worker = {.id = "box", .max_jobs = 4, .health_check_interval = 200ms};
  scaling.up_depth = 4;
  scaling.interval = scaling.up_cooldown = 100ms;
  scaling.down_cooldown = 300ms;
  scaling.down_samples = 2;
  scaling.down_utilization = 0.4;
  quern::PoolOptions options;
  options.scaling = scaling;
  options.processor.stop_grace = 500ms;
  options.on_event = [&replaced](const quern::WorkerEvent& event) {
    if (event.type == quern::WorkerEventType::worker_health_changed && !event.healthy) ++replaced;
    std::printf("  %s\n", to_json(event).c_str());
  };
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const int jobs = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1000;
  static Gate gate;  // hanging threads refer to it to the very end

  quern::HandlerRegistry handlers;
  handlers.on<Render>([](const Render&) { std::this_thread::sleep_for(20ms); });
  handlers.on<Scan>([](const Scan&) { gate.pass(); }, {.timeout = 300ms, .max_attempts = 1});
  handlers.on<Convert>(convert, {.timeout = 2s,
                                 .max_attempts = 1,
                                 .isolation = quern::Isolation::process,
                                 .limits = {.memory_bytes = 64U << 20U, .stop_grace = 200ms}});
  handlers.start_isolation();

  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  std::atomic<int> replaced{0};
  quern::WorkerPool pool(queue, handlers, pool_options(replaced));
  pool.start();

  for (int i = 0; i < jobs; ++i) {
    queue.enqueue(Render{i});
    if (i < hanging) queue.enqueue(Scan{i});
    if (i < of_each_fault)
      for (const char* how : {"well", "crash", "leak", "hang"}) queue.enqueue(Convert{how});
  }
  const std::size_t all = static_cast<std::size_t>(jobs) + hanging + 4 * of_each_fault;

  std::size_t most = 0;
  const auto begun = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  };
  std::puts("   time  workers  running   ready  completed  dead");
  for (bool quiet = false; !quiet && seconds() < 50;) {
    const auto workers = pool.workers();
    const auto active = static_cast<std::size_t>(
        std::ranges::count(workers, quern::WorkerState::active, &quern::WorkerStatus::state));
    most = std::max(most, active);
    const std::size_t completed = count(queue, quern::JobState::completed);
    const std::size_t dead = count(queue, quern::JobState::dead);
    std::printf("%5.1f s  %7zu  %7zu %7zu  %9zu  %4zu\n", seconds(), active, pool.processor().running(),
                count(queue, quern::JobState::ready), completed, dead);
    quiet = completed + dead == all && active == 1 && workers.size() == 1;
    if (!quiet) std::this_thread::sleep_for(200ms);
  }

  Verdict verdict;
  verdict.expect(most == most_workers, "the pool grew to 8 workers; it had " + std::to_string(most));
  verdict.expect(pool.workers().size() == 1, "the pool shrank to 1 worker");
  verdict.expect(pool.healthy_workers() == 1, "that one is healthy");
  verdict.expect(replaced >= 1 && replaced <= hanging,  // one worker may have had two of them
                 "hangs cost their workers; replaced were " + std::to_string(replaced));
  verdict.expect(count(queue, quern::JobState::completed) == static_cast<std::size_t>(jobs) + of_each_fault,
                 "all that behaves was completed");
  std::size_t dead = 0;
  for (const quern::Job& job : queue.list({.states = {quern::JobState::dead}, .limit = 1000}).jobs) {
    ++dead;
    const std::string& why = job.errors.back().message;
    std::printf("dead: %s: %s\n", job.kind.c_str(), why.substr(0, why.find('\n')).c_str());
    verdict.expect(job.attempt == 1, "a dead job had one attempt");
    verdict.expect(why.find(expected_of(job)) != std::string::npos, "it died of what it does");
  }
  verdict.expect(dead == hanging + 3 * of_each_fault,
                 "what hung, crashed or leaked is dead, and nothing else");
  verdict.expect(storage.recount().empty(), "counts equal a recount");
  pool.stop();
  gate.let_go();
  std::puts(verdict.faults == 0 ? "all as it must be" : "something is wrong");
  return verdict.faults == 0 ? 0 : 1;
}
