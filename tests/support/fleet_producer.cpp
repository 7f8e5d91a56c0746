// Empty where quern is built without PostgreSQL.
#if defined(QUERN_TEST_POSTGRES)
#include "support/fleet_producer.hpp"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace quern_test {
namespace {

using namespace std::chrono_literals;

/// For so long, or until it is to stop.
void pause(const std::stop_token& stop, quern::Duration time) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait_for(lock, stop, time, [] { return false; });
}

/// Once it works; null when it is to stop before.
template <class Call>
auto insist(const std::stop_token& stop, const Call& call) -> std::optional<decltype(call())> {
  while (!stop.stop_requested()) {
    try {
      return call();
    } catch (const quern::StorageError& e) {
      if (!e.transient()) throw;
      pause(stop, 20ms);
    }
  }
  return std::nullopt;
}

}  // namespace

FleetProducer::FleetProducer(Options options, const std::atomic<std::uint64_t>& waiting,
                             std::uint64_t most_waiting)
    : options_(std::move(options)),
      waiting_(waiting),
      most_waiting_(most_waiting),
      random_(options_.seed),
      thread_([this](const std::stop_token& stop) {
        try {
          run(stop);
        } catch (...) {
          failure_ = std::current_exception();
        }
      }) {}

std::vector<FleetHistory::Attempt> FleetProducer::stop() {
  thread_.request_stop();
  thread_.join();
  if (failure_) std::rethrow_exception(failure_);
  return std::move(attempts_);
}

void FleetProducer::run(const std::stop_token& stop) {
  using Storage = std::unique_ptr<quern::PostgresStorage>;
  const auto storage = insist(stop, [&]() -> Storage {
    return std::make_unique<quern::PostgresStorage>(
        options_.address, quern::PostgresOptions{.schema = options_.schema,
                                                 .connections = 2,
                                                 .connect_timeout = options_.patience,
                                                 .call_timeout = options_.patience,
                                                 .lock_timeout = options_.patience});
  });
  if (!storage) return;
  Queue queue(**storage);
  while (!stop.stop_requested()) {
    if (waiting_ > most_waiting_) {
      pause(stop, 10ms);
      continue;
    }
    auto jobs = insist(stop, [&] { return make_batch(**storage); });
    if (jobs) enqueue(queue, std::move(*jobs), stop);
    if (options_.pause > quern::Duration::zero()) pause(stop, options_.pause);
  }
}

std::vector<quern::NewJob> FleetProducer::make_batch(quern::PostgresStorage& storage) {
  constexpr std::uint64_t keys = 40;
  quern::JobId id = storage.reserve_ids(options_.batch);
  const bool keyed = !options_.plain && random_.below(8) == 0;
  std::vector<quern::NewJob> jobs(options_.batch);
  for (quern::NewJob& job : jobs) {
    job.id = id;
    ++id.value;
    job.kind = keyed ? "keyed" : !options_.plain && random_.below(100) == 0 ? "fail-once" : "count";
    if (keyed) job.unique.key = "key-" + std::to_string(random_.below(keys));
  }
  ++batch_;
  return jobs;
}

void FleetProducer::keep(const quern::NewJob& job, Answer answer) {
  constexpr unsigned number_bits = 40;
  const std::uint64_t batch = job.unique.key.empty() ? (options_.number << number_bits) + batch_ : 0;
  attempts_.push_back({.job = job.id.value, .answer = answer, .batch = batch});
  if (answer == Answer::acknowledged || answer == Answer::found) ++added_;
}

void FleetProducer::enqueue(Queue& queue, std::vector<quern::NewJob> jobs, const std::stop_token& stop) {
  // An insert that was sent before may still come to be, so who was refused since may be there all the same.
  for (bool first = true; !jobs.empty(); first = false) {
    try {
      const auto answers = queue.enqueue_all(jobs);
      for (std::size_t i = 0; i < jobs.size(); ++i) {
        const bool there = answers[i].added() || answers[i].status == quern::InsertStatus::repeated;
        keep(jobs[i], there ? Answer::acknowledged : first ? Answer::refused : Answer::unknown);
      }
      return;
    } catch (const quern::StorageError& e) {
      if (!e.transient()) throw;
      ++in_doubt_;
    }
    jobs = look(queue, jobs, stop);
    if (random_.below(2) == 0 && !stop.stop_requested()) continue;
    for (const quern::NewJob& job : jobs) keep(job, Answer::unknown);
    return;
  }
}

std::vector<quern::NewJob> FleetProducer::look(Queue& queue, std::span<const quern::NewJob> jobs,
                                               const std::stop_token& stop) {
  std::vector<quern::JobId> ids;
  for (const quern::NewJob& job : jobs) ids.push_back(job.id);
  const auto found = insist(stop, [&] { return queue.find(ids); });
  std::vector<quern::NewJob> left;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (found && (*found)[i])
      keep(jobs[i], Answer::found);
    else
      left.push_back(jobs[i]);
  }
  return left;
}

}  // namespace quern_test
#endif
