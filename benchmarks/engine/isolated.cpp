// What a process of its own costs a job, beside a bare fork and wait of this process when it was as small.

#include <sys/wait.h>
#include <unistd.h>
#include <quern/quern.hpp>

#include <filesystem>
#include <stdexcept>
#include <thread>

#include "engine_parts.hpp"
#include "support.hpp"

namespace bench {
namespace {

/// Threads that were told to end may not have ended yet.
void wait_until_alone() {
  const auto threads = [] {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& task : fs::directory_iterator("/proc/self/task")) ++count;
    return count;
  };
  while (threads() > 1) std::this_thread::yield();
}

/// Microseconds for one.
double fork_and_wait(std::size_t count) {
  const Stopwatch watch;
  for (std::size_t i = 0; i < count; ++i) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    if (child < 0 || ::waitpid(child, nullptr, 0) != child) throw std::runtime_error("a fork failed");
  }
  return watch.seconds() * 1e6 / static_cast<double>(count);
}

/// Microseconds for a job, with so many at once. Forks a server of its own, so this process must have one
/// thread.
double run(quern::Isolation isolation, int ready, int slots, std::size_t count) {
  auto handlers = quern::HandlerRegistry().on<SendDigest>([](const SendDigest&) {}, {.isolation = isolation});
  if (isolation == quern::Isolation::process) {
    wait_until_alone();
    handlers.start_isolation({.ready = ready});
  }
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  for (std::size_t i = 0; i < count; ++i) queue.enqueue(digest(i));
  quern::Processor processor(queue, handlers, {.max_concurrent_jobs = slots});
  const Stopwatch watch;
  processor.run_until_idle();
  const double us = watch.seconds() * 1e6 / static_cast<double>(count);
  processor.stop();
  expect_completed(queue);
  return us;
}

}  // namespace

void isolated(const Settings& settings) {
  const std::size_t count = settings.scaled(2'000);
  Figures figures;
  for (int round = 0; round < settings.rounds; ++round) {
    wait_until_alone();
    figures.add("isolated.floor.fork_wait.us", fork_and_wait(count), "us");
    figures.add("isolated.thread.us", run(quern::Isolation::none, 0, 1, count), "us");
    figures.add("isolated.process.not_ready.us", run(quern::Isolation::process, 0, 1, count), "us");
    figures.add("isolated.process.us", run(quern::Isolation::process, 1, 1, count), "us");
    figures.add("isolated.process.8_at_once.us", run(quern::Isolation::process, 8, 8, count), "us");
  }
  figures.print();
}

}  // namespace bench
