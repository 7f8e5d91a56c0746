#pragma once

#include <quern/quern.hpp>

#include <algorithm>
#include <atomic>
#include <latch>
#include <stdexcept>
#include <thread>
#include <vector>

#include "bare_pool.hpp"
#include "support.hpp"

namespace bench {

// The parts of a job's way through the engine, on any storage: jobs per second, through the public API, with a
// handler that does next to nothing.

/// Jobs per second that so many threads hand over, one by one, each its share.
template <class HandOver>
double rate_from(std::size_t threads, std::size_t count, const HandOver& hand_over) {
  const std::size_t share = count / threads;
  std::latch ready(static_cast<std::ptrdiff_t>(threads));
  std::latch begin(1);
  std::vector<std::jthread> all;
  for (std::size_t t = 0; t < threads; ++t)
    all.emplace_back([&, t] {
      ready.count_down();
      begin.wait();
      for (std::size_t i = t * share; i < (t + 1) * share; ++i) hand_over(i);
    });
  ready.wait();
  const Stopwatch watch;
  begin.count_down();
  all.clear();  // waits for them
  return static_cast<double>(share * threads) / watch.seconds();
}

template <class Queue>
void enqueue(Queue& queue, const std::vector<SendDigest>& jobs, std::size_t batch) {
  if (batch == 1) {
    for (const SendDigest& job : jobs) queue.enqueue(job);
    return;
  }
  for (std::size_t i = 0; i < jobs.size(); i += batch)
    queue.enqueue_all(std::span(jobs).subspan(i, std::min(batch, jobs.size() - i)));
}

template <class Queue>
double bulk_rate(Queue& queue, const std::vector<SendDigest>& jobs, std::size_t batch) {
  const Stopwatch watch;
  enqueue(queue, jobs, batch);
  return static_cast<double>(jobs.size()) / watch.seconds();
}

/// Throws where not all jobs are completed.
template <class Queue>
void expect_completed(Queue& queue) {
  for (const auto& count : queue.count())
    if (count.state != quern::JobState::completed) throw std::runtime_error("a job was left over");
}

/// Works off what is there: until the last end is recorded.
template <class Queue>
double drain_rate(Queue& queue, std::size_t count, int slots) {
  std::atomic<std::size_t> done{0};
  auto handlers = quern::HandlerRegistry().on<SendDigest>(
      [&](const SendDigest&) { done.fetch_add(1, std::memory_order_relaxed); });
  quern::Processor processor(queue, handlers, {.max_concurrent_jobs = slots});
  const Stopwatch watch;
  processor.run_until_idle();
  const double seconds = watch.seconds();
  if (done != count) throw std::runtime_error("not all jobs ran");
  expect_completed(queue);
  return static_cast<double>(count) / seconds;
}

/// From the first enqueue to the last end, with a processor at work all the while.
template <class Queue>
double e2e_rate(Queue& queue, const std::vector<SendDigest>& jobs, std::size_t batch) {
  Countdown left(jobs.size());
  std::atomic<std::int64_t> sum{0};
  auto handlers = quern::HandlerRegistry().on<SendDigest>([&](const SendDigest& job) {
    sum.fetch_add(job.user_id, std::memory_order_relaxed);
    left.done();
  });
  quern::Processor processor(queue, handlers);
  processor.start();
  const Stopwatch watch;
  enqueue(queue, jobs, batch);
  left.wait();
  const double seconds = watch.seconds();
  processor.stop();
  expect_completed(queue);
  return static_cast<double>(jobs.size()) / seconds;
}

/// Microseconds from the begin of an enqueue to the begin of its handler, with so long a pause between two.
/// `from`: where it is enqueued, on the same storage or beside it.
template <class Queue, class From>
std::vector<double> start_waits(Queue& queue, From& from, std::size_t count,
                                std::chrono::microseconds pause) {
  using Clock = std::chrono::steady_clock;
  std::vector<Clock::time_point> sent(count);
  std::vector<double> waits(count);
  std::atomic<std::size_t> done{0};
  auto handlers = quern::HandlerRegistry().on<SendDigest>([&](const SendDigest& job) {
    const auto i = static_cast<std::size_t>(job.user_id - 1'000'000);
    waits[i] = std::chrono::duration<double, std::micro>(Clock::now() - sent[i]).count();
    ++done;
    done.notify_all();
  });
  quern::Processor processor(queue, handlers);
  processor.start();
  for (std::size_t i = 0; i < count; ++i) {
    const SendDigest job = digest(i);
    std::this_thread::sleep_for(pause);
    sent[i] = Clock::now();
    from.enqueue(job);
    for (std::size_t seen = done; seen <= i; seen = done) done.wait(seen);
  }
  processor.stop();
  return waits;
}

}  // namespace bench
